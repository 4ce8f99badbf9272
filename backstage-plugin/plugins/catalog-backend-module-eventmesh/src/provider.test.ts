import { mockServices } from '@backstage/backend-test-utils';
import type { Entity } from '@backstage/catalog-model';
import { catalogServiceMock } from '@backstage/plugin-catalog-node/testUtils';
import type { EntityProviderMutation } from '@backstage/plugin-catalog-node';
import { CatalogReader } from './catalog';
import { EventMeshClient } from './client';
import { Directory } from './directory';
import { EventMeshProvider } from './provider';
import { broker, mappingConfig, mesh, smallMesh } from './__testUtils__/meshes';
import { FAULTS, Service, TOKEN } from './__testUtils__/service';

/** A catalog that several backends share, and that shows what was applied once it was processed. */
class Catalog {
  applied: Entity[] = [];
  mutations = 0;
  private shown?: Entity;

  apply(mutation: EntityProviderMutation): void {
    if (mutation.type !== 'full') {
      throw new Error('Only a full mutation is the truth');
    }
    this.applied = mutation.entities.map(it => it.entity);
    this.mutations += 1;
  }

  process(): void {
    this.shown = structuredClone(this.applied.find(it => it.kind === 'Location'));
  }

  /** Somebody else's Location has the name of ours. */
  forge(): void {
    this.shown!.metadata.annotations!['backstage.io/managed-by-origin-location'] = 'url:https://example.com';
  }

  get brokers(): (string | undefined)[] {
    return this.applied.filter(it => it.spec?.type === 'broker').map(it => it.metadata.title);
  }

  readonly service = Object.assign(catalogServiceMock(), { getEntityByRef: async () => this.shown });
}

let service: Service;
let catalog: Catalog;
let warnings: string[];
let infos: string[];

beforeEach(async () => {
  service = new Service();
  service.mesh = smallMesh();
  await service.start();
  catalog = new Catalog();
  warnings = [];
  infos = [];
});

afterEach(() => jest.restoreAllMocks());

afterEach(() => service.stop());

/** The poll of one backend. */
async function backend(more: { lifecycle?: string } = {}): Promise<(signal?: AbortSignal) => Promise<void>> {
  const reader = new CatalogReader({ catalog: catalog.service, auth: mockServices.auth() });
  const logger = mockServices.logger.mock({ child: () => logger });
  logger.warn.mockImplementation(message => void warnings.push(message));
  logger.info.mockImplementation(message => void infos.push(message));
  const directory = new Directory({ reader, logger });
  let poll: (signal: AbortSignal) => Promise<unknown>;
  const provider = new EventMeshProvider({
    config: {
      url: service.url,
      token: { token: TOKEN },
      timeoutMs: 2_000,
      schedule: { frequency: { seconds: 1 }, timeout: { seconds: 1 } },
      mapping: mappingConfig({ lifecycle: { from: [], default: more.lifecycle ?? 'production' } }),
    },
    directory,
    reader,
    logger,
    taskRunner: {
      run: async ({ fn }) => {
        poll = async signal => fn(signal);
      },
    },
  });
  await provider.connect({ applyMutation: async it => catalog.apply(it), refresh: async () => {} });
  directory.stop();
  return async (signal = new AbortController().signal) => {
    await poll(signal);
  };
}

it('applies an answer once', async () => {
  const poll = await backend();
  await poll();
  await poll();
  catalog.process();
  await poll();
  expect([catalog.mutations, catalog.brokers]).toEqual([1, ['shop/orders']]);
  expect(service.answers.map(([, status]) => status)).toEqual([200, 304, 304]);
});

it.each(FAULTS)('changes nothing after %s', async (_, behavior, told) => {
  const poll = await backend();
  await poll();
  service.behavior = behavior;
  const error = await poll().catch(it => it);
  expect(error.message).toMatch(told);
  expect(error.message).toContain(`The event mesh at ${service.url} could not be read: `);
  expect(error.message).not.toContain(TOKEN);
  expect(warnings).toEqual([error.message]);
  // It is not asked again at once, and that does not look as if all was well.
  const asked = service.answers.length;
  await expect(poll()).rejects.toThrow(error.message);
  expect([service.answers.length, catalog.mutations, warnings.length]).toEqual([asked, 1, 1]);
});

it('goes on after failures, and says so', async () => {
  const poll = await backend();
  const now = jest.spyOn(Date, 'now');
  service.behavior = (_, response) => response.writeHead(500).end();
  await expect(poll()).rejects.toThrow('status 500');
  now.mockReturnValue(Date.now() + 60_000);
  service.behavior = undefined;
  await poll();
  expect([catalog.mutations, infos.at(-1)]).toEqual([1, `The event mesh at ${service.url} is read again`]);
});

it('knows after a restart what the catalog has', async () => {
  await (
    await backend()
  )();
  catalog.process();
  await (
    await backend()
  )();
  expect(catalog.mutations).toBe(1);
});

it('applies an answer again that would give other entities now', async () => {
  await (
    await backend()
  )();
  catalog.process();
  await (
    await backend({ lifecycle: 'experimental' })
  )();
  expect(catalog.mutations).toBe(2);
  expect(catalog.applied.at(-1)?.spec?.lifecycle).toBe('experimental');
});

it('does not take for known what another backend has replaced', async () => {
  const [first, second] = [await backend(), await backend()];
  await first();
  catalog.process();
  service.mesh = mesh({ brokers: [broker('shop', 'other')] });
  await second();
  catalog.process();
  // As it was when the first backend polled last.
  service.mesh = smallMesh();
  await first();
  expect(catalog.brokers).toEqual(['shop/orders']);
});

it('finds out within a poll where the catalog had not shown yet what another backend applied', async () => {
  const [first, second] = [await backend(), await backend()];
  await first();
  service.mesh = mesh({ brokers: [broker('shop', 'other')] });
  await second();
  service.mesh = smallMesh();
  await first();
  catalog.process();
  await first();
  expect(catalog.brokers).toEqual(['shop/orders']);
});

it('does not believe a catalog that goes back and forth', async () => {
  const [first, second] = [await backend(), await backend()];
  const [one, two] = [smallMesh(), mesh({ brokers: [broker('shop', 'other')] })];
  await first();
  catalog.process();
  service.mesh = two;
  await first();
  catalog.process();
  // While the first does not look, the second writes what was there before the first wrote last, and goes.
  service.mesh = one;
  await second();
  catalog.process();
  service.mesh = two;
  await first();
  expect(catalog.brokers).toEqual(['shop/other']);
});

it('writes an answer again after an hour, as others may have taken something out of the catalog', async () => {
  const poll = await backend();
  const now = jest.spyOn(Date, 'now');
  const start = Date.now();
  await poll();
  catalog.process();
  for (const minutes of [1, 59, 61]) {
    now.mockReturnValue(start + minutes * 60_000);
    await poll();
  }
  expect(service.answers.map(([, status]) => status)).toEqual([200, 304, 304, 200]);
});

it('does not wait for long for a catalog that does not show what was written', async () => {
  const poll = await backend();
  const now = jest.spyOn(Date, 'now');
  const start = Date.now();
  await poll();
  now.mockReturnValue(start + 6 * 60_000);
  await poll();
  expect(service.answers.map(([, status]) => status)).toEqual([200, 200]);
});

it('does not listen to a Location of somebody else', async () => {
  await (
    await backend()
  )();
  catalog.process();
  const poll = await backend();
  catalog.forge();
  await poll();
  expect(catalog.mutations).toBe(2);
});

it('writes nothing once it was told to stop', async () => {
  const poll = await backend();
  const abort = new AbortController();
  jest.spyOn(EventMeshClient.prototype, 'fetch').mockImplementation(async () => {
    abort.abort();
    return { isNew: true, mesh: smallMesh() };
  });
  await expect(poll(abort.signal)).rejects.toThrow();
  expect([catalog.mutations, warnings]).toEqual([0, []]);
});

it('lets others have a turn while it makes entities', async () => {
  const poll = await backend();
  const brokers = Array.from({ length: 1_000 }, (_, n) => broker('shop', `b${n}`));
  let turns = 0;
  jest.spyOn(EventMeshClient.prototype, 'fetch').mockImplementation(async () => {
    const count = () => {
      turns += 1;
      if (catalog.mutations === 0) {
        setImmediate(count);
      }
    };
    setImmediate(count);
    return { isNew: true, mesh: mesh({ brokers }) };
  });
  await poll();
  expect(catalog.brokers.length).toBe(1_000);
  expect(turns).toBeGreaterThanOrEqual(10);
});

it('tells once that a mesh is old, also where it stays the same', async () => {
  const poll = await backend();
  const fetch = jest.spyOn(EventMeshClient.prototype, 'fetch');
  for (const staleSeconds of ['10', '20', undefined, '5']) {
    fetch.mockResolvedValueOnce({ isNew: false, staleSeconds });
    await poll();
  }
  expect(warnings.map(it => it.match(/is \d+ s old/)?.[0])).toEqual(['is 10 s old', 'is 5 s old']);
});
