/**
 * What an event type declares as the schema of its data, fit to stand in an AsyncAPI document.
 *
 * What must stay true: whatever is declared, by whomever, costs little and gives a valid part of a document or nothing;
 * nothing in it is loaded from elsewhere.
 */

import Ajv from 'ajv';
import type { JsonObject, JsonValue } from '@backstage/types';

/**
 * The largest schema that is embedded, in characters, how deep it may be, and how large with indents, in steps of indent.
 * Others are shown as texts.
 */
const MAX_LENGTH = 256 * 1024;
const MAX_DEPTH = 64;
const MAX_INDENT = 512 * 1024;
/** How many values may be enumerated, and how many where they are objects or lists: each is held against all others. */
const MAX_VALUES = 1_000;
const MAX_OBJECTS = 100;
/** How many types there are. */
const MAX_TYPES = 7;

/** Keywords whose value is a map: its keys are names that the schema describes, and no keywords. */
const MAPS = new Set([
  'properties',
  'patternProperties',
  'definitions',
  '$defs',
  'dependencies',
  'dependentRequired',
  'dependentSchemas',
]);

/** Keywords whose value is data, which says nothing of schemas. */
const DATA = new Set(['const', 'default', 'enum', 'examples']);

/**
 * Keywords that say where a schema is, that AsyncAPI takes for something else than JSON Schema or OpenAPI do, or that
 * JavaScript does.
 */
const DROPPED = new Set([
  '$schema',
  '$id',
  'id',
  '$anchor',
  '$dynamicAnchor',
  '$dynamicRef',
  '$recursiveAnchor',
  '$recursiveRef',
  'deprecated',
  'discriminator',
  'externalDocs',
  'schema',
  'schemaFormat',
]);

const ajv = new Ajv({ strict: false, logger: false });

/**
 * The schema that a text is, to be embedded at a place of a document, with its references to itself pointing there.
 * References to elsewhere are told, not followed. Nothing where the text is no JSON Schema.
 */
export function embeddedSchema(text: string | undefined, place: string): JsonObject | undefined {
  const declared = parseObject(text);
  if (!declared || !isSchema(declared)) {
    return undefined;
  }
  const references: Reference[] = [];
  const schema = moved(declared, undefined, references) as JsonObject;
  for (const { holder, to } of references) {
    const steps = stepsOf(to);
    if (steps && isObject(at(schema, steps))) {
      holder.$ref = place + steps.map(step => `/${escaped(step)}`).join('');
    } else {
      holder.description = `See ${to}`;
    }
  }
  return schema;
}

/** A reference, and the schema that is to become it. */
interface Reference {
  holder: JsonObject;
  to: string;
}

function parseObject(text: string | undefined): JsonObject | undefined {
  if (!text || text.length > MAX_LENGTH) {
    return undefined;
  }
  try {
    const value: JsonValue = JSON.parse(text);
    return isObject(value) && isBearable(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether JSON Schema takes it for one, whichever version it is of. */
function isSchema({ $schema: _version, ...schema }: JsonObject): boolean {
  return ajv.validateSchema(schema) === true;
}

/**
 * Whether a schema is no deeper and wider than viewers can take it, and has nothing that they take for something else.
 * Level by level, as recursion ends where the stack does.
 */
function isBearable(schema: JsonObject): boolean {
  let level: JsonValue[] = [schema];
  let indent = 0;
  for (let depth = 0; level.length > 0; depth += 1) {
    indent += depth * level.length;
    if (depth > MAX_DEPTH || indent > MAX_INDENT || level.some(isUnbearable)) {
      return false;
    }
    level = level.flatMap(it => (isNested(it) ? (Object.values(it) as JsonValue[]) : []));
  }
  return true;
}

/** A property called `$ref`, which is taken for a reference; numbers that are none in JSON; or too much to compare. */
function isUnbearable(value: JsonValue): boolean {
  if (!isObject(value)) {
    return typeof value === 'number' && !Number.isFinite(value);
  }
  const isReference = !('$ref' in value) || typeof value.$ref === 'string';
  return !isReference || areTooMany(value.enum) || (Array.isArray(value.type) && value.type.length > MAX_TYPES);
}

function areTooMany(values: JsonValue | undefined): boolean {
  if (!Array.isArray(values)) {
    return false;
  }
  return values.length > MAX_VALUES || values.filter(isNested).length > MAX_OBJECTS;
}

/** The schema or, behind one of the keywords for that, map of schemas. */
function moved(value: JsonValue, map: string | undefined, references: Reference[]): JsonValue {
  if (Array.isArray(value)) {
    return value.map(item => moved(item, undefined, references));
  }
  if (!isObject(value)) {
    return value;
  }
  const result: JsonObject = {};
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined || key === '__proto__' || key === '$ref' || !(map ? isName(map, key) : isKept(key, item))) {
      continue;
    }
    result[key] = !map && DATA.has(key) ? item : moved(item, !map && MAPS.has(key) ? key : undefined, references);
  }
  if (typeof value.$ref === 'string' && !map) {
    const holder: JsonObject = {};
    references.push({ holder, to: value.$ref });
    if (Object.keys(result).length === 0) {
      return holder;
    }
    // Beside a reference others are passed over; here they may be what it refers to.
    result.allOf = [...(Array.isArray(result.allOf) ? result.allOf : []), holder];
  }
  return result;
}

function isKept(key: string, item: JsonValue): boolean {
  if (key === 'pattern') {
    return typeof item === 'string' && isPattern(item);
  }
  // Viewers follow references wherever they are, in data as well.
  return !DROPPED.has(key) && !(DATA.has(key) && JSON.stringify(item).includes('"$ref":'));
}

/** Whether a key of a map is a name there. */
function isName(map: string, key: string): boolean {
  return map !== 'patternProperties' || isPattern(key);
}

function isPattern(text: string): boolean {
  try {
    return Boolean(new RegExp(text, 'u'));
  } catch {
    return false;
  }
}

/** The keys that a pointer to a part of its own document leads along. */
function stepsOf(reference: string): string[] | undefined {
  const [, pointer] = reference.match(/^#(|\/.*)$/s) ?? [];
  try {
    const decoded = pointer === undefined ? undefined : decodeURIComponent(pointer);
    return decoded
      ?.split('/')
      .slice(1)
      .map(step => step.replace(/~1/g, '/').replace(/~0/g, '~'));
  } catch {
    return undefined;
  }
}

function at(value: JsonValue | undefined, steps: string[]): JsonValue | undefined {
  return steps.reduce<JsonValue | undefined>(
    (place, step) => (isNested(place) && Object.hasOwn(place, step) ? (place as JsonObject)[step] : undefined),
    value,
  );
}

function escaped(step: string): string {
  return encodeURIComponent(step.replace(/~/g, '~0').replace(/\//g, '~1'));
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return isNested(value) && !Array.isArray(value);
}

/** Whether it is an object or a list. */
function isNested(value: JsonValue | undefined): value is JsonObject | JsonValue[] {
  return typeof value === 'object' && value !== null;
}
