/**
 * What of the rest of the catalog the entities of event meshes refer to: which Components have a `backstage.io/kubernetes-id`,
 * and which Groups, Users and Systems there are.
 *
 * What must stay true: the catalog is asked once a minute and never for one entity; where it cannot be asked, what was
 * known stays; whatever was told here and is not so any more has the entities that depend on it
 * processed again at once. Each backend has a directory of its own, and shares nothing.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { AuthService, LoggerService } from '@backstage/backend-plugin-api';
import { CATALOG_FILTER_EXISTS } from '@backstage/catalog-client';
import { stringifyEntityRef, type Entity } from '@backstage/catalog-model';
import type { CatalogService, EntityProviderConnection } from '@backstage/plugin-catalog-node';

/** The annotation by which Backstage knows the workloads of a Component. */
const KUBERNETES_ID = 'backstage.io/kubernetes-id';

/** How often the catalog is looked at. */
const EVERY_MS = 60_000;

/** How long processing waits for a first answer of the catalog. */
const PATIENCE_MS = 20_000;
const RETRY_MS = 1_000;

/** The keys that entities are refreshed by when the answer to a question about the directory changes. */
export const refreshKey = {
  consumer: (id: string) => `eventmesh:consumer:${id.toLowerCase()}`,
  ref: (ref: string) => `eventmesh:ref:${ref}`,
};

/** How many keys are told at once: databases take so many values in a statement. */
const KEYS_AT_ONCE = 500;

/** One look at the catalog. */
class Page {
  /** References of the Components with an id, by id, in order. */
  readonly components = new Map<string, string[]>();
  readonly refs = new Set<string>();

  constructor(entities: Entity[]) {
    for (const entity of entities) {
      const ref = stringifyEntityRef(entity);
      const id = entity.metadata.annotations?.[KUBERNETES_ID]?.toLowerCase();
      if (entity.kind !== 'Component') {
        this.refs.add(ref);
      } else if (id) {
        this.components.set(id, [...(this.components.get(id) ?? []), ref].sort());
      }
    }
  }
}

export interface DirectoryOptions {
  catalog: CatalogService;
  auth: AuthService;
  logger: LoggerService;
  everyMs?: number;
}

export class Directory {
  private connection?: EntityProviderConnection;
  private page?: Page;
  private first?: Promise<void>;
  private timer?: NodeJS.Timeout;
  private isStopped = false;
  /** What was told, by the refresh key of those that it was told to. */
  private readonly told = new Map<string, { isStill: () => boolean }>();
  private wantsUsers = false;

  constructor(private readonly options: DirectoryOptions) {}

  /** Takes a way to have entities processed again. That of any provider will do: entities are found by keys. */
  connect(connection: EntityProviderConnection): void {
    this.connection ??= connection;
  }

  /** Waits until the catalog was asked once: before that nobody can say what is missing from it. */
  async ready(): Promise<void> {
    const until = Date.now() + PATIENCE_MS;
    while (!this.page) {
      try {
        this.first ??= this.read();
        await this.first;
      } catch (error) {
        this.first = undefined;
        if (Date.now() >= until) {
          throw new Error(`The catalog cannot be asked what event meshes refer to: ${messageOf(error)}`);
        }
        await sleep(RETRY_MS);
      }
    }
  }

  /** Looks no more. */
  stop(): void {
    clearTimeout(this.timer);
    this.isStopped = true;
  }

  /** References of the Components with that id, in any namespace. */
  componentsOf(id: string): string[] {
    return this.tell(refreshKey.consumer(id), () => this.page?.components.get(id.toLowerCase()) ?? []);
  }

  /** Whether the catalog has that Group, User or System. */
  has(ref: string): boolean {
    // Most catalogs have many more Users than anything else, and few meshes are owned by any.
    this.wantsUsers ||= ref.startsWith('user:');
    return this.tell(refreshKey.ref(ref), () => this.page?.refs.has(ref) ?? false);
  }

  private tell<T>(key: string, ask: () => T): T {
    const answer = ask();
    this.told.set(key, { isStill: () => String(ask()) === String(answer) });
    return answer;
  }

  private async read(): Promise<void> {
    const { catalog, auth } = this.options;
    const { items } = await catalog.getEntities(
      {
        filter: [
          { kind: 'component', [`metadata.annotations.${KUBERNETES_ID}`]: CATALOG_FILTER_EXISTS },
          { kind: ['group', 'system', ...(this.wantsUsers ? ['user'] : [])] },
        ],
        fields: ['kind', 'metadata.namespace', 'metadata.name', `metadata.annotations.${KUBERNETES_ID}`],
      },
      { credentials: await auth.getOwnServiceCredentials() },
    );
    this.page = new Page(items);
    this.lookAgain();
  }

  private lookAgain(): void {
    if (this.isStopped) {
      return;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      try {
        await this.read();
        await this.tellAgain();
      } catch (error) {
        const cause = messageOf(error);
        this.options.logger.warn(
          `The catalog could not be asked what event meshes refer to, what was known counts: ${cause}`,
        );
        this.lookAgain();
      }
    }, this.options.everyMs ?? EVERY_MS);
    this.timer.unref();
  }

  private async tellAgain(): Promise<void> {
    const outdated = [...this.told].filter(([, { isStill }]) => !isStill()).map(([key]) => key);
    for (let i = 0; i < outdated.length; i += KEYS_AT_ONCE) {
      const keys = outdated.slice(i, i + KEYS_AT_ONCE);
      await this.connection?.refresh({ keys });
      keys.forEach(key => this.told.delete(key));
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
