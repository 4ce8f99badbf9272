/**
 * Keeps the catalog equal to the event mesh of one service.
 *
 * What must stay true: the catalog is changed by nothing but a whole answer that differs from what it holds. Nothing
 * else, not a refusal, a broken answer or silence, removes an entity.
 */

import { setImmediate } from 'node:timers/promises';
import type { LoggerService, SchedulerServiceTaskRunner } from '@backstage/backend-plugin-api';
import type { Entity } from '@backstage/catalog-model';
import { toError } from '@backstage/errors';
import type { EntityProvider, EntityProviderConnection } from '@backstage/plugin-catalog-node';
import type { CatalogReader } from './catalog';
import { EventMeshClient, RequestError } from './client';
import type { ProviderConfig } from './config';
import type { Directory } from './directory';
import { entitiesOf, ownRef } from './mapping';
import { locationOf, type EventMesh } from './model';
import { Pace } from './pace';
import { Applied, mappingKey, newState, readState, writeState, type State } from './state';

/** How many entities are made before others get a turn: some have large documents. */
const ENTITIES_AT_ONCE = 10;

export interface ProviderOptions {
  config: ProviderConfig;
  directory: Directory;
  reader: CatalogReader;
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
  private failure?: Error;
  private isStale = false;

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
    if (this.failure && !this.pace.isDue(Date.now())) {
      // A run that does not ask must not look like one that went well.
      throw this.failure;
    }
    try {
      await this.update(signal);
      if (this.failure) {
        this.logger.info(`The event mesh at ${this.config.url} is read again`);
      }
      this.failure = undefined;
      this.pace.succeeded();
    } catch (error) {
      if (signal.aborted) {
        throw error;
      }
      this.failure = this.failed(error);
      // The scheduler counts it and shows it with the task, but of an error its log may say nothing.
      this.logger.warn(this.failure.message);
      throw this.failure;
    }
  }

  private failed(error: unknown): Error {
    const isRequest = error instanceof RequestError;
    const wait = this.pace.failed(Date.now(), isRequest ? error.retryAfterMs : undefined);
    return new Error(
      `The event mesh at ${this.config.url} could not be ${isRequest ? 'read' : 'brought into the catalog'}: ` +
        `${toError(error).message}. ` +
        `The catalog keeps what it has; not asked again for ${Math.ceil(wait / 1000)} s`,
    );
  }

  private async update(signal: AbortSignal): Promise<void> {
    const started = Date.now();
    const { mapping, url } = this.config;
    const location = await this.options.reader.entity(ownRef('Location', mapping.namespace));
    const shown = readState(location, locationOf(mapping.id));
    const key = mappingKey(url, mapping);
    const answer = await this.client.fetch(this.applied.etag(shown, key, started), signal);
    this.tellAge(answer.staleSeconds);
    if (!answer.isNew) {
      this.logger.debug(`The event mesh at ${url} is the one that the catalog has`);
      return;
    }
    const state = newState(answer.etag, key, started);
    const entities = await this.entitiesOf(answer.mesh, state);
    // Whoever took over may have written something newer.
    signal.throwIfAborted();
    await this.connection!.applyMutation({
      type: 'full',
      entities: entities.map(entity => ({ entity, locationKey: this.getProviderName() })),
    });
    this.applied.record(state, shown);
    this.tell(answer.mesh, entities.length, Date.now() - started);
  }

  private async entitiesOf(mesh: EventMesh, state: State | undefined): Promise<Entity[]> {
    const entities: Entity[] = [];
    for (const entity of entitiesOf(mesh, this.config.mapping, writeState(state))) {
      entities.push(entity);
      if (entities.length % ENTITIES_AT_ONCE === 0) {
        await setImmediate();
      }
    }
    return entities;
  }

  private tell({ eventTypes, brokers, subscribables, sources }: EventMesh, entities: number, ms: number): void {
    this.logger.info(
      `The catalog has the event mesh at ${this.config.url} as ${entities} entities, in ${ms} ms; ` +
        `event types: ${eventTypes.length}, brokers: ${brokers.length}, channels: ${subscribables.length}, sources: ${sources.length}`,
    );
    if (eventTypes.length + brokers.length + subscribables.length + sources.length === 0) {
      this.logger.warn(
        `The event mesh at ${this.config.url} is empty for this token; may its owner list brokers and event types?`,
      );
    }
  }

  /** Says when a mesh begins to be old, and when it is not any more. */
  private tellAge(staleSeconds: string | undefined): void {
    const isStale = staleSeconds !== undefined;
    if (isStale && !this.isStale) {
      this.logger.warn(
        `The event mesh at ${this.config.url} is ${staleSeconds} s old: its service cannot keep up with the cluster`,
      );
    }
    if (!isStale && this.isStale) {
      this.logger.info(`The event mesh at ${this.config.url} is up to date again`);
    }
    this.isStale = isStale;
  }
}
