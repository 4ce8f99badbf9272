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
    const { owner, system, ...spec } = entity.spec;
    const owners = refsOf(owner, refOf('Group', config.owner.default));
    const systems = system ? refsOf(system, refOf('System', config.system.default)) : [];
    await this.directory.ready(...owners);
    const found = {
      owner: this.first(owners, ownRef('Group', config.namespace), emit),
      // Where a default is configured, there is no other; and an entity need not be part of any.
      system:
        system && this.first(systems, config.system.default ? undefined : ownRef('System', config.namespace), emit),
    };
    return { ...entity, spec: { ...spec, owner: found.owner, ...(found.system && { system: found.system }) } };
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

  /** The first that exists, else the provider's own, which exists wherever its entities do. */
  private first<T>(refs: string[], own: T, emit: CatalogProcessorEmit): string | T {
    const found = refs.find(ref => {
      if (ref === own) {
        return true;
      }
      emit(processingResult.refresh(refreshKey.ref(ref)));
      return this.directory.has(ref);
    });
    return found ?? own;
  }

  private configOf({ type, target }: LocationSpec): MappingConfig | undefined {
    return type === LOCATION_TYPE ? this.configs.get(target) : undefined;
  }
}

const OPPOSITE = {
  [RELATION_CONSUMES_API]: RELATION_API_CONSUMED_BY,
  [RELATION_PROVIDES_API]: RELATION_API_PROVIDED_BY,
};

function refsOf(...refs: (JsonValue | undefined)[]): string[] {
  return [...new Set(refs.filter(it => typeof it === 'string'))];
}

type Ref = ReturnType<typeof parseEntityRef>;

function relate(emit: CatalogProcessorEmit, source: Ref, type: keyof typeof OPPOSITE, target: Ref): void {
  emit(processingResult.relation({ source, type, target }));
  emit(processingResult.relation({ source: target, type: OPPOSITE[type], target: source }));
}

function refTo({ kind, metadata: { namespace = 'default', name } }: Entity): Ref {
  return { kind, namespace, name };
}
