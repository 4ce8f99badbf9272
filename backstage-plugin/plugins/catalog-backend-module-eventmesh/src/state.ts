/**
 * Which answer of the service the catalog holds.
 *
 * The catalog itself says so, on the Location of the provider, which each full mutation writes together with all other
 * entities. So it is true for all replicas of a backend, whichever of them polled last, and for a database that was
 * restored.
 */

import { createHash, randomBytes } from 'node:crypto';
import { ANNOTATION_ORIGIN_LOCATION, type Entity } from '@backstage/catalog-model';
import type { MappingConfig } from './mapping';
import { ANNOTATION_STATE } from './model';

/** To be changed whenever equal answers give other entities than before, so that an upgrade shows at once. */
export const MAPPING_VERSION = 2;

/**
 * For how long it counts what was applied. Then it is applied again: something else may have taken an entity out of the
 * catalog, or have let one in that was kept out.
 */
const GOOD_FOR_MS = 3_600_000;

/** For how long the catalog may take to show what was applied. */
const SHOWN_WITHIN_MS = 300_000;

/** What one mutation wrote. */
export interface State {
  /** Which mutation it was: two can write the same. */
  mutation: string;
  /** When that was, in milliseconds since 1970. */
  at: number;
  /** The `ETag` of the answer. */
  etag: string;
  /** What else the entities depend on, see {@link mappingKey}. */
  mapping: string;
}

/** A text that is another one whenever equal answers may give other entities. */
export function mappingKey(url: string, config: MappingConfig): string {
  const text = JSON.stringify([MAPPING_VERSION, url, config]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** What a mutation is about to write. Of an answer without a tag nothing can be known later. */
export function newState(etag: string | undefined, mapping: string, now: number): State | undefined {
  return etag === undefined ? undefined : { mutation: randomBytes(8).toString('hex'), at: now, etag, mapping };
}

export function writeState(state: State | undefined): string {
  return state ? `${state.mapping} ${state.mutation} ${state.at} ${state.etag}` : '';
}

/** What the Location of a provider says, if it is that provider's and says anything. */
export function readState(location: Entity | undefined, origin: string): State | undefined {
  const { [ANNOTATION_STATE]: text, [ANNOTATION_ORIGIN_LOCATION]: from } = location?.metadata.annotations ?? {};
  const [, mapping, mutation, at, etag] = text?.match(/^(\S+) (\S+) (\d+) (.+)$/) ?? [];
  return from === origin && etag ? { mapping, mutation, at: Number(at), etag } : undefined;
}

/**
 * Which answer the catalog holds as far as this backend can tell.
 *
 * The catalog shows a mutation some time after it was applied. Until what it says moves on, what was applied here counts.
 */
export class Applied {
  private last?: { state: State; before: State | undefined };

  /** Notes what was applied, and what the catalog showed before. */
  record(state: State | undefined, before: State | undefined): void {
    this.last = state && { state, before };
  }

  /** The tag of the answer that the catalog holds, if that is of use. */
  etag(shown: State | undefined, mapping: string, now: number): string | undefined {
    const state = this.current(shown, now);
    return state?.mapping === mapping && age(state, now) < GOOD_FOR_MS ? state.etag : undefined;
  }

  private current(shown: State | undefined, now: number): State | undefined {
    const { state, before } = this.last ?? {};
    const isOnItsWay = state && shown?.mutation === before?.mutation && age(state, now) < SHOWN_WITHIN_MS;
    return isOnItsWay ? state : shown;
  }
}

/** Clocks of other backends may be ahead. */
function age({ at }: State, now: number): number {
  return Math.abs(now - at);
}
