import { Parser } from '@asyncapi/parser';
import type { EventType } from '../model';
import { brokerRef, eventType } from '../__testUtils__/meshes';
import { asyncApiDocument } from './asyncapi';

const parser = new Parser();

/** The document, which has to be one for AsyncAPI's own parser, and to need nothing from elsewhere. */
async function document(more: Partial<EventType>) {
  const text = asyncApiDocument(eventType('shop', 'order-created', more));
  const { document: parsed, diagnostics } = await parser.parse(text);
  expect(diagnostics.filter(it => it.severity === 0)).toEqual([]);
  expect(parsed).toBeDefined();
  expect(text).not.toMatch(/"\$ref": "[^#]/);
  return JSON.parse(text);
}

it('describes the event, its channel and its data', async () => {
  const found = await document({
    type: 'com.example.order.created',
    description: 'A customer placed an order.',
    reference: brokerRef('shop', 'orders'),
    schemaData: '{"type": "object", "properties": {"id": {"type": "string"}}}',
    schemaURL: 'https://schemas.example.com/order.json',
  });
  expect(found).toEqual({
    asyncapi: '3.0.0',
    info: {
      title: 'com.example.order.created',
      version: '(current)',
      description: 'A customer placed an order.',
    },
    channels: {
      events: {
        address: null,
        title: 'Broker.eventing.knative.dev shop/orders',
        messages: {
          event: {
            name: 'com.example.order.created',
            contentType: 'application/cloudevents+json',
            externalDocs: { description: 'Schema of the data', url: 'https://schemas.example.com/order.json' },
            payload: {
              type: 'object',
              required: ['specversion', 'id', 'source', 'type'],
              properties: {
                specversion: { type: 'string', const: '1.0' },
                id: { type: 'string', minLength: 1 },
                source: { type: 'string', minLength: 1 },
                type: { type: 'string', const: 'com.example.order.created' },
                data: { $ref: '#/components/schemas/data' },
              },
            },
          },
        },
      },
    },
    operations: {
      receive: {
        action: 'receive',
        summary: 'Subscribe to Broker.eventing.knative.dev shop/orders',
        channel: { $ref: '#/channels/events' },
        messages: [{ $ref: '#/channels/events/messages/event' }],
      },
    },
    components: { schemas: { data: { type: 'object', properties: { id: { type: 'string' } } } } },
  });
});

const dataOf = (found: any) => found.components?.schemas.data;
const messageOf = (found: any) => found.channels.events.messages.event;

it.each<[string, object, object]>([
  ['nothing', { type: 'string' }, { type: 'string' }],
  ['itself', { items: { $ref: '#' } }, { items: { $ref: '#/components/schemas/data' } }],
  [
    'a part of itself',
    { $defs: { 'a/b': { type: 'string' }, '': {} }, items: [{ $ref: '#/$defs/a~1b' }, { $ref: '#/$defs/' }] },
    {
      $defs: { 'a/b': { type: 'string' }, '': {} },
      items: [{ $ref: '#/components/schemas/data/%24defs/a~1b' }, { $ref: '#/components/schemas/data/%24defs/' }],
    },
  ],
  [
    'a part beside the reference, as generators write it',
    { $ref: '#/definitions/Order', definitions: { Order: { type: 'object' } } },
    { definitions: { Order: { type: 'object' } }, allOf: [{ $ref: '#/components/schemas/data/definitions/Order' }] },
  ],
  [
    'something below a reference',
    { properties: { a: { $ref: '#/properties/b', items: {} }, b: { $ref: '#/properties/a/items' } } },
    {
      properties: {
        a: { items: {}, allOf: [{ $ref: '#/components/schemas/data/properties/b' }] },
        b: { $ref: '#/components/schemas/data/properties/a/items' },
      },
    },
  ],
  ['what is not there', { items: { $ref: '#/$defs/x' } }, { items: { description: 'See #/$defs/x' } }],
  ['elsewhere', { items: { $ref: 'https://x.example/y' } }, { items: { description: 'See https://x.example/y' } }],
  ['a file', { allOf: [{ $ref: './y.json#/z' }] }, { allOf: [{ description: 'See ./y.json#/z' }] }],
  ['what no pointer is', { items: { $ref: '#/%' } }, { items: { description: 'See #/%' } }],
])('takes a schema that refers to %s', async (_, schema, expected) => {
  expect(dataOf(await document({ schemaData: JSON.stringify(schema) }))).toEqual(expected);
});

it.each<[string, string, object]>([
  [
    'another dialect',
    '{"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "x", "const": 1}',
    { const: 1 },
  ],
  ['a property called deprecated', '{"properties": {"deprecated": {}}}', { properties: { deprecated: {} } }],
  [
    'data that look like a reference',
    '{"const": {"$ref": "https://x.example/y"}, "type": "object"}',
    { type: 'object' },
  ],
  [
    'data with words of schemas',
    '{"enum": [{"id": 1}, {"id": 2}], "examples": [{"id": "1", "deprecated": true}], "dependentRequired": {"id": ["a"]}}',
    {
      enum: [{ id: 1 }, { id: 2 }],
      examples: [{ id: '1', deprecated: true }],
      dependentRequired: { id: ['a'] },
    },
  ],
  [
    'words of OpenAPI',
    '{"discriminator": {"propertyName": "x"}, "externalDocs": 1, "deprecated": "no", "type": "object"}',
    { type: 'object' },
  ],
  ['words of AsyncAPI', '{"schemaFormat": "x", "schema": {}, "type": "object"}', { type: 'object' }],
  [
    'words of JavaScript',
    '{"__proto__": {"type": 1}, "properties": {"__proto__": {}, "constructor": {}}}',
    { properties: { constructor: {} } },
  ],
  ['a pattern that is none', '{"pattern": "(", "type": "string"}', { type: 'string' }],
  [
    'a pattern of properties that is none',
    '{"patternProperties": {"(?i)^x-": {}, "^y-": {}}}',
    { patternProperties: { '^y-': {} } },
  ],
])('takes a schema with %s', async (_, schemaData, expected) => {
  expect(dataOf(await document({ schemaData }))).toEqual(expected);
});

it.each([
  ['text', 'a = b'],
  ['an Avro schema', '{"type": "record", "name": "Order", "fields": []}'],
  ['a list', '[1]'],
  ['a fence', '```\n~~~~\n`````'],
  ['a schema that is none', '{"properties": 1}'],
  ['a schema with a property called $ref', '{"properties": {"$ref": {"type": "string"}}}'],
  ['a schema with a property $ref that is anything', '{"properties": {"$ref": true}}'],
  ['a number that is none in JSON', '{"maximum": 1e400}'],
  [
    'a schema with more values than can be compared',
    JSON.stringify({ enum: Array.from({ length: 1_001 }, (_, n) => n) }),
  ],
  [
    'a schema with more objects than can be compared',
    JSON.stringify({ enum: Array.from({ length: 101 }, () => ({})) }),
  ],
  ['a schema with more types than there are', JSON.stringify({ type: Array.from({ length: 5_000 }, (_, n) => n) })],
  ['a schema that is large with indents', `{"enum": ${'['.repeat(60)}${'0,'.repeat(20_000)}0${']'.repeat(60)}}`],
  ['what is too deep', `${'{"not":'.repeat(1_000)}{}${'}'.repeat(1_000)}`],
])('shows %s as it is', async (_, schemaData) => {
  const found = await document({ schemaData });
  expect(dataOf(found)).toBeUndefined();
  expect(messageOf(found).description).toContain(`\n${schemaData}\n`);
  const [fence] = messageOf(found).description.match(/^`+$/m);
  expect(schemaData).not.toContain(fence);
});

it.each([
  ['com.example.x', { type: 'string', const: 'com.example.x' }],
  ['com.{entity}.x', { type: 'string', minLength: 1, description: 'com.{entity}.x' }],
  ['', { type: 'string', minLength: 1 }],
])('describes the type %s', async (type, expected) => {
  expect(messageOf(await document({ type })).payload.properties.type).toEqual(expected);
});

it('is bounded, whatever is declared', async () => {
  for (const schemaData of ['` '.repeat(400_000), JSON.stringify({ enum: ['x'.repeat(300_000)] })]) {
    const text = asyncApiDocument(eventType('a', 'b', { schemaData }));
    expect(text.length).toBeLessThan(100_000);
    expect((await parser.parse(text)).document).toBeDefined();
  }
});

it.each([
  'https://x.example/a b',
  'https://x.example/{a}',
  'https://x.example/ü?[a]=|',
  'https://x.example/50%off',
  'https://x.example/#/a#b',
])('links to %s', async schemaURL => {
  expect(messageOf(await document({ schemaURL })).externalDocs.url).toMatch(/^https:\/\/x\.example\//);
});

it.each(['data:text/html,x', 'schemas/order', ''])('does not link to %s', async schemaURL => {
  expect(messageOf(await document({ schemaURL })).externalDocs).toBeUndefined();
});
