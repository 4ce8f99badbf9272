export { entitiesOf, ownRef, refOf, type ConduitKind, type MappingConfig, type Said } from './entities';
export { patternFlaw } from './metadata';
export type { Naming } from './refs';
