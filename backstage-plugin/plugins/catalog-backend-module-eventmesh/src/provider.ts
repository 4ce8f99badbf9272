/**
 * Keeps the catalog equal to the event mesh of one service.
 *
 * What must stay true: the catalog is changed by nothing but a whole answer that differs from what it holds. Nothing
 * else, not a refusal, a broken answer or silence, removes an entity.
 */

import { setImmediate } from 'node:timers/promises';
import type { AuthService, LoggerService, SchedulerServiceTaskRunner } from '@backstage/backend-plugin-api';
import type { Entity } from '@backstage/catalog-model';
import type { CatalogService, EntityProvider, EntityProviderConnection } from '@backstage/plugin-catalog-node';
import { EventMeshClient, RequestError, type NewAnswer } from './client';
import type { ProviderConfig } from './config';
import type { Directory } from './directory';
import { entitiesOf, ownRef, refOf, type Own } from './mapping';
import { locationOf, type EventMesh } from './model';
import { Pace } from './pace';
import { Applied, mappingKey, readState, writeState, type State } from './state';

/** How many entities are made before others get a turn. */
const ENTITIES_AT_ONCE = 100;

export interface ProviderOptions {
  config: ProviderConfig;
  directory: Directory;
  catalog: CatalogService;
  auth: AuthService;
  logger: LoggerService;
  taskRunner: SchedulerServiceTaskRunner;
}

export class EventMeshProvider implements EntityProvider {
  private readonly config: ProviderConfig;
  private readonly client: EventMeshClient;
  private readonly logger: LoggerService;
  private readonly pace = new Pace();
  private readonly applied = new Applied();
  private connection?: EntityProviderConnection;

  constructor(private readonly options: ProviderOptions) {
    this.config = options.config;
    this.client = new EventMeshClient(options.config);
    this.logger = options.logger.child({ target: this.getProviderName() });
  }

  getProviderName(): string {
    return locationOf(this.config.mapping.id);
  }

  async connect(connection: EntityProviderConnection): Promise<void> {
    this.connection = connection;
    this.options.directory.connect(connection);
    await this.options.taskRunner.run({
      id: `${this.getProviderName()}:poll`,
      fn: signal => this.poll(signal),
    });
  }

  private async poll(signal: AbortSignal): Promise<void> {
    if (!this.pace.isDue(Date.now())) {
      return;
    }
    try {
      await this.update(signal);
      this.pace.succeeded();
    } catch (error) {
      const isRequest = error instanceof RequestError;
      const wait = this.pace.failed(Date.now(), isRequest ? error.retryAfterMs : undefined);
      const message =
        `The event mesh at ${this.config.url} could not be ${isRequest ? 'read' : 'brought into the catalog'}: ` +
        `${error instanceof Error ? error.message : error}. ` +
        `The catalog keeps what it has; not asked again for ${Math.ceil(wait / 1000)} s`;
      // The scheduler counts the failure and shows it with the task, but of an error its log may say nothing.
      this.logger.warn(message);
      throw new Error(message);
    }
  }

  private async update(signal: AbortSignal): Promise<void> {
    const started = performance.now();
    const { mapping, url } = this.config;
    const own = await this.own();
    const shown = await this.shownState();
    const current = this.applied.current(shown);
    const key = mappingKey(url, mapping, own);
    const answer = await this.client.fetch(current?.mapping === key ? current.etag : undefined, signal);
    if (!answer.isNew) {
      this.logger.debug(`The event mesh at ${url} is the one that the catalog has`);
      return;
    }
    const state = answer.etag ? { mapping: key, etag: answer.etag } : undefined;
    const entities = await this.entitiesOf(answer.mesh, own, state);
    // Whoever took over may have written something newer.
    signal.throwIfAborted();
    await this.connection!.applyMutation({
      type: 'full',
      entities: entities.map(entity => ({ entity, locationKey: this.getProviderName() })),
    });
    this.applied.record(state, shown);
    this.report(answer, entities.length, performance.now() - started);
  }

  /** What the provider has to add: an owner and a system, unless those that are configured are there. */
  private async own(): Promise<Own> {
    const { owner, system } = this.config.mapping;
    const ownerRef = refOf('Group', owner.default);
    await this.options.directory.ready();
    return { group: !ownerRef || !this.options.directory.has(ownerRef), system: !system.default };
  }

  private async shownState(): Promise<State | undefined> {
    const { auth, catalog } = this.options;
    const location = await catalog.getEntityByRef(ownRef('Location', this.config.mapping.namespace), {
      credentials: await auth.getOwnServiceCredentials(),
    });
    return readState(location);
  }

  private async entitiesOf(mesh: EventMesh, own: Own, state: State | undefined): Promise<Entity[]> {
    const entities: Entity[] = [];
    for (const entity of entitiesOf(mesh, this.config.mapping, own, state ? writeState(state) : '')) {
      entities.push(entity);
      if (entities.length % ENTITIES_AT_ONCE === 0) {
        await setImmediate();
      }
    }
    return entities;
  }

  private report({ mesh, staleSeconds }: NewAnswer, entities: number, ms: number): void {
    const { eventTypes, brokers, subscribables, sources } = mesh;
    this.logger.info(
      `The catalog has the event mesh at ${this.config.url} as ${entities} entities, in ${Math.round(ms)} ms; ` +
        `event types: ${eventTypes.length}, brokers: ${brokers.length}, channels: ${subscribables.length}, sources: ${sources.length}`,
    );
    if (eventTypes.length + brokers.length + subscribables.length + sources.length === 0) {
      this.logger.warn(
        `The event mesh at ${this.config.url} is empty for this token; may its owner list brokers and event types?`,
      );
    }
    if (staleSeconds) {
      this.logger.warn(
        `The event mesh at ${this.config.url} is ${staleSeconds} s old: the service cannot reach its cluster`,
      );
    }
  }
}
