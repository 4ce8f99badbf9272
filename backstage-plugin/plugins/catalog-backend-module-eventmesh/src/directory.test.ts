import { setTimeout as sleep } from 'node:timers/promises';
import { mockServices } from '@backstage/backend-test-utils';
import type { Entity } from '@backstage/catalog-model';
import { catalogServiceMock } from '@backstage/plugin-catalog-node/testUtils';
import { CatalogReader } from './catalog';
import { Directory } from './directory';

/** An entity, by its reference and the id of its workloads. */
function entity(kind: string, name: string, id?: string): Entity {
  const annotations: Record<string, string> = id ? { 'backstage.io/kubernetes-id': id } : {};
  return { apiVersion: 'backstage.io/v1alpha1', kind, metadata: { name, namespace: 'teams', annotations } };
}

interface Setup {
  directory: Directory;
  /** The catalog from now on; without it, it cannot be asked. */
  set: (entities?: Entity[]) => void;
  /** What was asked of the catalog. */
  queries: unknown[];
  /** The keys of what has to be processed again. */
  refreshed: string[];
  /** The catalog does not answer from now on, or not this. */
  hang: (isMeant?: (query: unknown) => boolean) => void;
  /** Whether the catalog processes nothing again. */
  refuse: (refuses: boolean) => void;
}

let running: Directory | undefined;

afterEach(() => running?.stop());

function setUp(entities: Entity[], everyMs = 60_000): Setup {
  const queries: unknown[] = [];
  const refreshed: string[] = [];
  let refuses = false;
  let hangs: (query: unknown) => boolean = () => false;
  let mock: ReturnType<typeof catalogServiceMock> | undefined = catalogServiceMock({ entities });
  const catalog = Object.assign(catalogServiceMock(), {
    getEntities: async (...request: Parameters<ReturnType<typeof catalogServiceMock>['getEntities']>) => {
      queries.push(request[0]);
      if (hangs(request[0])) {
        await new Promise(() => {});
      }
      if (!mock) {
        throw new Error('the catalog is away');
      }
      return mock.getEntities(...request);
    },
  });
  const reader = new CatalogReader({ catalog, auth: mockServices.auth(), timeoutMs: 50 });
  const directory = new Directory({ reader, logger: mockServices.logger.mock(), everyMs, patienceMs: 0 });
  directory.connect({
    applyMutation: async () => {},
    refresh: async ({ keys }) => {
      if (refuses) {
        throw new Error('the database is away');
      }
      refreshed.push(...keys);
    },
  });
  running = directory;
  return {
    directory,
    queries,
    refreshed,
    set: next => {
      mock = next && catalogServiceMock({ entities: next });
    },
    hang: (isMeant = () => true) => {
      hangs = isMeant;
    },
    refuse: it => {
      refuses = it;
    },
  };
}

/** Waits for something to become so. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await sleep(5);
  }
}

it('knows Components by their id, in any namespace, and what may own them', async () => {
  const other = entity('Component', 'other', 'Invoicing');
  other.metadata.namespace = 'elsewhere';
  const { directory } = setUp([
    entity('Component', 'invoices', 'invoicing'),
    other,
    entity('Component', 'unlabeled'),
    entity('Resource', 'database', 'invoicing'),
    entity('Group', 'blue'),
    entity('System', 'shop'),
  ]);
  await directory.ready();
  expect(directory.componentsOf('invoicing')).toEqual(['component:elsewhere/other', 'component:teams/invoices']);
  expect(directory.componentsOf('unlabeled')).toEqual([]);
  expect(['group:teams/blue', 'system:teams/shop', 'group:teams/red'].map(it => directory.has(it))).toEqual([
    true,
    true,
    false,
  ]);
});

it('asks the catalog once, whatever is asked of it', async () => {
  const { directory, queries } = setUp([entity('Component', 'invoices', 'invoicing')]);
  await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      await directory.ready();
      directory.componentsOf(`id-${n}`);
      directory.has(`group:default/${n}`);
    }),
  );
  expect(queries.length).toBe(1);
});

it('has those processed again that were told something else, and no others', async () => {
  const { directory, refreshed, set } = setUp([entity('Component', 'a', 'a'), entity('Group', 'blue')], 10);
  await directory.ready();
  ['a', 'b', 'c'].forEach(it => directory.componentsOf(it));
  ['group:teams/blue', 'group:teams/red'].forEach(it => directory.has(it));
  set([
    entity('Component', 'moved', 'a'),
    entity('Component', 'b', 'B'),
    entity('Component', 'd', 'd'),
    entity('Group', 'red'),
  ]);
  // Twice, as who is being processed for the first time has no key yet.
  await until(() => refreshed.filter(it => it === 'eventmesh:consumer:b').length === 2);
  expect([...new Set(refreshed)].sort()).toEqual([
    'eventmesh:consumer:a',
    'eventmesh:consumer:b',
    'eventmesh:ref:group:teams/blue',
    'eventmesh:ref:group:teams/red',
  ]);
  expect(directory.componentsOf('b')).toEqual(['component:teams/b']);
});

it('goes on knowing what it knew while the catalog is away', async () => {
  const { directory, queries, refreshed, set } = setUp([entity('Component', 'a', 'a')], 10);
  await directory.ready();
  expect(directory.componentsOf('a')).toEqual(['component:teams/a']);
  set(undefined);
  const asked = queries.length;
  await until(() => queries.length > asked + 2);
  expect([directory.componentsOf('a'), refreshed]).toEqual([['component:teams/a'], []]);
  set([]);
  await until(() => refreshed.length > 0);
  expect(directory.componentsOf('a')).toEqual([]);
});

it('waits for a catalog that is not there yet, but not for ever', async () => {
  const { directory, queries, set } = setUp([]);
  set(undefined);
  await expect(directory.ready()).rejects.toThrow('The catalog cannot be asked what event meshes refer to');
  // Nobody else waits for it then.
  const asked = queries.length;
  await expect(directory.ready()).rejects.toThrow('the catalog is away');
  expect(queries.length).toBe(asked);
});

it('does not wait for an answer that does not come', async () => {
  const { directory, hang } = setUp([]);
  hang();
  await expect(directory.ready()).rejects.toThrow('the catalog did not answer within 0.05 s');
});

it('asks for Users only where somebody refers to one, and then before it says anything of them', async () => {
  const { directory, queries } = setUp([entity('User', 'jane'), entity('Group', 'blue')]);
  await directory.ready('group:teams/blue');
  expect(JSON.stringify(queries)).not.toContain('user');
  await directory.ready('user:teams/jane');
  expect(directory.has('user:teams/jane')).toBe(true);
  expect(queries.length).toBe(3);
});

it('keeps nobody waiting for Users who refers to none', async () => {
  const { directory, hang, set } = setUp([entity('User', 'jane'), entity('Group', 'blue')], 10);
  hang(query => JSON.stringify(query).includes('user'));
  const refusal = directory.ready('user:teams/jane').catch(error => error.message);
  let isRefused = false;
  void refusal.then(() => {
    isRefused = true;
  });
  await directory.ready('group:teams/blue');
  expect([directory.has('group:teams/blue'), isRefused]).toEqual([true, false]);
  expect(await refusal).toContain('the catalog did not answer');
  set([entity('Group', 'red')]);
  await until(() => directory.has('group:teams/red'));
  hang(() => false);
  set([entity('User', 'jane')]);
  await until(() => directory.has('user:teams/jane'));
});

it('has all processed again that were told something else, whenever they were told', async () => {
  const { directory, refreshed, set, refuse } = setUp([], 10);
  await directory.ready();
  expect(directory.componentsOf('a')).toEqual([]);
  // The catalog moves on, but cannot be told to process anything; then somebody else asks.
  refuse(true);
  set([entity('Component', 'a', 'a')]);
  await until(() => directory.componentsOf('a').length > 0);
  refuse(false);
  await until(() => refreshed.length > 0);
  expect(directory.componentsOf('a')).toEqual(['component:teams/a']);
  const count = refreshed.length;
  set([]);
  await until(() => refreshed.length > count);
  expect([...new Set(refreshed)]).toEqual(['eventmesh:consumer:a']);
});
