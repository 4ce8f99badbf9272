/**
 * What an object is called in the catalog.
 *
 * What must stay true: different objects have different names, in the catalog's sense, which does not tell upper from
 * lower case; a name depends on the object alone, so that it stays when others come and go; and the same names are given
 * by `eventmesh-catalog export --format backstage`.
 */

import { createHash } from 'node:crypto';
import { CommonValidatorFunctions, KubernetesValidatorFunctions } from '@backstage/catalog-model';
import type { ObjectRef } from '../model';

/** The longest name that Backstage takes, in characters. */
const LONGEST = 63;
/** How many hexadecimal digits set cut or changed names apart. */
const HASH_DIGITS = 16;

const EVENTING = 'eventing.knative.dev';
const MESSAGING = 'messaging.knative.dev';
const SOURCES = 'sources.knative.dev';

/** Kinds that neither group nor case can make ambiguous, as their names are those of Knative. */
const KNOWN: Record<string, string> = {
  Broker: EVENTING,
  EventType: EVENTING,
  Channel: MESSAGING,
  InMemoryChannel: MESSAGING,
  KafkaChannel: MESSAGING,
  ApiServerSource: SOURCES,
  ContainerSource: SOURCES,
  IntegrationSource: SOURCES,
  KafkaSource: SOURCES,
  PingSource: SOURCES,
  SinkBinding: SOURCES,
};

/**
 * `<kind>.<namespace>.<name>` where that says it all: kind and namespace have no dot, so the first two dots part it
 * again. Otherwise (another kind, characters that Backstage does not take, too long) the name of {@link hashedName}.
 */
export function entityName(object: ObjectRef): string {
  const text = plainText(object);
  const isPlain =
    Object.hasOwn(KNOWN, object.kind) &&
    KNOWN[object.kind] === object.group &&
    KubernetesValidatorFunctions.isValidNamespace(object.namespace) &&
    CommonValidatorFunctions.isValidDnsSubdomain(object.name) &&
    text.length <= LONGEST;
  return isPlain ? text : hashedName(object);
}

/**
 * As much of kind, namespace and name as can be kept, then `_` and a hash of group, kind, namespace and name as they
 * are. No name of an object has a `_`.
 */
export function hashedName(object: ObjectRef): string {
  const digits = hash(object);
  const kept = readable(plainText(object), LONGEST - 1 - HASH_DIGITS);
  return kept ? `${kept}_${digits}` : digits;
}

function plainText({ kind, namespace, name }: ObjectRef): string {
  return `${kind.toLowerCase()}.${namespace}.${name}`;
}

/** At most so much of a text, with a single `-` or `.` for everything that is no letter or digit. */
function readable(text: string, longest: number): string {
  const kept = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, run => (run.startsWith('.') ? '.' : '-'))
    .replace(/^[.-]/, '');
  return kept.slice(0, longest).replace(/[.-]$/, '');
}

function hash({ group, kind, namespace, name }: ObjectRef): string {
  const hasher = createHash('sha256');
  for (const part of [group, kind, namespace, name]) {
    // With its length, a part ends where it ends.
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(Buffer.byteLength(part)));
    hasher.update(length).update(part);
  }
  return hasher.digest('hex').slice(0, HASH_DIGITS);
}
