/**
 * What of an object's labels and annotations an entity may have.
 *
 * What must stay true: Backstage refuses an entity as a whole where one label is none for it, so such labels are left
 * out; and what a workload writes never speaks for the catalog itself (`backstage.io/…`), unless somebody who configures
 * the portal allowed that key, and then only with a value of the right form.
 */

import { KubernetesValidatorFunctions } from '@backstage/catalog-model';
import type { Meta } from '../model';

/** Annotations that the catalog and this module live by: nobody else writes them. */
const NEVER = /^(backstage\.io\/(managed-by-|orphan$)|eventmesh-catalog\.dev\/(object|consumed-by|state)$)/;
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
  const allowed = Object.entries(meta.annotations).filter(
    ([key, value]) => isKey(key) && isAllowed(key, patterns) && isFit(key, value),
  );
  return Object.fromEntries(allowed);
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
  const fit = Object.entries(meta.labels).filter(
    ([key, value]) => isKey(key) && KubernetesValidatorFunctions.isValidLabelValue(value) && !RESERVED.test(key),
  );
  return Object.fromEntries(fit);
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
  // What browsers bear with and URIs do not.
  return href.startsWith(origin)
    ? origin + href.slice(origin.length).replace(/[[\]{}|\\^`<>"]/g, encodeURIComponent)
    : undefined;
}

function isKey(text: string): boolean {
  return KubernetesValidatorFunctions.isValidAnnotationKey(text);
}
