import type { Entity } from '@backstage/catalog-model';
import { Catalog, registered } from './__testUtils__/catalog';
import { broker, brokerRef, eventType, mesh, smallMesh, source } from './__testUtils__/meshes';
import { FAULTS, Service, TOKEN } from './__testUtils__/service';

jest.setTimeout(60_000);

const API = 'api:dev/eventtype.shop.order-created';
const CONSUMES = ['consumesApi', 'apiConsumedBy'];
const PROVIDES = ['providesApi', 'apiProvidedBy'];

let service: Service;
let other: Service;
let catalog: Catalog | undefined;

beforeEach(async () => {
  [service, other] = [new Service(), new Service()];
  service.mesh = smallMesh();
  await Promise.all([service.start(), other.start()]);
});

afterEach(async () => {
  await catalog?.stop();
  await Promise.all([service.stop(), other.stop()]);
});

async function start(config: object = {}): Promise<Catalog> {
  catalog = await Catalog.start({ dev: service }, { dev: config });
  return catalog;
}

const refs = (entities: Record<string, Entity>) => Object.keys(entities).sort();

it('shows a mesh with its relations both ways', async () => {
  const shown = await start();
  await shown.register(
    registered('Component', 'billing', 'invoices', { id: 'invoicing' }),
    registered('Component', 'default', 'copy', { id: 'invoicing' }),
    registered('Group', 'default', 'blue'),
  );
  await shown.poll('dev');
  await shown.shows(async entities => {
    expect(refs(entities)).toEqual([
      API,
      'component:billing/invoices',
      'component:default/copy',
      'component:dev/broker.shop.orders',
      'component:dev/pingsource.shop.nightly',
      'group:default/blue',
      'group:dev/event-mesh',
      'location:dev/event-mesh',
      'system:dev/event-mesh',
    ]);
    expect(await shown.relations(...CONSUMES, ...PROVIDES, 'dependsOn', 'dependencyOf')).toEqual([
      `${API} apiConsumedBy component:billing/invoices`,
      `${API} apiConsumedBy component:default/copy`,
      `${API} apiProvidedBy component:dev/broker.shop.orders`,
      `component:billing/invoices consumesApi ${API}`,
      `component:default/copy consumesApi ${API}`,
      'component:dev/broker.shop.orders dependencyOf component:dev/pingsource.shop.nightly',
      `component:dev/broker.shop.orders providesApi ${API}`,
      'component:dev/pingsource.shop.nightly dependsOn component:dev/broker.shop.orders',
    ]);
    expect(entities[API].relations).toContainEqual({ type: 'ownedBy', targetRef: 'group:dev/event-mesh' });
    expect(entities[API].relations).toContainEqual({ type: 'partOf', targetRef: 'system:dev/event-mesh' });
  });
});

it('makes the relations of what becomes resources as well', async () => {
  const shown = await start({ brokers: 'Resource' });
  await shown.poll('dev');
  await shown.shows(async () =>
    expect(await shown.relations(...PROVIDES)).toEqual([
      `${API} apiProvidedBy resource:dev/broker.shop.orders`,
      `resource:dev/broker.shop.orders providesApi ${API}`,
    ]),
  );
});

it('finds consumers that come later, move, and go', async () => {
  const shown = await start();
  await shown.poll('dev');
  await shown.shows(entities => expect(entities).toHaveProperty([API]));
  const consumers = (expected: string[]) =>
    shown.shows(async () =>
      expect((await shown.relations('apiConsumedBy')).map(it => it.split(' ')[2])).toEqual(expected),
    );
  await consumers([]);
  await shown.register(registered('Component', 'a', 'late', { id: 'invoicing' }));
  await consumers(['component:a/late']);
  await shown.register(registered('Component', 'b', 'moved', { id: 'invoicing' }));
  await consumers(['component:b/moved']);
  await shown.register();
  await consumers([]);
});

it('follows the mesh', async () => {
  const shown = await start();
  await shown.register(
    registered('Component', 'a', 'invoices', { id: 'invoicing' }),
    registered('Component', 'a', 'audit', { id: 'audit' }),
  );
  await shown.poll('dev');
  const relations = (expected: string[]) =>
    shown.shows(async () => expect(await shown.relations('consumesApi', 'providesApi')).toEqual(expected));
  const provides = `component:dev/broker.shop.orders providesApi ${API}`;
  await relations([`component:a/invoices consumesApi ${API}`, provides]);
  service.mesh.eventTypes[0].consumedBy = ['audit', 'invoicing'];
  await shown.poll('dev');
  await relations([`component:a/audit consumesApi ${API}`, `component:a/invoices consumesApi ${API}`, provides]);
  service.mesh.eventTypes[0].consumedBy = ['audit'];
  await shown.poll('dev');
  await relations([`component:a/audit consumesApi ${API}`, provides]);
  service.mesh.brokers = [];
  await shown.poll('dev');
  await relations([`component:a/audit consumesApi ${API}`]);
});

it('belongs to whoever exists', async () => {
  service.mesh.eventTypes[0].labels = { team: 'blue', part: 'checkout' };
  const shown = await start({
    owner: { from: ['team'], default: 'platform' },
    system: { from: ['part'], default: 'events' },
  });
  const belongs = (expected: unknown[], own: string[]) =>
    shown.shows(async entities => {
      const spec = entities[API]?.spec;
      expect([spec?.owner, spec?.system]).toEqual(expected);
      expect(refs(entities).filter(it => it.endsWith('/event-mesh'))).toEqual(own);
      const targets = Object.values(entities).flatMap(it => it.relations?.map(relation => relation.targetRef) ?? []);
      expect(targets.filter(it => !entities[it])).toEqual([]);
    });
  await shown.poll('dev');
  const own = ['group:dev/event-mesh', 'location:dev/event-mesh'];
  await belongs(['group:dev/event-mesh', undefined], own);
  const [group, system] = [registered('Group', 'default', 'platform'), registered('System', 'default', 'events')];
  system.spec!.owner = 'group:default/platform';
  await shown.register(group, system);
  await belongs(['group:default/platform', 'system:default/events'], own);
  const named = [registered('Group', 'default', 'blue'), registered('System', 'default', 'checkout')];
  await shown.register(group, system, ...named);
  await belongs(['group:default/blue', 'system:default/checkout'], own);
  await shown.register(group);
  await belongs(['group:default/platform', undefined], own);
});

it('can belong to Users', async () => {
  service.mesh.eventTypes[0].annotations = { 'eventmesh-catalog.dev/owner': 'user:default/jane' };
  const shown = await start({ owner: { default: 'user:default/joe' } });
  await shown.register(registered('User', 'default', 'joe', { spec: { memberOf: [] } }));
  await shown.poll('dev');
  const owner = (expected: string) => shown.shows(entities => expect(entities[API]?.spec?.owner).toBe(expected));
  await owner('user:default/joe');
  await shown.register(registered('User', 'default', 'jane', { spec: { memberOf: [] } }));
  await owner('user:default/jane');
});

it('loses nothing whatever goes wrong, and is up to date afterwards', async () => {
  const shown = await start();
  await shown.register(registered('Component', 'a', 'invoices', { id: 'invoicing' }));
  await shown.poll('dev');
  await shown.shows(async () => expect(await shown.relations('apiConsumedBy')).toHaveLength(1));
  const before = await shown.entities();
  const now = jest.spyOn(Date, 'now');
  for (const [what, behavior] of FAULTS) {
    service.behavior = behavior;
    // Later than any back-off.
    now.mockReturnValue(Date.now() + 600_000);
    await expect(shown.poll('dev')).rejects.toThrow('The catalog keeps what it has');
    expect([what, await shown.entities()]).toEqual([what, before]);
  }
  service.behavior = undefined;
  service.mesh.brokers = [];
  now.mockReturnValue(Date.now() + 600_000);
  await shown.poll('dev');
  now.mockRestore();
  await shown.shows(entities => expect(entities).not.toHaveProperty(['component:dev/broker.shop.orders']));
  expect(shown.log.filter(it => it.includes(TOKEN))).toEqual([]);
});

it('keeps apart what has the same name', async () => {
  const long = ['a', 'b'].map(it => `${'n'.repeat(252)}${it}`);
  for (const it of [service, other]) {
    it.mesh = mesh({
      eventTypes: [
        eventType('shop', 'fraud-detector'),
        eventType('shop', 'fraud.detector'),
        ...long.map(name => eventType('shop', name)),
      ],
      brokers: [broker('shop', 'fraud-detector', 'shop/fraud-detector'), broker('bank', 'fraud-detector')],
      sources: [source('shop', 'fraud-detector', { sink: brokerRef('shop', 'fraud-detector') })],
    });
  }
  catalog = await Catalog.start({ east: service, west: other });
  const team = registered('Component', 'default', 'fraud-detector');
  await catalog.register(team);
  await Promise.all([catalog.poll('east'), catalog.poll('west')]);
  await catalog.shows(entities => {
    const objects = Object.values(entities)
      .map(it => `${it.metadata.namespace} ${it.metadata.annotations?.['eventmesh-catalog.dev/object']}`)
      .filter(it => !it.endsWith('undefined'))
      .sort();
    const expected = [
      'Broker.eventing.knative.dev bank/fraud-detector',
      'Broker.eventing.knative.dev shop/fraud-detector',
      'EventType.eventing.knative.dev shop/fraud-detector',
      'EventType.eventing.knative.dev shop/fraud.detector',
      ...long.map(it => `EventType.eventing.knative.dev shop/${it}`),
      'PingSource.sources.knative.dev shop/fraud-detector',
    ];
    expect(objects).toEqual([...expected.map(it => `east ${it}`), ...expected.map(it => `west ${it}`)]);
    expect(entities['component:default/fraud-detector'].spec).toEqual(team.spec);
  });
});

it('does not listen to entities that only look like its own', async () => {
  const shown = await start();
  const forged = registered('API', 'default', 'forged', { spec: { type: 'openapi', definition: '{}' } });
  forged.metadata.annotations!['eventmesh-catalog.dev/consumed-by'] = 'invoicing';
  await shown.register(forged, registered('Component', 'a', 'invoices', { id: 'invoicing' }));
  await shown.shows(entities => expect(entities).toHaveProperty(['api:default/forged']));
  await shown.poll('dev');
  await shown.shows(async () =>
    expect(await shown.relations(...CONSUMES)).toEqual([
      `${API} apiConsumedBy component:a/invoices`,
      `component:a/invoices consumesApi ${API}`,
    ]),
  );
});

it('does nothing where nothing is configured', async () => {
  catalog = await Catalog.start({});
  expect(catalog.log).toContain('No event mesh is configured at catalog.providers.eventMesh');
  expect(await catalog.entities()).toEqual({});
});
