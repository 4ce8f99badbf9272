/** Several backends of one portal, which share nothing but their database. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Mesh } from './__testUtils__/mesh';
import { component, Portal, relations } from './__testUtils__/portal';
import { hasPostgres, Postgres } from './__testUtils__/postgres';

jest.setTimeout(240_000);

const brokers = (...names: string[]) =>
  names
    .map(name =>
      JSON.stringify({ apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', metadata: { name, namespace: 'shop' } }),
    )
    .join('\n---\n');

(hasPostgres() ? it : it.skip)('goes on with those that are left, each with what the others did', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eventmesh-replicas-'));
  const manifests = join(folder, 'mesh.yaml');
  const write = (...names: string[]) => writeFileSync(manifests, brokers(...names));
  write('one');
  const database = await Postgres.start();
  const mesh = await Mesh.serve(manifests);
  const start = () =>
    Portal.start({
      database: database.config,
      teams: [component('team', 'team')],
      eventMesh: {
        dev: {
          baseUrl: mesh.url,
          token: mesh.token,
          schedule: { frequency: { seconds: 2 }, timeout: { seconds: 5 } },
        },
      },
    });
  const first = await start();
  const second = await start();
  const shows = async (portal: Portal, ...names: string[]) =>
    portal.shows(entities =>
      expect(relations(entities, 'hasPart')).toEqual(
        names.map(it => `system:dev/event-mesh hasPart component:dev/broker.shop.${it}`),
      ),
    );
  try {
    // Back and forth, as whoever polls next must not take what it saw last for what the catalog has.
    for (const names of [['one'], ['one', 'two'], ['one'], ['one', 'two'], ['two']]) {
      write(...names);
      await shows(first, ...names);
      await shows(second, ...names);
    }
    await first.stop('SIGKILL');
    write('one', 'three');
    await shows(second, 'one', 'three');
  } finally {
    await first.stop('SIGKILL');
    await second.stop();
    await mesh.end();
    await database.stop();
    rmSync(folder, { recursive: true });
  }
});
