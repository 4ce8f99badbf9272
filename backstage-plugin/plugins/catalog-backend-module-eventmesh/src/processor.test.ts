import { mockServices } from '@backstage/backend-test-utils';
import type { Entity } from '@backstage/catalog-model';
import type { CatalogProcessorResult } from '@backstage/plugin-catalog-node';
import { catalogServiceMock } from '@backstage/plugin-catalog-node/testUtils';
import { mappingConfig, smallMesh } from './__testUtils__/meshes';
import { CatalogReader } from './catalog';
import { Directory } from './directory';
import { entitiesOf, type MappingConfig } from './mapping';
import { EventMeshProcessor } from './processor';

const HERE = { type: 'eventmesh', target: 'dev' };

/** An API after it was processed in an empty catalog, and what else came of that. */
async function processed(config: Partial<MappingConfig> = {}, location = HERE, change = (entity: Entity) => entity) {
  const mapping = mappingConfig(config);
  const reader = new CatalogReader({ catalog: catalogServiceMock(), auth: mockServices.auth() });
  const directory = new Directory({ reader, logger: mockServices.logger.mock() });
  const processor = new EventMeshProcessor([mapping], directory);
  const emitted: CatalogProcessorResult[] = [];
  const emit = (result: CatalogProcessorResult) => void emitted.push(result);
  const api = change([...entitiesOf(smallMesh(), mapping, '')].find(it => it.kind === 'API')!);
  const before = await processor.preProcessEntity(api, location, emit);
  const after = await processor.postProcessEntity(before, location, emit);
  directory.stop();
  return { api, after, keys: emitted.map(it => (it.type === 'refresh' ? it.key : it.type)) };
}

it('belongs to what the provider adds, and waits for nothing then but its consumers', async () => {
  const { after, keys } = await processed();
  expect([after.spec?.owner, after.spec?.system]).toEqual(['group:dev/event-mesh', 'system:dev/event-mesh']);
  expect(keys).toEqual(['eventmesh:consumer:invoicing']);
});

it('hears of what it looked for in vain', async () => {
  const config = { owner: { from: [], default: 'platform' }, system: { from: [], default: 'events' } };
  const { after, keys } = await processed(config);
  expect([after.spec?.owner, after.spec?.system]).toEqual(['group:dev/event-mesh', undefined]);
  expect(keys).toEqual([
    'eventmesh:ref:group:default/platform',
    'eventmesh:ref:system:default/events',
    'eventmesh:consumer:invoicing',
  ]);
});

it.each([
  { type: 'url', target: 'dev' },
  { type: 'eventmesh', target: 'somebody-else' },
])('leaves alone what comes from $type:$target', async location => {
  const { api, after, keys } = await processed({}, location);
  expect(after).toBe(api);
  expect(keys).toEqual([]);
});
