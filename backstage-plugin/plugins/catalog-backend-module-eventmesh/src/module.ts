import { coreServices, createBackendModule, type BackendFeature } from '@backstage/backend-plugin-api';
import { catalogProcessingExtensionPoint, catalogServiceRef } from '@backstage/plugin-catalog-node';
import { CatalogReader } from './catalog';
import { readProviderConfigs } from './config';
import { Directory } from './directory';
import { EventMeshProcessor } from './processor';
import { EventMeshProvider } from './provider';

/** The module; how often the rest of the catalog is looked at is left to tests. */
export function eventMeshModule({ lookEveryMs }: { lookEveryMs?: number } = {}): BackendFeature {
  return createBackendModule({
    pluginId: 'catalog',
    moduleId: 'eventmesh',
    register(env) {
      env.registerInit({
        deps: {
          auth: coreServices.auth,
          catalog: catalogServiceRef,
          config: coreServices.rootConfig,
          lifecycle: coreServices.lifecycle,
          logger: coreServices.logger,
          processing: catalogProcessingExtensionPoint,
          scheduler: coreServices.scheduler,
        },
        async init({ auth, catalog, config, lifecycle, logger, processing, scheduler }) {
          const configs = readProviderConfigs(config);
          if (configs.length === 0) {
            logger.info('No event mesh is configured at catalog.providers.eventMesh');
            return;
          }
          const reader = new CatalogReader({ catalog, auth });
          const directory = new Directory({ reader, logger, everyMs: lookEveryMs });
          const providers = configs.map(
            it =>
              new EventMeshProvider({
                config: it,
                directory,
                reader,
                logger,
                taskRunner: scheduler.createScheduledTaskRunner(it.schedule),
              }),
          );
          processing.addEntityProvider(...providers);
          processing.addProcessor(
            new EventMeshProcessor(
              configs.map(it => it.mapping),
              directory,
            ),
          );
          lifecycle.addShutdownHook(() => directory.stop());
        },
      });
    },
  });
}

/**
 * Brings the event meshes of eventmesh-catalog services into the catalog, as `catalog.providers.eventMesh` says.
 *
 * @public
 */
export const catalogModuleEventMesh = eventMeshModule();
