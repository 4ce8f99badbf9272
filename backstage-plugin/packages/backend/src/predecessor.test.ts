/**
 * The provider of the Knative backend for Backstage, as it is published, on our service.
 *
 * Its dependencies are of a Backstage that is long gone, so it is unpacked without them. Those that it needs to read a
 * mesh are those of today; the reading of schedules, which this does not use, is left out.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigReader } from '@backstage/config';
import { Mesh, SAMPLE } from './__testUtils__/mesh';

jest.mock('@backstage/backend-tasks', () => ({}), { virtual: true });

const PACKAGE = '@knative-extensions/plugin-knative-event-mesh-backend@1.21.0';

/** Its module, from where it finds the packages of this workspace. */
function predecessor() {
  const folder = resolve(__dirname, '../../../node_modules/.cache/predecessor');
  if (!existsSync(join(folder, 'package'))) {
    mkdirSync(folder, { recursive: true });
    const pack = ['pack', '--json', '--pack-destination', folder, PACKAGE];
    const [{ filename }] = JSON.parse(execFileSync('npm', pack, { encoding: 'utf8' }));
    execFileSync('tar', ['-xzf', join(folder, filename), '-C', folder]);
  }
  return jest.requireActual(join(folder, 'package/dist/index.cjs.js'));
}

jest.setTimeout(60_000);

let mesh: Mesh;

beforeAll(async () => {
  mesh = await Mesh.serve(SAMPLE);
});

afterAll(() => mesh.end());

type Fields = Record<string, string>;

/** What all items have. */
const OBJECT = { namespace: 'string', name: 'string', uid: 'string', labels: 'object', annotations: 'object' };
const KIND = { group: 'string', kind: 'string' };

/** Of each list of an answer, the fields of its items: those that are always there, and those that may be. */
const FIELDS: Record<string, { always: Fields; maybe: Fields }> = {
  eventTypes: {
    always: { ...OBJECT, type: 'string', consumedBy: 'object' },
    // The document says that a reference is a text, and the service never sent one; the provider does not read it.
    maybe: { description: 'string', schemaData: 'string', schemaURL: 'string', reference: 'object' },
  },
  brokers: { always: { ...OBJECT, providedEventTypes: 'object' }, maybe: {} },
  subscribables: { always: { ...OBJECT, ...KIND, providedEventTypes: 'object' }, maybe: {} },
  sources: {
    always: { ...OBJECT, ...KIND, providedEventTypes: 'object', providedEventTypeTypes: 'object' },
    maybe: { sink: 'object' },
  },
};

it('is answered in the shape that its API document describes', async () => {
  const response = await mesh.complete();
  expect(response.headers.get('content-type')).toBe('application/json');
  const answer = await response.json();
  expect(Object.keys(answer).sort()).toEqual(Object.keys(FIELDS).sort());
  for (const [list, { always, maybe }] of Object.entries(FIELDS)) {
    expect(answer[list].length).toBeGreaterThan(0);
    for (const item of answer[list]) {
      const types = Object.fromEntries(
        Object.entries(item).map(([field, value]) => [field, value === null ? 'null' : typeof value]),
      );
      const present = Object.fromEntries(Object.entries(maybe).filter(([field]) => field in types));
      expect(types).toEqual({ ...always, ...present });
    }
  }
});

it('makes the entities that it made of its own service', async () => {
  const { KnativeEventMeshProvider } = predecessor();
  const logger = { info: () => {}, error: jest.fn(), child: () => logger };
  let run: (() => Promise<void>) | undefined;
  const [provider] = KnativeEventMeshProvider.fromConfig(
    new ConfigReader({
      // It looks for a token here, and uses the other one.
      token: {},
      catalog: { providers: { knativeEventMesh: { dev: { baseUrl: mesh.url, token: mesh.token } } } },
    }),
    { logger, schedule: { run: async ({ fn }: { fn: () => Promise<void> }) => void (run = fn) } },
  );
  const applyMutation = jest.fn();
  await provider.connect({ applyMutation });
  await run!();
  expect(logger.error).not.toHaveBeenCalled();
  const [[{ type, entities }]] = applyMutation.mock.calls;
  expect(type).toBe('full');
  const refs = entities.map(({ entity }: any) => `${entity.kind}:${entity.metadata.namespace}/${entity.metadata.name}`);
  expect(refs).toHaveLength(13 + 2 + 1 + 2);
  const find = (ref: string) => entities[refs.indexOf(ref)].entity;
  expect(find('API:shop/order-created')).toMatchObject({
    metadata: {
      title: 'com.example.shop.order.created - (shop/order-created)',
      description: 'A customer has placed an order. It is not paid yet.',
      labels: { domain: 'sales', team: 'checkout' },
      consumedBy: ['data-lake-export', 'fraud-check', 'invoicing', 'notifications', 'payment-service'],
      links: [{ url: 'https://schemas.shop.example.com/order/created/v2.json' }],
    },
    spec: { type: 'eventType', lifecycle: 'dev' },
  });
  expect(find('Component:logistics/shipping').spec).toMatchObject({
    type: 'broker',
    providesApis: expect.arrayContaining(['api:logistics/parcel-packed']),
  });
  expect(find('Component:analytics/clickstream').spec.type).toBe('messaging.knative.dev:InMemoryChannel');
  expect(find('Component:shop/nightly-settlement').spec).toMatchObject({
    type: 'sources.knative.dev:PingSource',
    providesApis: ['api:shop/settlement-due'],
  });
});
