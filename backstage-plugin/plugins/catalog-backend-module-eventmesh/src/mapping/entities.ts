/**
 * An event mesh as the entities of a catalog.
 *
 * What must stay true: this is a function of the mesh and the configuration, and equal answers give equal entities; each
 * entity is one that Backstage accepts, whatever the objects say of themselves; and each object has an entity.
 */

import {
  ANNOTATION_LOCATION,
  ANNOTATION_ORIGIN_LOCATION,
  DEFAULT_NAMESPACE,
  KubernetesValidatorFunctions,
  parseEntityRef,
  stringifyEntityRef,
  type CompoundEntityRef,
  type Entity,
} from '@backstage/catalog-model';
import type { JsonObject } from '@backstage/types';
import {
  ANNOTATION_CONSUMED_BY,
  ANNOTATION_OBJECT,
  ANNOTATION_STATE,
  describeObject,
  locationOf,
  OWN_NAME,
  type EventMesh,
  type EventType,
  type Meta,
  type ObjectRef,
} from '../model';
import { asyncApiDocument } from './asyncapi';
import { annotationsOf, httpUrl, labelsOf, printable, saidBy, type AnnotationPattern } from './metadata';
import { EntityRefs, keyOf, type EntityKind, type Naming } from './refs';

const API_VERSION = 'backstage.io/v1alpha1';
const EVENTING = 'eventing.knative.dev';

/** Where something that is said of an entity comes from: these annotations and labels of the object, else a default. */
export interface Said<T> {
  from: string[];
  default: T;
}

/** What objects of a sort become. */
export type ConduitKind = Exclude<EntityKind, 'API'>;

export interface MappingConfig {
  /** The id of the provider. */
  id: string;
  /** The namespace of the entities. */
  namespace: string;
  naming: Naming;
  owner: Said<string | undefined>;
  system: Said<string | undefined>;
  lifecycle: Said<string>;
  brokers: ConduitKind;
  channels: ConduitKind;
  sources: ConduitKind;
  annotations: AnnotationPattern[];
}

/** The name of what a provider adds itself, which is in the catalog whenever the provider's entities are. */
export function ownRef(kind: 'Group' | 'Location' | 'System', namespace: string): string {
  return stringifyEntityRef({ kind, namespace, name: OWN_NAME });
}

/**
 * The entities of a mesh, one by one, so that others can have a turn between them: the Location of the provider first,
 * then what else it adds, the APIs, the components and resources.
 *
 * Owner and system are those that are wanted; the processor sees to it that they exist.
 */
export function* entitiesOf(mesh: EventMesh, config: MappingConfig, state: string): Generator<Entity> {
  yield* ownEntities(config, state);
  const refs = new EntityRefs(config.naming, config.namespace);
  const apis = new Map(
    mesh.eventTypes.map(it => [`${it.namespace}/${it.name}`, refs.claim('API', eventTypeObject(it))]),
  );
  const nodes = nodesOf(mesh, config, refs);
  for (const eventType of mesh.eventTypes) {
    yield api(eventType, apis.get(`${eventType.namespace}/${eventType.name}`)!, config);
  }
  for (const node of nodes.values()) {
    // A selection can leave out what the answer says is provided; then there is no entity to refer to.
    const provided = [...node.provides].flatMap(it => apis.get(it) ?? []).map(it => stringifyEntityRef(it));
    const sink = node.sink && nodes.get(keyOf(node.sink));
    yield component(node, provided.sort(), sink === node ? undefined : sink, config);
  }
}

/** What a provider adds to a mesh, so that no entity has to refer to something that is not there. */
function* ownEntities(config: MappingConfig, state: string): Generator<Entity> {
  const mesh = `the event mesh ${config.id}`;
  const entity = (kind: string, description: string, spec: JsonObject, annotations = {}): Entity => ({
    apiVersion: API_VERSION,
    kind,
    metadata: {
      namespace: config.namespace,
      name: OWN_NAME,
      title: `Event mesh ${config.id}`,
      description,
      annotations: { ...fromHere(config), ...annotations },
    },
    spec,
  });
  yield entity('Location', `Where the entities of ${mesh} come from.`, { targets: [] }, { [ANNOTATION_STATE]: state });
  if (!config.system.default) {
    const owner = refOf('Group', config.owner.default) ?? ownRef('Group', config.namespace);
    yield entity('System', `Brokers, channels, sources and event types of ${mesh}.`, { owner });
  }
  yield entity('Group', `Owns what nobody else is known to own in ${mesh}.`, { type: 'event-mesh', children: [] });
}

/** An object with all that is to be made of it: it can be a channel and a source at once, and is a channel then. */
interface Node {
  meta: Meta;
  object: ObjectRef;
  type: 'broker' | 'channel' | 'event-source';
  ref: CompoundEntityRef & { kind: ConduitKind };
  provides: Set<string>;
  emits: string[];
  sink?: ObjectRef;
}

function nodesOf(mesh: EventMesh, config: MappingConfig, refs: EntityRefs): Map<string, Node> {
  const nodes = new Map<string, Node>();
  const add = (type: Node['type'], kind: ConduitKind, meta: Meta, object: ObjectRef, provides: string[]): Node => {
    const key = keyOf(object);
    const node = nodes.get(key) ?? {
      meta,
      object,
      type,
      ref: { ...refs.claim(kind, object), kind },
      provides: new Set(),
      emits: [],
    };
    nodes.set(key, node);
    provides.forEach(it => node.provides.add(it));
    return node;
  };
  for (const broker of mesh.brokers) {
    const object = { ...nameOf(broker), group: EVENTING, kind: 'Broker' };
    add('broker', config.brokers, broker, object, broker.providedEventTypes);
  }
  for (const channel of mesh.subscribables) {
    const object = { ...nameOf(channel), group: channel.group, kind: channel.kind };
    add('channel', config.channels, channel, object, channel.providedEventTypes);
  }
  for (const source of mesh.sources) {
    const object = { ...nameOf(source), group: source.group, kind: source.kind };
    const node = add('event-source', config.sources, source, object, source.providedEventTypes);
    node.emits = source.providedEventTypeTypes;
    node.sink = source.sink;
  }
  return nodes;
}

function api(eventType: EventType, ref: CompoundEntityRef, config: MappingConfig): Entity {
  const object = eventTypeObject(eventType);
  const consumers = eventType.consumedBy.join(',');
  const schema = httpUrl(eventType.schemaURL);
  return {
    apiVersion: API_VERSION,
    kind: 'API',
    metadata: {
      ...metadataOf(eventType, object, ref, config, consumers ? { [ANNOTATION_CONSUMED_BY]: consumers } : {}),
      // People look for the type; the object's name is often made up by a machine.
      title: printable(eventType.type || eventType.name),
      description: printable(eventType.description || describeObject(object)),
      ...(schema && { links: [{ url: schema, title: 'Schema' }] }),
    },
    spec: { type: 'asyncapi', ...commonSpec(eventType, config), definition: asyncApiDocument(eventType) },
  };
}

function component(node: Node, provides: string[], sink: Node | undefined, config: MappingConfig): Entity {
  const { meta, object, ref } = node;
  const kind = object.kind.toLowerCase();
  const emits = node.emits.length > 0 ? `Emits ${node.emits.join(', ')}` : undefined;
  return {
    apiVersion: API_VERSION,
    kind: ref.kind,
    metadata: {
      ...metadataOf(meta, object, ref, config),
      // Many brokers are called `default`.
      title: printable(`${object.namespace}/${object.name}`),
      description: printable(emits ?? `${object.kind} in namespace ${object.namespace}`),
      ...(isTag(kind) && { tags: [kind] }),
    },
    spec: {
      type: node.type,
      ...commonSpec(meta, config),
      ...(provides.length > 0 && { providesApis: provides }),
      ...(sink && { dependsOn: [stringifyEntityRef(sink.ref)] }),
    },
  };
}

function metadataOf(meta: Meta, object: ObjectRef, ref: CompoundEntityRef, config: MappingConfig, more = {}) {
  const labels = labelsOf(meta);
  const annotations = {
    ...annotationsOf(meta, config.annotations),
    ...fromHere(config),
    [ANNOTATION_OBJECT]: describeObject(object),
    ...more,
  };
  return {
    namespace: ref.namespace,
    name: ref.name,
    ...(Object.keys(labels).length > 0 && { labels }),
    annotations: Object.fromEntries(Object.entries(annotations).map(([key, value]) => [key, printable(value)])),
  };
}

function commonSpec(meta: Meta, { owner, system, lifecycle, namespace }: MappingConfig) {
  return {
    lifecycle: printable(saidBy(meta, lifecycle.from) ?? lifecycle.default),
    owner: refOf('Group', saidBy(meta, owner.from)) ?? refOf('Group', owner.default) ?? ownRef('Group', namespace),
    system:
      refOf('System', saidBy(meta, system.from)) ?? refOf('System', system.default) ?? ownRef('System', namespace),
  };
}

/** What may be said of whose an entity is, and what it belongs to. */
const REFERRED = { Group: ['group', 'user'], System: ['system'] };

/** What a text refers to: a full reference, or the name of an entity of that kind in the namespace `default`. */
export function refOf(kind: keyof typeof REFERRED, text: string | undefined): string | undefined {
  if (!text) {
    return undefined;
  }
  try {
    const ref = parseEntityRef(text, { defaultKind: kind, defaultNamespace: DEFAULT_NAMESPACE });
    const isRef =
      REFERRED[kind].includes(ref.kind.toLowerCase()) &&
      KubernetesValidatorFunctions.isValidNamespace(ref.namespace) &&
      KubernetesValidatorFunctions.isValidObjectName(ref.name);
    return isRef ? stringifyEntityRef(ref) : undefined;
  } catch {
    return undefined;
  }
}

function eventTypeObject(eventType: EventType): ObjectRef {
  return { ...nameOf(eventType), group: EVENTING, kind: 'EventType' };
}

function nameOf({ namespace, name }: Meta): Pick<ObjectRef, 'namespace' | 'name'> {
  return { namespace, name };
}

function fromHere({ id }: MappingConfig): Record<string, string> {
  return { [ANNOTATION_LOCATION]: locationOf(id), [ANNOTATION_ORIGIN_LOCATION]: locationOf(id) };
}

function isTag(text: string): boolean {
  return text.length <= 63 && /^[a-z0-9]+$/.test(text);
}
