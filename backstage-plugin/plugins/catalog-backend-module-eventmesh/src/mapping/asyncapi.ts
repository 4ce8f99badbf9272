/**
 * An event type as an AsyncAPI 3.0.0 document, which Backstage shows with its channel, message and schema.
 *
 * What must stay true: the document is valid whatever a workload declares, and nothing in it is loaded from elsewhere by
 * whoever looks at it. A schema that is no JSON Schema is shown as the text that it is.
 */

import Ajv from 'ajv';
import type { JsonObject, JsonValue } from '@backstage/types';
import { describeObject, type EventType } from '../model';
import { httpUrl } from './metadata';

/** Where the schema of the data goes, as a JSON pointer in the document. */
const DATA = '#/components/schemas/data';

const ajv = new Ajv({ strict: false, logger: false });

/** The document as JSON: one channel, the whole event as its one message, one operation, which is to receive it. */
export function asyncApiDocument(eventType: EventType): string {
  const schema = dataSchema(eventType.schemaData);
  const url = httpUrl(eventType.schemaURL);
  const channel = eventType.reference && describeObject(eventType.reference);
  const document = {
    asyncapi: '3.0.0',
    info: {
      title: eventType.type || eventType.name,
      // There has to be one, and it is shown behind the title.
      version: '(current)',
      description: eventType.description,
    },
    channels: {
      events: {
        // Brokers and channels have an address only in a cluster, and each subscriber has its own.
        address: null,
        title: channel,
        messages: {
          event: {
            name: eventType.type || undefined,
            description: schema ? undefined : asText(eventType.schemaData),
            contentType: 'application/cloudevents+json',
            externalDocs: url && { description: 'Schema of the data', url },
            payload: cloudEvent(eventType, schema && { $ref: DATA }),
          },
        },
      },
    },
    operations: {
      receive: {
        action: 'receive',
        summary: channel && `Subscribe to ${channel}`,
        channel: { $ref: '#/channels/events' },
        messages: [{ $ref: '#/channels/events/messages/event' }],
      },
    },
    components: schema && { schemas: { data: schema } },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** The schema of a whole event: the attributes that each event has, and the data as far as it is known. */
function cloudEvent({ type }: EventType, data?: JsonObject): JsonObject {
  const text = { type: 'string', minLength: 1 };
  // A template such as `geo.{entity}.changed` stands for many types (semantics.md 4.1).
  const isLiteral = type !== '' && !/[{}\\]/.test(type);
  return {
    type: 'object',
    required: ['specversion', 'id', 'source', 'type'],
    properties: {
      specversion: { type: 'string', const: '1.0' },
      id: text,
      source: text,
      type: isLiteral ? { type: 'string', const: type } : { ...text, ...(type && { description: type }) },
      ...(data && { data }),
    },
  };
}

/** What is declared, where that is a JSON Schema, fit for its place in the document. */
function dataSchema(text: string | undefined): JsonObject | undefined {
  const declared = parseObject(text);
  if (!declared) {
    return undefined;
  }
  const { $schema: _dialect, $id: _id, ...schema } = declared;
  return ajv.validateSchema(schema) === true ? (moved(schema, schema) as JsonObject) : undefined;
}

function parseObject(text: string | undefined): JsonObject | undefined {
  try {
    const value: JsonValue = JSON.parse(text ?? '');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A schema whose references to itself follow it to its place; others are told, as nothing is there to be loaded. */
function moved(value: JsonValue | undefined, schema: JsonObject): JsonValue | undefined {
  if (Array.isArray(value)) {
    return value.map(item => moved(item, schema) ?? null);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const { $ref: reference, ...others } = value;
  if (typeof reference === 'string') {
    return pointsInto(reference, schema)
      ? { $ref: `${DATA}${reference.slice(1)}` }
      : { description: `See ${reference}` };
  }
  return Object.fromEntries(Object.entries(others).map(([key, item]) => [key, moved(item, schema)]));
}

function pointsInto(reference: string, schema: JsonObject): boolean {
  if (!/^#(\/|$)/.test(reference)) {
    return false;
  }
  let place: JsonValue | undefined = schema;
  for (const step of reference.slice(2).split('/').filter(Boolean)) {
    const key = step.replace(/~1/g, '/').replace(/~0/g, '~');
    place =
      typeof place === 'object' && place !== null && Object.hasOwn(place, key) ? (place as JsonObject)[key] : undefined;
  }
  return typeof place === 'object' && place !== null;
}

function asText(schema: string | undefined): string | undefined {
  if (!schema) {
    return undefined;
  }
  // A fence longer than any run of backticks in the text.
  const fence = '`'.repeat(Math.max(3, ...[...schema.matchAll(/`+/g)].map(([run]) => run.length + 1)));
  return `The schema of the data, as it is declared:\n\n${fence}\n${schema}\n${fence}`;
}
