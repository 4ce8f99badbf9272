/** A real catalog with the module and what teams registered themselves. */

import { setTimeout as sleep } from 'node:timers/promises';
import {
  createBackendModule,
  type LoggerService,
  type SchedulerServiceTaskFunction,
} from '@backstage/backend-plugin-api';
import { mockServices, startTestBackend, type TestBackend } from '@backstage/backend-test-utils';
import {
  ANNOTATION_LOCATION,
  ANNOTATION_ORIGIN_LOCATION,
  stringifyEntityRef,
  type Entity,
} from '@backstage/catalog-model';
import catalogPlugin from '@backstage/plugin-catalog-backend';
import { catalogProcessingExtensionPoint, type EntityProviderConnection } from '@backstage/plugin-catalog-node';
import { eventMeshModule } from '../module';
import { TOKEN, type Service } from './service';

/** How long something may take to show. */
const PATIENCE_MS = 20_000;

export class Catalog {
  /** All that was logged. */
  readonly log: string[] = [];
  private readonly tasks = new Map<string, SchedulerServiceTaskFunction>();
  private backend!: TestBackend;
  private teams!: EntityProviderConnection;

  /** With a provider for each service. */
  static async start(services: Record<string, Service>, config: Record<string, object> = {}): Promise<Catalog> {
    const catalog = new Catalog();
    const { tasks } = catalog;
    const eventMesh = Object.fromEntries(
      Object.entries(services).map(([id, { url }]) => [
        id,
        { baseUrl: url, token: TOKEN, timeout: '3s', ...config[id] },
      ]),
    );
    catalog.backend = await startTestBackend({
      features: [
        catalogPlugin,
        eventMeshModule({ lookEveryMs: 100 }),
        catalog.teamsModule(),
        mockServices.scheduler.mock({
          createScheduledTaskRunner: () => ({ run: async ({ id, fn }) => void tasks.set(id, fn) }),
          scheduleTask: async ({ id, fn }) => void tasks.set(id, fn),
        }).factory,
        mockServices.rootLogger.mock(catalog.logger()).factory,
        mockServices.rootConfig.factory({
          data: {
            catalog: {
              // So that nothing shows just because everything is processed all the time.
              processingInterval: { hours: 1 },
              providers: { eventMesh },
            },
          },
        }),
      ],
    });
    return catalog;
  }

  async stop(): Promise<void> {
    await this.backend.stop();
  }

  /** What the scheduler does when it is time. */
  async poll(id: string): Promise<void> {
    await this.tasks.get(`eventmesh:${id}:poll`)!(new AbortController().signal);
  }

  /** What teams have registered from now on. */
  async register(...entities: Entity[]): Promise<void> {
    const location = {
      [ANNOTATION_LOCATION]: 'url:https://example.com',
      [ANNOTATION_ORIGIN_LOCATION]: 'url:https://example.com',
    };
    await this.teams.applyMutation({
      type: 'full',
      entities: entities.map(it => ({
        entity: { ...it, metadata: { ...it.metadata, annotations: { ...it.metadata.annotations, ...location } } },
        locationKey: 'teams',
      })),
    });
  }

  /** All entities, by their references. */
  async entities(): Promise<Record<string, Entity>> {
    const response = await fetch(`http://127.0.0.1:${this.backend.server.port()}/api/catalog/entities`);
    const entities = (await response.json()) as Entity[];
    return Object.fromEntries(entities.map(it => [stringifyEntityRef(it), it]));
  }

  /** The relations of all entities, without whom they are owned by and what they are part of. */
  async relations(...types: string[]): Promise<string[]> {
    return Object.entries(await this.entities())
      .flatMap(([ref, { relations = [] }]) =>
        relations.filter(it => types.includes(it.type)).map(it => `${ref} ${it.type} ${it.targetRef}`),
      )
      .sort();
  }

  /** Waits until the catalog shows something. */
  async shows(expectation: (entities: Record<string, Entity>) => void | Promise<void>): Promise<void> {
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      try {
        await expectation(await this.entities());
        return;
      } catch (error) {
        if (Date.now() >= until) {
          throw error;
        }
        await sleep(50);
      }
    }
  }

  private teamsModule() {
    return createBackendModule({
      pluginId: 'catalog',
      moduleId: 'teams',
      register: env => {
        env.registerInit({
          deps: { processing: catalogProcessingExtensionPoint },
          init: async ({ processing }) => {
            processing.addEntityProvider({
              getProviderName: () => 'teams',
              connect: async connection => {
                this.teams = connection;
              },
            });
          },
        });
      },
    });
  }

  private logger(): LoggerService {
    const write = (message: string) => void this.log.push(message);
    const logger = { debug: write, info: write, warn: write, error: write, child: () => logger };
    return logger;
  }
}

/** An entity that a team registers. */
export function registered(
  kind: string,
  namespace: string,
  name: string,
  more: { id?: string; spec?: object } = {},
): Entity {
  return {
    apiVersion: 'backstage.io/v1alpha1',
    kind,
    metadata: { namespace, name, annotations: more.id ? { 'backstage.io/kubernetes-id': more.id } : {} },
    spec: { type: 'service', lifecycle: 'production', owner: 'group:default/blue', children: [], ...more.spec },
  };
}
