import { ConfigReader } from '@backstage/config';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readProviderConfigs } from './config';

const GOOD = { baseUrl: 'http://catalog:8080', token: 't' };

function read(providers: object) {
  return readProviderConfigs(new ConfigReader({ catalog: { providers: { eventMesh: providers } } }));
}

it('needs an address and a token', () => {
  expect(read({ dev: GOOD })).toEqual([
    {
      url: 'http://catalog:8080/v1/getEventMesh',
      token: { token: 't' },
      caFile: undefined,
      timeoutMs: 30_000,
      schedule: { frequency: { seconds: 30 }, timeout: { minutes: 2 }, initialDelay: { seconds: 5 } },
      mapping: {
        id: 'dev',
        namespace: 'dev',
        naming: 'kind',
        owner: { from: ['eventmesh-catalog.dev/owner'], default: undefined },
        system: { from: ['eventmesh-catalog.dev/system', 'app.kubernetes.io/part-of'], default: undefined },
        lifecycle: { from: ['eventmesh-catalog.dev/lifecycle'], default: 'production' },
        brokers: 'Component',
        channels: 'Component',
        sources: 'Component',
        annotations: [],
      },
    },
  ]);
});

it('reads all of it', () => {
  const [config] = read({
    Production: {
      baseUrl: 'https://example.com/eventmesh/',
      tokenFile: '/token',
      caFile: '/ca.crt',
      timeout: '10s',
      schedule: { frequency: 'PT1M', timeout: { seconds: 20 } },
      labelSelector: 'team=blue, tier in (gold)',
      namespaces: ['shop', 'logistics'],
      entityNamespace: 'prod',
      names: 'predecessor',
      owner: { from: ['team'], default: 'platform' },
      system: { default: 'system:default/events' },
      lifecycle: { from: [], default: 'experimental' },
      brokers: 'Resource',
      channels: 'Resource',
      sources: 'Component',
      annotations: ['example.com/*', 'backstage.io/techdocs-ref'],
    },
  });
  expect(config).toMatchObject({
    url:
      'https://example.com/eventmesh/v1/getEventMesh?labelSelector=team%3Dblue%2C+tier+in+%28gold%29' +
      '&namespace=shop&namespace=logistics',
    token: { file: '/token' },
    caFile: '/ca.crt',
    timeoutMs: 10_000,
    schedule: { timeout: { seconds: 20 }, initialDelay: { seconds: 5 } },
    mapping: {
      namespace: 'prod',
      naming: 'predecessor',
      owner: { from: ['team'], default: 'platform' },
      system: { default: 'system:default/events' },
      lifecycle: { from: [], default: 'experimental' },
      brokers: 'Resource',
      sources: 'Component',
      annotations: ['example.com/*', 'backstage.io/techdocs-ref'],
    },
  });
});

it('waits less long for an answer than a run may take', () => {
  const [config] = read({ dev: { ...GOOD, schedule: { frequency: 'PT1M', timeout: { seconds: 20 } } } });
  expect(config.timeoutMs).toBe(15_000);
});

it('is nothing where nothing is configured', () => {
  expect(readProviderConfigs(new ConfigReader({}))).toEqual([]);
});

it.each([
  [{ dev: { token: 't' } }, "Missing required config value at 'catalog.providers.eventMesh.dev.baseUrl'"],
  [{ dev: { ...GOOD, baseUrl: 'catalog:8080' } }, 'dev.baseUrl is no address of a service; write one like http://'],
  [{ dev: { ...GOOD, baseUrl: 'ftp://catalog' } }, 'dev.baseUrl is no address of a service'],
  [{ dev: { ...GOOD, baseUrl: 'http://me:secret@catalog' } }, 'dev.baseUrl is no address of a service'],
  [{ dev: { ...GOOD, baseUrl: 'http://catalog?x=y' } }, 'dev.baseUrl is no address of a service'],
  [{ dev: { baseUrl: 'http://catalog' } }, 'dev.token is missing; the service answers nobody without one'],
  [{ dev: { ...GOOD, tokenFile: '/token' } }, 'dev.tokenFile is given beside token; leave one of them out'],
  [{ dev: { ...GOOD, timeout: 'soon' } }, 'dev.timeout is no time from a millisecond to an hour; write one like 30s'],
  [{ dev: { ...GOOD, timeout: '0s' } }, 'dev.timeout is no time'],
  [{ dev: { ...GOOD, timeout: { hours: 2 } } }, 'dev.timeout is no time'],
  [
    { dev: { ...GOOD, timeout: '5m' } },
    'dev.timeout is not shorter than schedule.timeout, 120 s, which would end a poll',
  ],
  [{ dev: { ...GOOD, namespace: ['shop'] } }, 'dev.namespace is no key that is known; there are annotations, baseUrl'],
  [{ dev: { ...GOOD, owner: { form: ['team'] } } }, 'dev.owner.form is no key that is known; there are default, from'],
  [{ dev: { ...GOOD, namespaces: [] } }, 'dev.namespaces names none; name some, or leave it out for all'],
  [{ dev: { ...GOOD, names: 'predecessor' }, prod: GOOD }, 'dev.names is predecessor beside another provider'],
  [
    { dev: { ...GOOD, schedule: { frequency: 'PT1M' } } },
    "Missing required config value at 'catalog.providers.eventMesh.dev.schedule.timeout'",
  ],
  [{ Dev: GOOD }, 'Dev.entityNamespace Dev is no namespace for Backstage; write lower-case letters'],
  [{ dev: { ...GOOD, entityNamespace: 'a_b' } }, 'dev.entityNamespace a_b is no namespace for Backstage'],
  [{ dev: { ...GOOD, names: 'short' } }, 'dev.names is short; write kind or predecessor'],
  [{ dev: { ...GOOD, brokers: 'API' } }, 'dev.brokers is API; write Component or Resource'],
  [{ dev: { ...GOOD, owner: { default: 'a b' } } }, 'dev.owner.default a b is no reference; write one like group:'],
  [
    { dev: { ...GOOD, system: { default: 'group:a' } } },
    'dev.system.default group:a is no reference; write one like system:',
  ],
  [{ dev: { ...GOOD, annotations: ['backstage.io/*'] } }, 'dev.annotations backstage.io/* would let workloads speak'],
  [
    { dev: GOOD, prod: { ...GOOD, entityNamespace: 'dev' } },
    'prod.entityNamespace dev is the namespace of the provider dev as well',
  ],
])('refuses %j', (providers, told) => {
  expect(() => read(providers)).toThrow(told);
  expect(() => read(providers)).not.toThrow('secret');
});

it('knows the keys that are declared and explained, and no others', () => {
  const known = keysRead();
  expect(keysDeclared()).toEqual(known);
  expect(keysExplained()).toEqual(known);
});

/** As the error about another one tells them. */
function keysRead(): string[] {
  try {
    read({ dev: { ...GOOD, other: '' } });
  } catch (error) {
    return /there are (.*)/.exec(String(error))![1].split(', ');
  }
  throw new Error('a key that is not known was taken');
}

/** The members of what a provider is in config.d.ts. */
function keysDeclared(): string[] {
  const declarations = textOf('config.d.ts').split(/^(?:export )?interface /m);
  const ofProvider = declarations.filter(it => /^(EventMeshProvider|WithToken|WithTokenFile)\b/.test(it));
  return sorted(ofProvider.flatMap(it => [...it.matchAll(/^ {2}(\w+)\??:/gm)].map(member => member[1])));
}

/** What the first column of the table in the README names. */
function keysExplained(): string[] {
  const [, section] = textOf('README.md').split('Below `catalog.providers.eventMesh`');
  const [table] = /^\|[^]*?\n\n/m.exec(section)!;
  const firstColumn = table.split('\n').map(row => row.split('|')[1] ?? '');
  return sorted(firstColumn.flatMap(cell => [...cell.matchAll(/`(\w+)`/g)].map(key => key[1])));
}

function textOf(file: string): string {
  return readFileSync(join(__dirname, '..', file), 'utf8');
}

function sorted(keys: string[]): string[] {
  return [...new Set(keys)].sort();
}
