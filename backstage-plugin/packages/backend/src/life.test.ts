/** A mesh that changes, and a service with all that can go wrong, as the catalog of a real Backstage shows them. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Mesh } from './__testUtils__/mesh';
import { component, Portal, relations, type Entities } from './__testUtils__/portal';
import { eventually } from './__testUtils__/program';
import { Proxy, to, type Way } from './__testUtils__/proxy';

jest.setTimeout(300_000);

const EVENTING = 'eventing.knative.dev';
const POLL_SECONDS = 4;

/** The objects of a small shop, by their file. */
const OBJECTS = {
  broker: { apiVersion: `${EVENTING}/v1`, kind: 'Broker', metadata: { name: 'orders', namespace: 'shop' } },
  created: eventType('created'),
  invoices: service('invoices', 'invoicing'),
  'on-created': trigger('on-created', 'invoices', 'created'),
};

function eventType(name: string): object {
  return {
    apiVersion: `${EVENTING}/v1beta2`,
    kind: 'EventType',
    metadata: { name, namespace: 'shop' },
    spec: { type: name, reference: { apiVersion: `${EVENTING}/v1`, kind: 'Broker', name: 'orders' } },
  };
}

function service(name: string, id: string): object {
  const labels = { 'backstage.io/kubernetes-id': id };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'shop', labels } };
}

function trigger(name: string, subscriber: string, type: string): object {
  return {
    apiVersion: `${EVENTING}/v1`,
    kind: 'Trigger',
    metadata: { name, namespace: 'shop' },
    spec: {
      broker: 'orders',
      filter: { attributes: { type } },
      subscriber: { ref: { apiVersion: 'v1', kind: 'Service', name: subscriber } },
    },
  };
}

const folder = mkdtempSync(join(tmpdir(), 'eventmesh-life-'));
const write = (name: string, object: object) => writeFileSync(join(folder, `${name}.yaml`), JSON.stringify(object));
const remove = (name: string) => rmSync(join(folder, `${name}.yaml`));

let mesh: Mesh;
let incomplete: Mesh;
let proxy: Proxy;
let portal: Portal;

beforeAll(async () => {
  Object.entries(OBJECTS).forEach(([name, object]) => write(name, object));
  mesh = await Mesh.serve(folder);
  const broken = join(folder, '.broken');
  writeFileSync(broken, '{');
  incomplete = await Mesh.serve(broken, '--strict-manifests');
  proxy = await Proxy.before(mesh);
  portal = await Portal.start({
    teams: [component('invoices', 'invoicing'), component('audit', 'audit', 'compliance')],
    eventMesh: {
      dev: {
        baseUrl: proxy.url,
        token: mesh.token,
        timeout: '2s',
        schedule: {
          frequency: { seconds: POLL_SECONDS },
          timeout: { seconds: 10 },
          initialDelay: { seconds: 8 },
        },
      },
    },
  });
});

afterAll(async () => {
  await portal.stop();
  await proxy.stop();
  await mesh.end();
  await incomplete.end();
  rmSync(folder, { recursive: true });
});

const CREATED = 'api:dev/eventtype.shop.created';
const CANCELED = 'api:dev/eventtype.shop.canceled';
const BROKER = 'component:dev/broker.shop.orders';
const INVOICES = 'component:default/invoices';
const AUDIT = 'component:compliance/audit';

function said(entities: Entities): string[] {
  return relations(entities, 'consumesApi', 'providesApi');
}

/** Changes the mesh, waits until the service answers so, then counts polls until the catalog shows it. */
async function within(change: () => void, expected: string[]): Promise<void> {
  const etag = async () => (await mesh.get()).headers.get('etag');
  const before = await etag();
  change();
  await eventually(async () => expect(await etag()).not.toBe(before));
  const polls = proxy.answers.length;
  await portal.shows(entities => expect(said(entities)).toEqual([...expected].sort()));
  expect(proxy.answers.length - polls).toBeLessThanOrEqual(2);
}

it('shows what changes within two polls', async () => {
  const provided = `${BROKER} providesApi ${CREATED}`;
  const consumed = `${INVOICES} consumesApi ${CREATED}`;
  await portal.shows(entities => expect(said(entities)).toEqual([provided, consumed].sort()));

  const alsoProvided = `${BROKER} providesApi ${CANCELED}`;
  await within(() => write('canceled', eventType('canceled')), [provided, alsoProvided, consumed]);

  const alsoConsumed = `${INVOICES} consumesApi ${CANCELED}`;
  await within(
    () => write('on-canceled', trigger('on-canceled', 'invoices', 'canceled')),
    [provided, alsoProvided, consumed, alsoConsumed],
  );

  await within(
    () => write('invoices', service('invoices', 'audit')),
    [provided, alsoProvided, `${AUDIT} consumesApi ${CREATED}`, `${AUDIT} consumesApi ${CANCELED}`],
  );

  await within(() => remove('broker'), []);
  expect(await portal.entities()).toHaveProperty([CREATED]);
  expect(await portal.entities()).not.toHaveProperty([BROKER]);

  await within(() => {
    write('broker', OBJECTS.broker);
    write('invoices', OBJECTS.invoices);
  }, [provided, alsoProvided, consumed, alsoConsumed]);
});

/** Bytes that come so slowly that no answer is whole in time. */
const slow: Way = (_, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  const timer = setInterval(() => response.write(' '), 100);
  response.on('close', () => clearInterval(timer));
};

it('loses nothing while the service fails, and is in sync afterwards', async () => {
  // What is shown may still be on its way through the catalog.
  await portal.shows(entities =>
    expect(Object.values(entities).filter(it => it.metadata.namespace === 'dev')).toHaveLength(6),
  );
  const before = await portal.entities();
  const mutations = portal.mutations;
  const faults: [string, Way, told: RegExp][] = [
    ['503', (_, response) => response.writeHead(503).end(), /could not be read: status 503 Service Unavailable\./],
    [
      'a service that is not complete',
      to(incomplete, { authorization: `Bearer ${incomplete.token}` }),
      /could not be read: status 503 Service Unavailable: .*\(request /,
    ],
    ['a slow one', slow, /could not be read: no whole answer within 2 s/],
    [
      'garbage',
      (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>'),
      /could not be read: the answer is no JSON \(text\/html\)/,
    ],
    [
      '401',
      to(mesh, { authorization: 'Bearer wrong' }),
      /could not be read: status 401 Unauthorized: .*check the token/,
    ],
    ['one that is away', to(mesh), /could not be read: fetch failed: .*(closed|reset)/i],
  ];
  for (const [what, way, told] of faults) {
    if (what === 'one that is away') {
      await mesh.stop();
    }
    const logged = portal.log.length;
    proxy.way = way;
    await portal.prints(told, logged);
    expect([what, await portal.entities()]).toEqual([what, before]);
  }
  expect(portal.mutations).toBe(mutations);

  remove('on-canceled');
  await mesh.start(folder);
  await portal.shows(entities =>
    expect(said(entities)).toEqual(
      [
        `${BROKER} providesApi ${CREATED}`,
        `${BROKER} providesApi ${CANCELED}`,
        `${INVOICES} consumesApi ${CREATED}`,
      ].sort(),
    ),
  );
  expect(portal.mutations).toBe(mutations + 1);
  expect(portal.log).not.toContain(mesh.token);
});
