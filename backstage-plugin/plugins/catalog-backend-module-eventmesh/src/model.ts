/**
 * What the entities of an event mesh carry, for those who read them in a catalog.
 */

import type { components } from './generated/types';

export type EventMesh = components['schemas']['EventMesh'];
export type EventType = components['schemas']['EventType'];
export type Source = components['schemas']['Source'];
/** What every object of a mesh has. */
export type Meta = components['schemas']['Meta'];
/** The name of an object. Without its version: the object is the same in all of them. */
export type ObjectRef = components['schemas']['Reference'];

/** The domain of annotations and labels that this product gives a meaning. */
const DOMAIN = 'eventmesh-catalog.dev';

/**
 * The object that an entity stands for, such as `EventType.eventing.knative.dev shop/order-created`.
 *
 * @public
 */
export const ANNOTATION_OBJECT = `${DOMAIN}/object`;

/**
 * On an API: the `backstage.io/kubernetes-id` of each consumer of the event type, separated by commas.
 *
 * @public
 */
export const ANNOTATION_CONSUMED_BY = `${DOMAIN}/consumed-by`;

/** On the Location of a provider: what of the mesh the catalog holds, as {@link state.State} writes it. */
export const ANNOTATION_STATE = `${DOMAIN}/state`;

/** Where a workload says whom it belongs to, unless the configuration names other annotations and labels. */
export const OWNER_FROM = [`${DOMAIN}/owner`];
export const SYSTEM_FROM = [`${DOMAIN}/system`, 'app.kubernetes.io/part-of'];
export const LIFECYCLE_FROM = [`${DOMAIN}/lifecycle`];

/** The type of the location that entities of this module come from; its target is the id of the provider. */
export const LOCATION_TYPE = 'eventmesh';

/** The name of the Location, System and Group that a provider adds, in its namespace. */
export const OWN_NAME = 'event-mesh';

/** The name of a provider, and the location that its entities come from. */
export function locationOf(providerId: string): string {
  return `${LOCATION_TYPE}:${providerId}`;
}

/** An object as text. */
export function describeObject({ group, kind, namespace, name }: ObjectRef): string {
  return `${group ? `${kind}.${group}` : kind} ${namespace}/${name}`;
}
