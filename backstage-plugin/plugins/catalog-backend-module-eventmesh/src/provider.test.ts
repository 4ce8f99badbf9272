import { mockServices } from '@backstage/backend-test-utils';
import type { Entity } from '@backstage/catalog-model';
import { catalogServiceMock } from '@backstage/plugin-catalog-node/testUtils';
import type { EntityProviderMutation } from '@backstage/plugin-catalog-node';
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
    this.shown = this.applied.find(it => it.kind === 'Location');
  }

  get brokers(): (string | undefined)[] {
    return this.applied.filter(it => it.spec?.type === 'broker').map(it => it.metadata.title);
  }

  readonly service = Object.assign(catalogServiceMock(), { getEntityByRef: async () => this.shown });
}

let service: Service;
let catalog: Catalog;

beforeEach(async () => {
  service = new Service();
  service.mesh = smallMesh();
  await service.start();
  catalog = new Catalog();
});

afterEach(() => service.stop());

/** The poll of one backend. */
async function backend(more: { lifecycle?: string } = {}): Promise<(signal?: AbortSignal) => Promise<void>> {
  const auth = mockServices.auth();
  const logger = mockServices.logger.mock({ child: () => logger });
  const directory = new Directory({ catalog: catalog.service, auth, logger });
  let poll: (signal: AbortSignal) => Promise<unknown>;
  const provider = new EventMeshProvider({
    config: {
      url: service.url,
      token: { token: TOKEN },
      timeoutMs: 300,
      schedule: { frequency: { seconds: 1 }, timeout: { seconds: 1 } },
      mapping: mappingConfig({ lifecycle: { from: [], default: more.lifecycle ?? 'production' } }),
    },
    directory,
    catalog: catalog.service,
    auth,
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
  // It is not asked again at once.
  const asked = service.answers.length;
  await poll();
  expect([service.answers.length, catalog.mutations]).toEqual([asked, 1]);
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

it('writes nothing once it was told to stop', async () => {
  const poll = await backend();
  const abort = new AbortController();
  service.behavior = (_, response) => {
    response.writeHead(200).end(JSON.stringify(smallMesh()));
    abort.abort();
  };
  await expect(poll(abort.signal)).rejects.toThrow();
  expect(catalog.mutations).toBe(0);
});

it('lets others have a turn while it makes entities', async () => {
  const poll = await backend();
  service.mesh = mesh({ brokers: Array.from({ length: 1_000 }, (_, n) => broker('shop', `b${n}`)) });
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 0);
  const before = catalog.mutations;
  await poll();
  clearInterval(timer);
  expect([catalog.mutations - before, catalog.brokers.length]).toEqual([1, 1_000]);
  expect(turns).toBeGreaterThan(0);
});
