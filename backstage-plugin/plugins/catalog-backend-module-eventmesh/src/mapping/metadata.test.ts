import { meta } from '../__testUtils__/meshes';
import { annotationsOf, httpUrl, labelsOf, patternFlaw } from './metadata';

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
  'not a key': 'x',
};

it.each([
  { patterns: [], kept: [] },
  { patterns: ['plain'], kept: ['plain'] },
  { patterns: ['example.com/*'], kept: ['example.com/runbook'] },
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
  ['backstage.io/managed-by-origin-location', 'is written by the catalog itself'],
  ['backstage.io/orphan', 'is written by the catalog itself'],
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

it.each([
  ['https://example.com/x', true],
  ['http://example.com', true],
  ['ftp://example.com', false],
  ['data:text/html,x', false],
  ['https://', false],
  ['//example.com', false],
  ['', false],
  [undefined, false],
])('takes %s for an address that can be opened: %s', (text, expected) => {
  expect(httpUrl(text) !== undefined).toBe(expected);
});
