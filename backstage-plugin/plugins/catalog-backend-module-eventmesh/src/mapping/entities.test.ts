import { createHash } from 'node:crypto';
import {
  apiEntityV1alpha1Validator,
  componentEntityV1alpha1Validator,
  entityEnvelopeSchemaValidator,
  FieldFormatEntityPolicy,
  groupEntityV1alpha1Validator,
  locationEntityV1alpha1Validator,
  resourceEntityV1alpha1Validator,
  SchemaValidEntityPolicy,
  stringifyEntityRef,
  systemEntityV1alpha1Validator,
  type Entity,
} from '@backstage/catalog-model';
import type { EventMesh } from '../model';
import {
  broker,
  brokerRef,
  channel,
  eventType,
  mappingConfig,
  mesh,
  meta,
  smallMesh,
  source,
} from '../__testUtils__/meshes';
import { MAPPING_VERSION } from '../state';
import { entitiesOf, type MappingConfig } from './entities';

function entities(of: EventMesh, config: Partial<MappingConfig> = {}): Entity[] {
  return [...entitiesOf(of, mappingConfig(config), 'state')];
}

/** Those that stand for objects. */
function objects(of: EventMesh, config: Partial<MappingConfig> = {}): Entity[] {
  return entities(of, config).filter(it => it.metadata.name !== 'event-mesh');
}

const refs = (of: Entity[]) => of.map(it => stringifyEntityRef(it));

it('makes of a mesh what people look for', () => {
  const [location, system, group, api, orders, nightly] = entities(smallMesh());
  expect(refs([location, system, group])).toEqual([
    'location:dev/event-mesh',
    'system:dev/event-mesh',
    'group:dev/event-mesh',
  ]);
  const annotations = {
    'backstage.io/managed-by-location': 'eventmesh:dev',
    'backstage.io/managed-by-origin-location': 'eventmesh:dev',
  };
  const common = { lifecycle: 'production', owner: 'group:dev/event-mesh', system: 'system:dev/event-mesh' };
  expect({ ...api, spec: { ...api.spec, definition: '' } }).toEqual({
    apiVersion: 'backstage.io/v1alpha1',
    kind: 'API',
    metadata: {
      namespace: 'dev',
      name: 'eventtype.shop.order-created',
      title: 'com.example.order-created',
      description: 'EventType.eventing.knative.dev shop/order-created',
      annotations: {
        ...annotations,
        'eventmesh-catalog.dev/object': 'EventType.eventing.knative.dev shop/order-created',
        'eventmesh-catalog.dev/consumed-by': 'invoicing',
      },
    },
    spec: { type: 'asyncapi', ...common, definition: '' },
  });
  expect(orders).toEqual({
    apiVersion: 'backstage.io/v1alpha1',
    kind: 'Component',
    metadata: {
      namespace: 'dev',
      name: 'broker.shop.orders',
      title: 'shop/orders',
      description: 'Broker in namespace shop',
      tags: ['broker'],
      annotations: { ...annotations, 'eventmesh-catalog.dev/object': 'Broker.eventing.knative.dev shop/orders' },
    },
    spec: { type: 'broker', ...common, providesApis: ['api:dev/eventtype.shop.order-created'] },
  });
  expect(nightly.spec).toEqual({ type: 'event-source', ...common, dependsOn: ['component:dev/broker.shop.orders'] });
});

it('gives equal entities for equal answers', () => {
  expect(entities(smallMesh())).toEqual(entities(smallMesh()));
});

it('refers to nothing that is not in the answer', () => {
  const of = mesh({
    brokers: [broker('shop', 'orders', 'shop/left-out')],
    sources: [
      source('shop', 'nightly', { sink: brokerRef('shop', 'left-out'), providedEventTypes: ['shop/left-out'] }),
    ],
  });
  const found = objects(of).map(it => [it.spec?.providesApis, it.spec?.dependsOn]);
  expect(found).toEqual([
    [undefined, undefined],
    [undefined, undefined],
  ]);
});

it('makes one entity of what is a channel and a source, even where it sends to itself', () => {
  const relay = { ...meta('a', 'relay'), group: 'example.com', kind: 'Relay' };
  const of = mesh({
    eventTypes: [eventType('a', 't'), eventType('a', 'u')],
    subscribables: [{ ...relay, providedEventTypes: ['a/u'] }],
    sources: [
      {
        ...relay,
        providedEventTypes: ['a/t'],
        providedEventTypeTypes: ['com.example.t'],
        sink: { group: 'example.com', kind: 'Relay', namespace: 'a', name: 'relay' },
      },
    ],
  });
  const [only, ...others] = objects(of).filter(it => it.kind === 'Component');
  expect(others).toEqual([]);
  expect(only.metadata.description).toBe('Emits com.example.t');
  expect(only.spec).toMatchObject({
    type: 'channel',
    providesApis: ['api:dev/eventtype.a.t', 'api:dev/eventtype.a.u'],
  });
  expect(only.spec).not.toHaveProperty('dependsOn');
});

it('is told by annotations, then labels, whose something is', () => {
  const says = meta('a', 'b', {
    labels: { team: 'blue', part: 'checkout' },
    annotations: { owner: 'user:people/jane', stage: 'experimental' },
  });
  const config = {
    owner: { from: ['owner', 'team'], default: 'fallback' },
    system: { from: ['part'], default: undefined },
    lifecycle: { from: ['stage'], default: 'production' },
  };
  const of = mesh({
    brokers: [
      { ...says, providedEventTypes: [] },
      { ...says, name: 'c', annotations: {}, providedEventTypes: [] },
      {
        ...says,
        name: 'd',
        annotations: { owner: 'component:a/b' },
        labels: { part: 'no@name/at:all' },
        providedEventTypes: [],
      },
      { ...says, name: 'e', annotations: {}, labels: {}, providedEventTypes: [] },
    ],
  });
  expect(objects(of, config).map(({ spec }) => [spec?.owner, spec?.system, spec?.lifecycle])).toEqual([
    ['user:people/jane', 'system:default/checkout', 'experimental'],
    ['group:default/blue', 'system:default/checkout', 'production'],
    ['group:default/fallback', 'system:dev/event-mesh', 'production'],
    ['group:default/fallback', 'system:dev/event-mesh', 'production'],
  ]);
});

it('makes resources where that is wanted', () => {
  const config = { brokers: 'Resource', channels: 'Resource', sources: 'Component' } as const;
  const of = { ...smallMesh(), subscribables: [channel('shop', 'stream')] };
  expect(refs(objects(of, config))).toEqual([
    'api:dev/eventtype.shop.order-created',
    'resource:dev/broker.shop.orders',
    'resource:dev/inmemorychannel.shop.stream',
    'component:dev/pingsource.shop.nightly',
  ]);
  expect(objects(of, config)[3].spec?.dependsOn).toEqual(['resource:dev/broker.shop.orders']);
});

it('can name things as the predecessor did, without losing any', () => {
  const long = 'x'.repeat(64);
  const of = mesh({
    eventTypes: [eventType('shop', 'orders')],
    brokers: [broker('shop', 'orders', 'shop/orders'), broker('shop', long), broker('--', 'odd')],
    subscribables: [channel('shop', 'orders')],
    sources: [source('shop', 'orders', { sink: brokerRef('shop', 'orders') })],
  });
  const found = objects(of, { naming: 'predecessor' });
  expect(refs(found)).toEqual([
    'api:shop/orders',
    'component:shop/orders',
    expect.stringMatching(/^component:shop\/broker\.shop\.x+_[0-9a-f]{16}$/),
    expect.stringMatching(/^component:dev\/broker\.odd_[0-9a-f]{16}$/),
    expect.stringMatching(/^component:shop\/inmemorychannel\.shop\.orders_[0-9a-f]{16}$/),
    expect.stringMatching(/^component:shop\/pingsource\.shop\.orders_[0-9a-f]{16}$/),
  ]);
  expect(found[1].spec?.providesApis).toEqual(['api:shop/orders']);
  expect(found[5].spec?.dependsOn).toEqual(['component:shop/orders']);
});

it('makes entities that Backstage takes, whatever objects say of themselves', async () => {
  const odd = [
    '\u0000\u0007',
    ' ',
    '$text',
    'ü',
    '-',
    'a--b',
    'A',
    `${'x'.repeat(253)}`,
    'a/b/c',
    '{"$ref": "https://example.com"}',
  ];
  const says = (text: string) =>
    meta(text, text, {
      labels: { [text]: text, [`${text}/x`]: text, ok: 'yes', OK: 'yes', owner: text },
      annotations: { [text]: text, lifecycle: text, system: text, 'backstage.io/orphan': 'true' },
    });
  const of = mesh({
    eventTypes: odd.map(it => ({
      ...says(it),
      type: it,
      description: it,
      schemaData: it,
      schemaURL: it,
      consumedBy: [it],
      reference: { group: it, kind: it, namespace: it, name: it },
    })),
    brokers: odd.map(it => ({ ...says(it), providedEventTypes: [`${it}/${it}`] })),
    subscribables: odd.map(it => ({ ...says(it), group: it, kind: it, providedEventTypes: [it] })),
    sources: odd.map(it => ({
      ...says(it),
      group: it,
      kind: `${it}S`,
      providedEventTypes: [it],
      providedEventTypeTypes: [it],
    })),
  });
  const checks = {
    API: apiEntityV1alpha1Validator,
    Component: componentEntityV1alpha1Validator,
    Group: groupEntityV1alpha1Validator,
    Location: locationEntityV1alpha1Validator,
    Resource: resourceEntityV1alpha1Validator,
    System: systemEntityV1alpha1Validator,
  };
  const isEnvelope = entityEnvelopeSchemaValidator();
  for (const config of [{}, { naming: 'predecessor', brokers: 'Resource', annotations: ['*'] }] as const) {
    const found = entities(of, config as Partial<MappingConfig>);
    expect(new Set(refs(found)).size).toBe(3 + 4 * odd.length);
    for (const entity of found) {
      isEnvelope(entity);
      await new SchemaValidEntityPolicy().enforce(entity);
      await new FieldFormatEntityPolicy().enforce(entity);
      expect(await checks[entity.kind as keyof typeof checks].check(entity)).toBe(true);
      expect(entity.metadata.annotations).not.toHaveProperty(['backstage.io/orphan']);
      for (const pairs of [entity.metadata.annotations ?? {}, entity.metadata.labels ?? {}]) {
        expect(new Set(Object.keys(pairs).map(it => it.toLowerCase())).size).toBe(Object.keys(pairs).length);
      }
      // Of a definition, which is JSON in a text, databases see no character that it is escaped for.
      expect(JSON.stringify(entity)).not.toMatch(/[^\\]\\u00[01]/);
    }
  }
});

it('is of the version that its entities are of', () => {
  const of = { ...smallMesh(), subscribables: [channel('shop', 'stream', 'shop/order-created')] };
  const text = JSON.stringify(entities(of, { system: { from: ['team'], default: undefined } }));
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
  // Where this fails, equal answers give other entities than before: raise MAPPING_VERSION, and write both down.
  expect([MAPPING_VERSION, digest]).toEqual([2, '4156d28de64a6231']);
});
