/**
 * Which answer of the service the catalog holds.
 *
 * The catalog itself says so, on the Location of the provider, which each full mutation writes together with all other
 * entities. So it is true for all replicas of a backend, whichever of them polled last, and for a database that was
 * restored.
 */

import { createHash } from 'node:crypto';
import type { Entity } from '@backstage/catalog-model';
import { ANNOTATION_STATE } from './model';
import type { MappingConfig, Own } from './mapping';

/** To be changed whenever equal answers give other entities than before. */
const MAPPING_VERSION = 1;

export interface State {
  /** The `ETag` of the answer. */
  etag: string;
  /** What else the entities depend on, see {@link mappingKey}. */
  mapping: string;
}

/** A text that is another one whenever equal answers may give other entities. */
export function mappingKey(url: string, config: MappingConfig, own: Own): string {
  const text = JSON.stringify([MAPPING_VERSION, url, config, own]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

export function writeState({ etag, mapping }: State): string {
  return `${mapping} ${etag}`;
}

/** What the Location of the provider says, if anything. */
export function readState(location: Entity | undefined): State | undefined {
  const [, mapping, etag] = location?.metadata.annotations?.[ANNOTATION_STATE]?.match(/^(\S+) (.+)$/) ?? [];
  return mapping && etag ? { mapping, etag } : undefined;
}

/**
 * Which answer the catalog holds as far as this backend can tell.
 *
 * The catalog shows a mutation some time after it was applied. Until what it says moves on, what was applied here counts.
 */
export class Applied {
  private last?: { state: State | undefined; before: State | undefined };

  /** Notes what was applied, and what the catalog showed before. Of an answer without a tag nothing is known. */
  record(state: State | undefined, before: State | undefined): void {
    this.last = { state, before };
  }

  current(shown: State | undefined): State | undefined {
    return this.last && isSame(shown, this.last.before) ? this.last.state : shown;
  }
}

function isSame(a: State | undefined, b: State | undefined): boolean {
  return a?.etag === b?.etag && a?.mapping === b?.mapping;
}
