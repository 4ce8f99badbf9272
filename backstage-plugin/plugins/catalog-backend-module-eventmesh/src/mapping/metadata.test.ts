import { meta } from '../__testUtils__/meshes';
import { annotationsOf, httpUrl, labelsOf, patternFlaw, printable } from './metadata';

const ANNOTATIONS = {
  'example.com/runbook': 'https://example.com',
  'other.example.com/x': 'y',
  plain: 'text',
  'backstage.io/view-url': 'https://example.com/view',
  'backstage.io/edit-url': 'data:text/html,x',
  'backstage.io/source-location': 'url:https://example.com/tree/main/',
  'backstage.io/techdocs-ref': 'dir:../../etc',
  'backstage.io/managed-by-location': 'url:https://example.com/stolen',
  'backstage.io/orphan': 'true',
  'terms.backstage.io/x': 'y',
  'eventmesh-catalog.dev/consumed-by': 'everybody',
  'eventmesh-catalog.dev/object': 'Secret a/b',
  'not a key': 'x',
};

it.each([
  { patterns: [], kept: [] },
  { patterns: ['plain'], kept: ['plain'] },
  { patterns: ['example.com/*'], kept: ['example.com/runbook'] },
  { patterns: ['eventmesh-catalog.dev/*'], kept: [] },
  { patterns: ['*'], kept: ['example.com/runbook', 'other.example.com/x', 'plain'] },
  {
    patterns: ['backstage.io/view-url', 'backstage.io/source-location'],
    kept: ['backstage.io/source-location', 'backstage.io/view-url'],
  },
  // Not with a value that sends people somewhere else than to a page.
  { patterns: ['backstage.io/edit-url', 'backstage.io/techdocs-ref'], kept: [] },
  // Not even where it was configured: the configuration refuses it, and so does this.
  { patterns: ['backstage.io/managed-by-location', 'backstage.io/orphan'], kept: [] },
])('passes on of annotations what $patterns allow', ({ patterns, kept }) => {
  expect(Object.keys(annotationsOf(meta('a', 'b', { annotations: ANNOTATIONS }), patterns)).sort()).toEqual(kept);
});

it.each([
  ['*', undefined],
  ['example.com/*', undefined],
  ['backstage.io/techdocs-ref', undefined],
  ['backstage.io/*', 'would let workloads speak for Backstage'],
  ['x.backstage.io/*', 'would let workloads speak for Backstage'],
  ['backstage.io/managed-by-origin-location', 'is written by the catalog or this module'],
  ['backstage.io/orphan', 'is written by the catalog or this module'],
  ['eventmesh-catalog.dev/consumed-by', 'is written by the catalog or this module'],
  ['two words', 'is no key'],
  ['', 'is no key'],
  ['*/x', 'is no key'],
])('finds in the pattern %s the flaw %s', (pattern, flaw) => {
  const found = patternFlaw(pattern);
  expect(flaw === undefined ? found : found?.slice(0, flaw.length)).toBe(flaw);
});

it('passes on the labels that Backstage takes', () => {
  const labels = {
    team: 'blue',
    empty: '',
    'app.kubernetes.io/name': 'shop',
    'backstage.io/kubernetes-id': 'orders',
    $text: 'x',
    long: 'x'.repeat(64),
    'A.b/c': 'x',
  };
  expect(labelsOf(meta('a', 'b', { labels }))).toEqual({ team: 'blue', empty: '', 'app.kubernetes.io/name': 'shop' });
});

it('passes on one of those whose keys differ in nothing but case, which Backstage takes for one', () => {
  const pairs = { 'example.com/tier': 'a', 'example.com/Tier': 'b', 'eventmesh-catalog.dev/Object': 'c' };
  const of = meta('a', 'b', { labels: pairs, annotations: pairs });
  expect(annotationsOf(of, ['*'])).toEqual({ 'example.com/Tier': 'b' });
  expect(Object.keys(labelsOf(of))).toEqual(['eventmesh-catalog.dev/Object', 'example.com/Tier']);
});

it('marks control characters, but for those of lines and columns', () => {
  expect(printable('a\r\nb\tc\u0000\u001b\u007fd')).toBe('a\r\nb\tc\ufffd\ufffd\ufffdd');
});

it.each([
  ['https://example.com/x', 'https://example.com/x'],
  ['https://example.com/50%off%20#/a#b', 'https://example.com/50%25off%20#/a%23b'],
  ['https://example.com/#', 'https://example.com/#'],
  ['http://example.com', 'http://example.com/'],
  ['https://example.com/a b/{c}?d={e}|f#[g]', 'https://example.com/a%20b/%7Bc%7D?d=%7Be%7D%7Cf#%5Bg%5D'],
  ['https://[::1]:80/x', 'https://[::1]:80/x'],
  ['https://ü.example/ü', 'https://xn--tda.example/%C3%BC'],
  ['https://me:secret@example.com', undefined],
  ['ftp://example.com', undefined],
  ['data:text/html,x', undefined],
  ['https://', undefined],
  ['//example.com', undefined],
  ['', undefined],
  [undefined, undefined],
])('makes of %s the address %s', (text, expected) => {
  expect(httpUrl(text)).toBe(expected);
});
