// Made from openapi/v1.json by `npm run generate`; do not edit.

/** What an answer has to look like, as JSON Schema 2020-12. */
export const schema = {
  $ref: '#/$defs/EventMesh',
  $defs: {
    Broker: {
      allOf: [
        { $ref: '#/$defs/Meta' },
        {
          type: 'object',
          required: ['providedEventTypes'],
          properties: { providedEventTypes: { type: 'array', items: { type: 'string' } } },
        },
      ],
    },
    EventMesh: {
      type: 'object',
      required: ['eventTypes', 'brokers', 'subscribables', 'sources'],
      properties: {
        brokers: { type: 'array', items: { $ref: '#/$defs/Broker' } },
        eventTypes: { type: 'array', items: { $ref: '#/$defs/EventType' } },
        sources: { type: 'array', items: { $ref: '#/$defs/Source' } },
        subscribables: { type: 'array', items: { $ref: '#/$defs/Subscribable' } },
      },
    },
    EventType: {
      allOf: [
        { $ref: '#/$defs/Meta' },
        {
          type: 'object',
          required: ['type', 'consumedBy'],
          properties: {
            consumedBy: { type: 'array', items: { type: 'string' } },
            description: { type: 'string' },
            reference: { $ref: '#/$defs/Reference' },
            schemaData: { type: 'string' },
            schemaURL: { type: 'string' },
            type: { type: 'string' },
          },
        },
      ],
    },
    Meta: {
      type: 'object',
      required: ['namespace', 'name', 'uid', 'labels', 'annotations'],
      properties: {
        annotations: { type: 'object', additionalProperties: { type: 'string' }, propertyNames: { type: 'string' } },
        labels: { type: 'object', additionalProperties: { type: 'string' }, propertyNames: { type: 'string' } },
        name: { type: 'string' },
        namespace: { type: 'string' },
        uid: { type: 'string' },
      },
    },
    Reference: {
      type: 'object',
      required: ['group', 'kind', 'namespace', 'name'],
      properties: {
        group: { type: 'string' },
        kind: { type: 'string' },
        name: { type: 'string' },
        namespace: { type: 'string' },
      },
    },
    Source: {
      allOf: [
        { $ref: '#/$defs/Meta' },
        {
          type: 'object',
          required: ['group', 'kind', 'providedEventTypeTypes', 'providedEventTypes'],
          properties: {
            group: { type: 'string' },
            kind: { type: 'string' },
            providedEventTypeTypes: { type: 'array', items: { type: 'string' } },
            providedEventTypes: { type: 'array', items: { type: 'string' } },
            sink: { $ref: '#/$defs/Reference' },
          },
        },
      ],
    },
    Subscribable: {
      allOf: [
        { $ref: '#/$defs/Meta' },
        {
          type: 'object',
          required: ['group', 'kind', 'providedEventTypes'],
          properties: {
            group: { type: 'string' },
            kind: { type: 'string' },
            providedEventTypes: { type: 'array', items: { type: 'string' } },
          },
        },
      ],
    },
  },
};
