/**
 * An event type as an AsyncAPI 3.0.0 document, which Backstage shows with its channel, message and schema.
 *
 * What must stay true: the document is valid whatever a workload declares, and nothing in it is loaded from elsewhere by
 * whoever looks at it. A schema that is no JSON Schema is shown as the text that it is.
 */

import type { JsonObject } from '@backstage/types';
import { describeObject, type EventType } from '../model';
import { httpUrl } from './metadata';
import { embeddedSchema } from './schema';

/** Where the schema of the data goes, as a JSON pointer in the document. */
const DATA = '#/components/schemas/data';

/** The document as JSON: one channel, the whole event as its one message, one operation, which is to receive it. */
export function asyncApiDocument(eventType: EventType): string {
  const schema = embeddedSchema(eventType.schemaData, DATA);
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

/** The longest text that is shown of what is no schema, in characters. */
const MAX_TEXT = 64 * 1024;

function asText(declared: string | undefined): string | undefined {
  if (!declared) {
    return undefined;
  }
  const text = declared.length > MAX_TEXT ? `${declared.slice(0, MAX_TEXT)}…` : declared;
  // A fence longer than any run of backticks in the text.
  const longest = [...text.matchAll(/`+/g)].reduce((length, [run]) => Math.max(length, run.length), 2);
  const fence = '`'.repeat(longest + 1);
  return `The schema of the data, as it is declared:\n\n${fence}\n${text}\n${fence}`;
}
