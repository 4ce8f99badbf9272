/**
 * What of an object's labels and annotations an entity may have.
 *
 * What must stay true: Backstage refuses an entity as a whole where one label is none for it, where two keys differ in
 * nothing but case, or where a text has a character that databases do not take, so nothing of that gets there; and what a
 * workload writes never speaks for the catalog itself (`backstage.io/…`), unless somebody who configures the portal
 * allowed that key, and then only with a value of the right form.
 */

import { KubernetesValidatorFunctions } from '@backstage/catalog-model';
import type { Meta } from '../model';

/** Annotations that the catalog and this module live by: nobody else writes them. */
const NEVER = /^(backstage\.io\/(managed-by-|orphan$)|eventmesh-catalog\.dev\/(object|consumed-by|state)$)/i;
const RESERVED = /^([^/]*\.)?backstage\.io\//;
/** Annotations that are addresses, perhaps behind the word `url:`; people are sent there. */
const URLS = /^backstage\.io\/(view-url|edit-url|source-location|techdocs-ref)$/;

/** A key, all keys of a host (`example.com/*`), or all keys but those of Backstage (`*`). */
export type AnnotationPattern = string;

/** What is wrong with a pattern, if anything. */
export function patternFlaw(pattern: AnnotationPattern): string | undefined {
  if (pattern === '*') {
    return undefined;
  }
  const isHost = pattern.endsWith('/*');
  if (!isKey(isHost ? `${pattern.slice(0, -2)}/x` : pattern)) {
    return 'is no key of an annotation; write a key, `<host>/*` or `*`';
  }
  if (isHost && RESERVED.test(pattern)) {
    return 'would let workloads speak for Backstage; name each key that they may write';
  }
  return NEVER.test(pattern) ? 'is written by the catalog or this module; leave it out' : undefined;
}

/** The annotations that may be passed on. */
export function annotationsOf(meta: Meta, patterns: readonly AnnotationPattern[]): Record<string, string> {
  return distinct(meta.annotations, (key, value) => isKey(key) && isAllowed(key, patterns) && isFit(key, value));
}

function isAllowed(key: string, patterns: readonly AnnotationPattern[]): boolean {
  if (NEVER.test(key)) {
    return false;
  }
  if (RESERVED.test(key)) {
    return patterns.includes(key);
  }
  const host = `${key.split('/')[0]}/*`;
  return patterns.some(pattern => pattern === '*' || pattern === key || (key.includes('/') && pattern === host));
}

function isFit(key: string, value: string): boolean {
  return !URLS.test(key) || httpUrl(value.replace(/^url:/, '')) !== undefined;
}

/** The labels that Backstage takes. */
export function labelsOf(meta: Meta): Record<string, string> {
  return distinct(
    meta.labels,
    (key, value) => isKey(key) && KubernetesValidatorFunctions.isValidLabelValue(value) && !RESERVED.test(key),
  );
}

/** Those that are wanted; of keys that differ in nothing but case, the first. */
function distinct(
  pairs: Record<string, string>,
  isWanted: (key: string, value: string) => boolean,
): Record<string, string> {
  const known = new Set<string>();
  const wanted = Object.entries(pairs)
    .filter(([key, value]) => isWanted(key, value))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .filter(([key]) => known.size < known.add(key.toLowerCase()).size);
  return Object.fromEntries(wanted);
}

/** A text with marks in place of control characters, which people do not see and databases do not take. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '\ufffd');
}

/** What an annotation or, where there is none, a label says, by the first of these keys that is there. */
export function saidBy(meta: Meta, keys: readonly string[]): string | undefined {
  return keys.map(key => meta.annotations[key] || meta.labels[key]).find(Boolean);
}

/** The address that a text is, written as a URI, where a browser can open it. */
export function httpUrl(text: string | undefined): string | undefined {
  if (text === undefined || !/^https?:\/\//.test(text) || !URL.canParse(text)) {
    return undefined;
  }
  const { href, origin } = new URL(text);
  if (!href.startsWith(origin)) {
    return undefined;
  }
  // What browsers bear with and URIs do not.
  const [path, ...fragment] = href
    .slice(origin.length)
    .replace(/[[\]{}|\\^`<>"]|%(?![0-9a-f]{2})/gi, encodeURIComponent)
    .split('#');
  return origin + path + (fragment.length > 0 ? `#${fragment.join('%23')}` : '');
}

function isKey(text: string): boolean {
  return KubernetesValidatorFunctions.isValidAnnotationKey(text);
}
