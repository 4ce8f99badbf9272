/**
 * What only the catalog can tell of the entities of an event mesh: who the consumers are, and whether owner and system
 * exist.
 *
 * What must stay true: only entities that come from this module are touched, which their location says and nobody else
 * can; no relation leads nowhere; while the catalog cannot be asked, an entity stays as it was.
 */

import { parseEntityRef, type Entity } from '@backstage/catalog-model';
import { RELATION_API_CONSUMED_BY, RELATION_API_PROVIDED_BY } from '@backstage/catalog-model';
import { RELATION_CONSUMES_API, RELATION_PROVIDES_API } from '@backstage/catalog-model';
import {
  processingResult,
  type CatalogProcessor,
  type CatalogProcessorEmit,
  type LocationSpec,
} from '@backstage/plugin-catalog-node';
import type { JsonValue } from '@backstage/types';
import { refreshKey, type Directory } from './directory';
import { ownRef, refOf, type MappingConfig } from './mapping';
import { ANNOTATION_CONSUMED_BY, LOCATION_TYPE } from './model';

export class EventMeshProcessor implements CatalogProcessor {
  private readonly configs: Map<string, MappingConfig>;

  constructor(
    configs: MappingConfig[],
    private readonly directory: Directory,
  ) {
    this.configs = new Map(configs.map(it => [it.id, it]));
  }

  getProcessorName(): string {
    return 'EventMeshProcessor';
  }

  /** Sees to it that owner and system exist: else it is the configured one, else the provider's own. */
  async preProcessEntity(entity: Entity, location: LocationSpec, emit: CatalogProcessorEmit): Promise<Entity> {
    const config = this.configOf(location);
    if (!config || !entity.spec?.owner) {
      return entity;
    }
    await this.directory.ready();
    const ownOwner = ownRef('Group', config.namespace);
    const ownSystem = config.system.default ? undefined : ownRef('System', config.namespace);
    const owner = this.first([entity.spec.owner, refOf('Group', config.owner.default)], ownOwner, emit);
    if (!entity.spec.system) {
      return { ...entity, spec: { ...entity.spec, owner } };
    }
    const system = this.first([entity.spec.system, refOf('System', config.system.default)], ownSystem, emit);
    const { system: _, ...spec } = entity.spec;
    return { ...entity, spec: { ...spec, owner, ...(system && { system }) } };
  }

  async postProcessEntity(entity: Entity, location: LocationSpec, emit: CatalogProcessorEmit): Promise<Entity> {
    if (!this.configOf(location)) {
      return entity;
    }
    await this.directory.ready();
    if (entity.kind === 'API') {
      this.relateConsumers(entity, emit);
    }
    if (entity.kind === 'Resource') {
      // Backstage itself makes these relations for Components only.
      const provided = (entity.spec?.providesApis ?? []) as string[];
      provided.forEach(api => relate(emit, refTo(entity), RELATION_PROVIDES_API, parseEntityRef(api)));
    }
    return entity;
  }

  private relateConsumers(entity: Entity, emit: CatalogProcessorEmit): void {
    const ids = entity.metadata.annotations?.[ANNOTATION_CONSUMED_BY]?.split(',') ?? [];
    for (const id of ids) {
      emit(processingResult.refresh(refreshKey.consumer(id)));
      for (const component of this.directory.componentsOf(id)) {
        relate(emit, parseEntityRef(component), RELATION_CONSUMES_API, refTo(entity));
      }
    }
  }

  /** The first that exists. */
  private first<T extends string | undefined>(
    wanted: (JsonValue | undefined)[],
    own: T,
    emit: CatalogProcessorEmit,
  ): string | T {
    for (const ref of wanted) {
      if (typeof ref !== 'string' || ref === own) {
        continue;
      }
      emit(processingResult.refresh(refreshKey.ref(ref)));
      if (this.directory.has(ref)) {
        return ref;
      }
    }
    return own;
  }

  private configOf({ type, target }: LocationSpec): MappingConfig | undefined {
    return type === LOCATION_TYPE ? this.configs.get(target) : undefined;
  }
}

const OPPOSITE = {
  [RELATION_CONSUMES_API]: RELATION_API_CONSUMED_BY,
  [RELATION_PROVIDES_API]: RELATION_API_PROVIDED_BY,
};

type Ref = ReturnType<typeof parseEntityRef>;

function relate(emit: CatalogProcessorEmit, source: Ref, type: keyof typeof OPPOSITE, target: Ref): void {
  emit(processingResult.relation({ source, type, target }));
  emit(processingResult.relation({ source: target, type: OPPOSITE[type], target: source }));
}

function refTo({ kind, metadata: { namespace = 'default', name } }: Entity): Ref {
  return { kind, namespace, name };
}
