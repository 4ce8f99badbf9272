/**
 * What of the rest of the catalog the entities of event meshes refer to: which Components have a `backstage.io/kubernetes-id`,
 * and which Groups, Users and Systems there are.
 *
 * What must stay true: while it can be asked, the catalog is asked once a minute, and never for one entity; where it cannot,
 * what was known stays; whatever was told here and is not so any more has the entities that depend on it processed again at
 * once. Each backend has a directory of its own, and shares nothing.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { LoggerService } from '@backstage/backend-plugin-api';
import { stringifyEntityRef, type Entity } from '@backstage/catalog-model';
import { toError } from '@backstage/errors';
import type { EntityProviderConnection } from '@backstage/plugin-catalog-node';
import { KUBERNETES_ID, type CatalogReader } from './catalog';

/** How often the catalog is looked at. */
const EVERY_MS = 60_000;

/** How long processing waits for a catalog that does not answer, how often it is asked then, and for how long it is given up. */
const PATIENCE_MS = 20_000;
const RETRY_MS = 1_000;
const GIVEN_UP_MS = 30_000;

/** How many keys are told at once: databases take so many values in a statement. */
const KEYS_AT_ONCE = 500;

/** The keys that entities are refreshed by when the answer to a question about the directory changes. */
export const refreshKey = {
  consumer: (id: string) => `eventmesh:consumer:${id.toLowerCase()}`,
  ref: (ref: string) => `eventmesh:ref:${ref}`,
};

/** One look at the catalog. */
class Page {
  /** References of the Components with an id, by id, in order. */
  readonly components = new Map<string, string[]>();
  /** Those of all Groups and Systems. */
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

/** A look that is under way: at all but Users, and at Users as well where those are wanted. */
interface Look {
  others: Promise<void>;
  all: Promise<void>;
}

/** Those who wait for one look, and that there is no use in waiting. */
interface Waiting {
  promise?: Promise<void>;
  givenUp?: { error: Error; until: number };
}

export interface DirectoryOptions {
  reader: CatalogReader;
  logger: LoggerService;
  everyMs?: number;
  patienceMs?: number;
}

export class Directory {
  private connection?: EntityProviderConnection;
  private page?: Page;
  /** Most catalogs have many more Users than anything else, and few meshes are owned by any: nobody else waits for them. */
  private wantsUsers = false;
  private users?: Set<string>;
  /** What was told, by the refresh key of those that it was told to. */
  private readonly told = new Map<string, { isStill: () => boolean }>();
  /** The keys of what was processed again after the last look. */
  private toldAgain: string[] = [];
  private looking?: Look;
  private readonly waiting: { forUsers: Waiting; forOthers: Waiting } = { forUsers: {}, forOthers: {} };
  private timer?: NodeJS.Timeout;
  private isStopped = false;

  constructor(private readonly options: DirectoryOptions) {}

  /** Takes a way to have entities processed again. That of any provider will do: entities are found by keys. */
  connect(connection: EntityProviderConnection): void {
    this.connection ??= connection;
  }

  /** Waits until it can say whether these are there: before the catalog was asked nobody knows what is missing from it. */
  async ready(...refs: string[]): Promise<void> {
    const withUsers = refs.some(ref => ref.startsWith('user:'));
    this.wantsUsers ||= withUsers;
    if (this.knows(withUsers)) {
      return;
    }
    const waiting = withUsers ? this.waiting.forUsers : this.waiting.forOthers;
    if (waiting.givenUp && Date.now() < waiting.givenUp.until) {
      throw waiting.givenUp.error;
    }
    waiting.promise ??= this.wait(withUsers, waiting).finally(() => {
      waiting.promise = undefined;
    });
    await waiting.promise;
  }

  /** References of the Components with that id, in any namespace. */
  componentsOf(id: string): string[] {
    return this.tell(refreshKey.consumer(id), () => this.page?.components.get(id.toLowerCase()) ?? []);
  }

  /** Whether the catalog has that Group, User or System. */
  has(ref: string): boolean {
    return this.tell(refreshKey.ref(ref), () => Boolean(this.page?.refs.has(ref) || this.users?.has(ref)));
  }

  /** Looks no more. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private knows(withUsers: boolean): boolean {
    return this.page !== undefined && (this.users !== undefined || !withUsers);
  }

  private tell<T>(key: string, ask: () => T): T {
    const answer = ask();
    const before = this.told.get(key);
    // Those to whom something else was told still have to hear of it.
    if (!before || before.isStill()) {
      this.told.set(key, { isStill: () => String(ask()) === String(answer) });
    }
    return answer;
  }

  /** Asks until it knows enough, or until it is no use. */
  private async wait(withUsers: boolean, waiting: Waiting): Promise<void> {
    const until = Date.now() + (this.options.patienceMs ?? PATIENCE_MS);
    while (!this.knows(withUsers)) {
      try {
        const look = this.look();
        await (withUsers ? look.all : look.others);
      } catch (cause) {
        if (Date.now() >= until) {
          const error = new Error(`The catalog cannot be asked what event meshes refer to: ${toError(cause).message}`);
          waiting.givenUp = { error, until: Date.now() + GIVEN_UP_MS };
          throw error;
        }
        await sleep(RETRY_MS);
      }
    }
  }

  /** Asks the catalog, one look at a time. */
  private look(): Look {
    if (!this.looking) {
      const others = this.readOthers();
      const all = others
        .then(() => this.readUsers())
        .finally(() => {
          this.looking = undefined;
          this.lookAgain();
        });
      // Told to those who wait for it, if there are any.
      all.catch(() => {});
      this.looking = { others, all };
    }
    return this.looking;
  }

  private lookAgain(): void {
    clearTimeout(this.timer);
    if (this.page && !this.isStopped) {
      this.timer = setTimeout(() => {
        this.look().all.catch(error =>
          this.options.logger.warn(
            `The catalog could not be asked what event meshes refer to; what was known counts: ${toError(error).message}`,
          ),
        );
      }, this.options.everyMs ?? EVERY_MS).unref();
    }
  }

  private async readOthers(): Promise<void> {
    this.page = new Page(await this.options.reader.referable());
  }

  private async readUsers(): Promise<void> {
    try {
      if (this.wantsUsers) {
        this.users = new Set((await this.options.reader.users()).map(it => stringifyEntityRef(it)));
      }
    } finally {
      // Nobody who waits for what was read waits for that.
      void this.tellAgain();
    }
  }

  /**
   * Has those processed again that were told something else, at this look and at the next: who was being processed for the
   * first time is not known by its keys yet. Where it fails, it is tried again after the next look.
   */
  private async tellAgain(): Promise<void> {
    const outdated = [...this.told].filter(([, { isStill }]) => !isStill()).map(([key]) => key);
    const keys = [...new Set([...outdated, ...this.toldAgain])];
    this.toldAgain = outdated;
    // Whoever asks from now on is told what is so now.
    outdated.forEach(key => this.told.delete(key));
    try {
      for (let i = 0; i < keys.length; i += KEYS_AT_ONCE) {
        await this.connection?.refresh({ keys: keys.slice(i, i + KEYS_AT_ONCE) });
      }
    } catch (error) {
      this.toldAgain = keys;
      this.options.logger.warn(`Entities of event meshes could not be processed again: ${toError(error).message}`);
    }
  }
}
