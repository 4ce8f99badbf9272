/** Meshes read back through the catalog of a real Backstage, on each database. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringifyEntityRef, type Entity } from '@backstage/catalog-model';
import { golden, Mesh, SAMPLE } from './__testUtils__/mesh';
import { component, Portal, relations, SQLITE, type Entities } from './__testUtils__/portal';
import { hasPostgres, Postgres } from './__testUtils__/postgres';

jest.setTimeout(240_000);

/** Made with UPDATE_EXPECT=1, and read before it is committed. */
const EXPECTED = join(__dirname, 'catalogs.expected.json');
const GOLDEN = ['channel-and-backing-channel', 'filters-cesql', 'source-reaches-reference'];
const RELATIONS = ['apiConsumedBy', 'apiProvidedBy', 'consumesApi', 'providesApi'];

/** What the service answers, of which tests know nothing else. */
interface Answer {
  eventTypes: { namespace: string; name: string; consumedBy: string[] }[];
  brokers: Provider[];
  subscribables: Provider[];
  sources: Provider[];
}

interface Provider {
  namespace: string;
  name: string;
  kind?: string;
  providedEventTypes: string[];
}

/** A database, which starts when it is needed. */
const DATABASES: [string, () => Promise<{ config: object; stop: () => Promise<void> }>][] = [
  ['SQLite', async () => ({ config: SQLITE, stop: async () => {} })],
];
if (hasPostgres()) {
  DATABASES.push(['PostgreSQL', () => Postgres.start()]);
}

const meshes: Record<string, Mesh> = {};
const answers: Record<string, Answer> = {};

beforeAll(async () => {
  meshes.shop = await Mesh.serve(SAMPLE);
  answers.shop = (await (await meshes.shop.complete()).json()) as Answer;
  for (const name of GOLDEN) {
    const { input, expected } = golden(name);
    meshes[name] = await Mesh.serve(input);
    answers[name] = JSON.parse(readFileSync(expected, 'utf8'));
  }
});

afterAll(() => Promise.all(Object.values(meshes).map(it => it.end())));

/** Components of teams for all who consume something, half of them in another namespace. */
function teams(): Entity[] {
  const ids = new Set(Object.values(answers).flatMap(it => it.eventTypes.flatMap(({ consumedBy }) => consumedBy)));
  return [...ids].map((id, n) => component(id.toLowerCase(), id, n % 2 === 0 ? 'default' : 'payments'));
}

/** What an answer says, as relations of entities: written down once more, without the module. */
function said(id: string, answer: Answer, consumers: Entity[]): string[] {
  const api = (name: string) => `api:${id}/eventtype.${name.replace('/', '.')}`;
  const both = (one: string, type: string, opposite: string, other: string) => [
    `${one} ${type} ${other}`,
    `${other} ${opposite} ${one}`,
  ];
  const consumed = answer.eventTypes.flatMap(({ namespace, name, consumedBy }) =>
    consumers
      .filter(it => consumedBy.includes(it.metadata.annotations!['backstage.io/kubernetes-id']))
      .flatMap(({ metadata }) =>
        both(
          `component:${metadata.namespace}/${metadata.name}`,
          'consumesApi',
          'apiConsumedBy',
          api(`${namespace}/${name}`),
        ),
      ),
  );
  const provided = [...answer.brokers, ...answer.subscribables, ...answer.sources].flatMap(
    ({ namespace, name, kind = 'Broker', providedEventTypes }) =>
      providedEventTypes.flatMap(it =>
        both(`component:${id}/${kind.toLowerCase()}.${namespace}.${name}`, 'providesApi', 'apiProvidedBy', api(it)),
      ),
  );
  return [...consumed, ...provided];
}

/** The entities of meshes, each a line, without what the catalog makes up and what changes with the text of an answer. */
function essence(entities: Entities): string {
  const lines = Object.values(entities)
    .filter(it => it.metadata.namespace! in answers)
    .map(({ metadata, ...entity }) => {
      const { uid: _uid, etag: _etag, annotations = {}, ...more } = metadata;
      const { 'eventmesh-catalog.dev/state': _state, ...others } = annotations;
      return JSON.stringify({
        entity: stringifyEntityRef({ ...entity, metadata }),
        ...entity,
        metadata: { ...more, annotations: others },
      });
    });
  return `[\n${lines.sort().join(',\n')}\n]\n`;
}

it.each(DATABASES)('shows all meshes on %s as they are', async (_, startDatabase) => {
  const database = await startDatabase();
  const consumers = teams();
  const portal = await Portal.start({
    database: database.config,
    teams: consumers,
    eventMesh: Object.fromEntries(
      Object.entries(meshes).map(([id, mesh]) => [
        id,
        {
          baseUrl: mesh.url,
          token: mesh.token,
          owner: { from: ['team'] },
          schedule: { frequency: { seconds: 5 }, timeout: { seconds: 5 }, initialDelay: { seconds: 8 } },
        },
      ]),
    ),
  });
  try {
    const expected = Object.entries(answers).flatMap(([id, answer]) => said(id, answer, consumers));
    expect(expected.length).toBeGreaterThan(100);
    await portal.shows(entities => expect(relations(entities, ...RELATIONS)).toEqual(expected.sort()));
    const found = essence(await portal.entities());
    if (process.env.UPDATE_EXPECT) {
      writeFileSync(EXPECTED, found);
    }
    expect(found).toBe(readFileSync(EXPECTED, 'utf8'));
    expect(portal.log).not.toMatch(/ error /);
  } finally {
    await portal.stop();
    await database.stop();
  }
});
