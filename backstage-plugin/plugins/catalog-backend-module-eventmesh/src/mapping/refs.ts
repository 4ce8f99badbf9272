/** The names of all entities of a mesh, before any of them is made: relations need them. */

import { KubernetesValidatorFunctions, stringifyEntityRef, type CompoundEntityRef } from '@backstage/catalog-model';
import type { ObjectRef } from '../model';
import { entityName, hashedName } from './names';

/**
 * How entities are named.
 *
 * - `kind`: after the kind, namespace and name of the object, in one namespace for each provider. Stable, and nobody
 *   else's.
 * - `predecessor`: after the name of the object, in the namespace of the object, as the Knative backend for Backstage
 *   did. Of several objects that this gives one name, the first has it.
 */
export type Naming = 'kind' | 'predecessor';

/** The kinds of entities that stand for objects. */
export type EntityKind = 'API' | 'Component' | 'Resource';

export class EntityRefs {
  private readonly taken = new Set<string>();

  constructor(
    private readonly naming: Naming,
    private readonly namespace: string,
  ) {}

  /** The name of the entity for an object. With names of the predecessor, it counts who asks first. */
  claim(kind: EntityKind, object: ObjectRef): CompoundEntityRef {
    const own = { kind, namespace: this.namespace, name: entityName(object) };
    if (this.naming === 'kind' || !KubernetesValidatorFunctions.isValidNamespace(object.namespace)) {
      return own;
    }
    const theirs = { kind, namespace: object.namespace, name: object.name };
    const isFree =
      KubernetesValidatorFunctions.isValidObjectName(object.name) && !this.taken.has(stringifyEntityRef(theirs));
    const ref = isFree ? theirs : { ...theirs, name: hashedName(object) };
    this.taken.add(stringifyEntityRef(ref));
    return ref;
  }
}

/** A key by which objects can be told apart and found again. */
export function keyOf({ group, kind, namespace, name }: ObjectRef): string {
  return JSON.stringify([group, kind, namespace, name]);
}
