/** A mesh of 5,000 event types: nothing is lost, and what does not change costs nothing. */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import BetterSqlite3 from 'better-sqlite3';
import { Mesh } from './__testUtils__/mesh';
import { component, Portal, relations } from './__testUtils__/portal';
import { eventually } from './__testUtils__/program';
import { Proxy } from './__testUtils__/proxy';

// A busy machine may take its time: what is waited for is that all is there.
jest.setTimeout(600_000);

/** Where there is a folder in memory: SQLite waits for the disk after each of tens of thousands of transactions. */
const MEMORY = '/dev/shm';
const BROKERS = 50;
const TYPES = 5_000;
const CONSUMERS = 100;
const GROUP = 'eventing.knative.dev';

function* objects(): Generator<object> {
  const metadata = (name: string) => ({ name, namespace: 'shop' });
  for (let n = 0; n < BROKERS; n += 1) {
    yield { apiVersion: `${GROUP}/v1`, kind: 'Broker', metadata: metadata(`broker-${n}`) };
  }
  for (let n = 0; n < TYPES; n += 1) {
    const reference = { apiVersion: `${GROUP}/v1`, kind: 'Broker', name: `broker-${n % BROKERS}` };
    const spec = { type: `com.example.shop.type-${n}`, description: `The ${n}th type of events.`, reference };
    yield { apiVersion: `${GROUP}/v1beta2`, kind: 'EventType', metadata: metadata(`type-${n}`), spec };
  }
  for (let n = 0; n < CONSUMERS; n += 1) {
    const labels = { 'backstage.io/kubernetes-id': `consumer-${n}` };
    yield { apiVersion: 'v1', kind: 'Service', metadata: { ...metadata(`consumer-${n}`), labels } };
    const subscriber = { ref: { apiVersion: 'v1', kind: 'Service', name: `consumer-${n}` } };
    const spec = { broker: `broker-${n % BROKERS}`, subscriber };
    yield { apiVersion: `${GROUP}/v1`, kind: 'Trigger', metadata: metadata(`trigger-${n}`), spec };
  }
}

it('has all of 5,000 event types, and does nothing while they stay the same', async () => {
  const folder = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'eventmesh-scale-'));
  const manifests = join(folder, 'mesh.yaml');
  writeFileSync(manifests, [...objects()].map(it => JSON.stringify(it)).join('\n---\n'));
  const mesh = await Mesh.serve(manifests);
  const proxy = await Proxy.before(mesh);
  const portal = await Portal.start({
    nodeArgs: ['--require', join(__dirname, '__testUtils__/probe.cjs')],
    database: { client: 'better-sqlite3', connection: { directory: folder } },
    processingInterval: { hours: 1 },
    teams: Array.from({ length: CONSUMERS }, (_, n) => component(`consumer-${n}`, `consumer-${n}`)),
    eventMesh: {
      dev: {
        baseUrl: proxy.url,
        token: mesh.token,
        schedule: { frequency: { seconds: 5 }, timeout: { seconds: 60 }, initialDelay: { seconds: 8 } },
      },
    },
  });
  try {
    const idle = worstDelay(portal.log);
    await portal.prints(/The catalog has the event mesh/);
    const mutation = { until: Date.now(), log: portal.log };
    const [, took] = mutation.log.match(/as \d+ entities, in (\d+) ms/) ?? [];
    const entities = await eventually(async () => {
      // To ask for all entities takes the portal a while.
      await sleep(3_000);
      const found = await portal.entities();
      expect(relations(found, 'apiConsumedBy').length).toBe((TYPES * CONSUMERS) / BROKERS);
      expect(relations(found, 'apiProvidedBy').length).toBe(TYPES);
      return found;
    }, 400);
    const shown = Date.now();
    expect(Object.keys(entities).filter(it => it.startsWith('api:dev/'))).toHaveLength(TYPES);

    // Whatever the catalog does about an entity changes one of these.
    const work = () => {
      const database = new BetterSqlite3(join(folder, 'catalog.sqlite'), { readonly: true });
      const rows = database
        .prepare('SELECT entity_ref, last_discovery_at, next_update_at, result_hash FROM refresh_state')
        .all();
      database.close();
      return JSON.stringify(rows);
    };
    await eventually(() => expect(proxy.answers.at(-1)).toBe(304));
    const before = work();
    const polls = proxy.answers.length;
    await eventually(() => expect(proxy.answers.length).toBeGreaterThanOrEqual(polls + 3));
    expect(proxy.answers.slice(polls)).toEqual(proxy.answers.slice(polls).fill(304));
    expect(work()).toBe(before);
    expect(portal.mutations).toBe(1);

    process.stdout.write(
      `${TYPES} event types: poll and full mutation ${took} ms, ` +
        `event loop delay ${worstDelay(mutation.log)} ms at the most (idle ${idle} ms), ` +
        `all processed and related ${((shown - mutation.until) / 1000).toFixed(0)} s later\n`,
    );
  } finally {
    await portal.stop();
    await proxy.stop();
    await mesh.end();
    rmSync(folder, { recursive: true });
  }
});

/** The longest delay of the event loop that the probe told since the backend was there. */
function worstDelay(log: string): number {
  const [, since = ''] = log.split('Plugin initialization complete');
  return Math.max(0, ...[...since.matchAll(/probe: event loop delay (\d+) ms/g)].map(([, delay]) => Number(delay)));
}
