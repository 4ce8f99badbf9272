/**
 * The event mesh of Knative clusters in the Backstage catalog.
 *
 * @packageDocumentation
 */

export { catalogModuleEventMesh, catalogModuleEventMesh as default } from './module';
export { ANNOTATION_CONSUMED_BY, ANNOTATION_OBJECT } from './model';
