/** What `catalog.providers.eventMesh` says, checked. Its schema is config.d.ts. */

import {
  readSchedulerServiceTaskScheduleDefinitionFromConfig,
  type SchedulerServiceTaskScheduleDefinition,
} from '@backstage/backend-plugin-api';
import { KubernetesValidatorFunctions } from '@backstage/catalog-model';
import { readDurationFromConfig, type Config } from '@backstage/config';
import { InputError } from '@backstage/errors';
import { durationToMilliseconds, type HumanDuration } from '@backstage/types';
import type { ClientConfig, TokenSource } from './client';
import { patternFlaw, refOf, type ConduitKind, type MappingConfig, type Naming } from './mapping';
import { LIFECYCLE_FROM, OWNER_FROM, SYSTEM_FROM } from './model';

const ROOT = 'catalog.providers.eventMesh';
const PATH = 'v1/getEventMesh';

/** Late enough for what teams register by files to be there, so that first relations need no second look. */
const DEFAULT_SCHEDULE: SchedulerServiceTaskScheduleDefinition = {
  frequency: { seconds: 30 },
  timeout: { minutes: 2 },
  initialDelay: { seconds: 5 },
};
const DEFAULT_TIMEOUT_MS = 30_000;
/** The part of a run's time that an answer may take by default, where that is shorter. */
const DEFAULT_PART = 0.75;
const MAX_TIMEOUT_MS = 3_600_000;
const DEFAULT_LIFECYCLE = 'production';

/** What a provider may say, and what may be said of where its owner and the like come from. */
const KEYS = [
  'annotations',
  'baseUrl',
  'brokers',
  'caFile',
  'channels',
  'entityNamespace',
  'labelSelector',
  'lifecycle',
  'names',
  'namespaces',
  'owner',
  'schedule',
  'sources',
  'system',
  'timeout',
  'token',
  'tokenFile',
];
const SAID_KEYS = ['default', 'from'];

const NAMINGS: readonly Naming[] = ['kind', 'predecessor'];
const CONDUIT_KINDS: readonly ConduitKind[] = ['Component', 'Resource'];

/** One service, and what its event mesh becomes. */
export interface ProviderConfig extends ClientConfig {
  schedule: SchedulerServiceTaskScheduleDefinition;
  mapping: MappingConfig;
}

/**
 * The configured providers.
 *
 * @throws InputError that names the key and the remedy
 */
export function readProviderConfigs(root: Config): ProviderConfig[] {
  const config = root.getOptionalConfig(ROOT);
  const providers = (config?.keys() ?? []).map(id => readProviderConfig(id, config!.getConfig(id)));
  const providersByNamespace = new Map<string, string>();
  for (const { mapping } of providers) {
    const path = `${ROOT}.${mapping.id}`;
    if (mapping.naming === 'predecessor' && providers.length > 1) {
      throw flaw(
        `${path}.names`,
        'is predecessor beside another provider; entities are then in the namespaces of their objects, where those of two ' +
          'clusters would displace each other. Write kind',
      );
    }
    const other = providersByNamespace.get(mapping.namespace);
    if (other !== undefined) {
      throw flaw(
        `${path}.entityNamespace`,
        `${mapping.namespace} is the namespace of the provider ${other} as well, and entities of objects with equal ` +
          'names would displace each other; choose another one',
      );
    }
    providersByNamespace.set(mapping.namespace, mapping.id);
  }
  return providers;
}

function readProviderConfig(id: string, config: Config): ProviderConfig {
  const path = `${ROOT}.${id}`;
  refuseUnknown(config, path, KEYS);
  for (const key of ['owner', 'system', 'lifecycle']) {
    refuseUnknown(config.getOptionalConfig(key), `${path}.${key}`, SAID_KEYS);
  }
  const schedule = readSchedule(config);
  const from = (key: string, keys: string[]) => config.getOptionalStringArray(`${key}.from`) ?? keys;
  return {
    url: readUrl(config, path),
    token: readToken(config, path),
    caFile: config.getOptionalString('caFile'),
    timeoutMs: readTimeout(config, path, durationToMilliseconds(schedule.timeout as HumanDuration)),
    schedule,
    mapping: {
      id,
      namespace: readNamespace(config, path, id),
      naming: oneOf(config, path, 'names', NAMINGS),
      owner: { from: from('owner', OWNER_FROM), default: readRef(config, path, 'owner', 'Group') },
      system: { from: from('system', SYSTEM_FROM), default: readRef(config, path, 'system', 'System') },
      lifecycle: {
        from: from('lifecycle', LIFECYCLE_FROM),
        default: config.getOptionalString('lifecycle.default') ?? DEFAULT_LIFECYCLE,
      },
      brokers: oneOf(config, path, 'brokers', CONDUIT_KINDS),
      channels: oneOf(config, path, 'channels', CONDUIT_KINDS),
      sources: oneOf(config, path, 'sources', CONDUIT_KINDS),
      annotations: readAnnotations(config, path),
    },
  };
}

/** The address of the mesh, or of what is selected of it. */
function readUrl(config: Config, path: string): string {
  const text = config.getString('baseUrl');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url && !url.username && !url.password && !url.search && !url.hash;
  if (!isPlain || !/^https?:$/.test(url.protocol)) {
    throw flaw(
      `${path}.baseUrl`,
      'is no address of a service; write one like http://eventmesh-catalog.eventmesh-catalog:8080, without user, query ' +
        'or fragment',
    );
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${PATH}`;
  const selector = config.getOptionalString('labelSelector');
  if (selector) {
    url.searchParams.set('labelSelector', selector);
  }
  const namespaces = config.getOptionalStringArray('namespaces');
  if (namespaces?.length === 0) {
    throw flaw(`${path}.namespaces`, 'names none; name some, or leave it out for all');
  }
  namespaces?.forEach(it => url.searchParams.append('namespace', it));
  return url.href;
}

function readToken(config: Config, path: string): TokenSource {
  const token = config.getOptionalString('token');
  const file = config.getOptionalString('tokenFile');
  if (token !== undefined && file !== undefined) {
    throw flaw(`${path}.tokenFile`, 'is given beside token; leave one of them out');
  }
  if (token !== undefined) {
    return { token };
  }
  if (file !== undefined) {
    return { file };
  }
  throw flaw(`${path}.token`, 'is missing; the service answers nobody without one. Write token, or tokenFile');
}

/** Shorter than a run of the task may take: where that ends first, nobody is told what was waited for. */
function readTimeout(config: Config, path: string, runMs: number): number {
  if (!config.has('timeout')) {
    return Math.min(DEFAULT_TIMEOUT_MS, Math.ceil(runMs * DEFAULT_PART));
  }
  let ms = 0;
  try {
    ms = Math.round(durationToMilliseconds(readDurationFromConfig(config, { key: 'timeout' })));
  } catch {
    // Told below.
  }
  if (ms < 1 || ms > MAX_TIMEOUT_MS) {
    throw flaw(`${path}.timeout`, 'is no time from a millisecond to an hour; write one like 30s');
  }
  if (ms >= runMs) {
    throw flaw(
      `${path}.timeout`,
      `is not shorter than schedule.timeout, ${runMs / 1000} s, which would end a poll without a reason; write a ` +
        'shorter one, or a longer schedule.timeout',
    );
  }
  return ms;
}

function readSchedule(config: Config): SchedulerServiceTaskScheduleDefinition {
  if (!config.has('schedule')) {
    return DEFAULT_SCHEDULE;
  }
  const schedule = readSchedulerServiceTaskScheduleDefinitionFromConfig(config.getConfig('schedule'));
  return { ...schedule, initialDelay: schedule.initialDelay ?? DEFAULT_SCHEDULE.initialDelay };
}

function readNamespace(config: Config, path: string, id: string): string {
  const namespace = config.getOptionalString('entityNamespace') ?? id;
  if (!KubernetesValidatorFunctions.isValidNamespace(namespace)) {
    throw flaw(
      `${path}.entityNamespace`,
      `${namespace} is no namespace for Backstage; write lower-case letters, digits and hyphens, at most 63`,
    );
  }
  return namespace;
}

function readRef(config: Config, path: string, key: string, kind: 'Group' | 'System'): string | undefined {
  const text = config.getOptionalString(`${key}.default`);
  if (text !== undefined && refOf(kind, text) === undefined) {
    throw flaw(
      `${path}.${key}.default`,
      `${text} is no reference; write one like ${kind.toLowerCase()}:default/platform`,
    );
  }
  return text;
}

function readAnnotations(config: Config, path: string): string[] {
  const patterns = config.getOptionalStringArray('annotations') ?? [];
  for (const pattern of patterns) {
    const what = patternFlaw(pattern);
    if (what) {
      throw flaw(`${path}.annotations`, `${pattern} ${what}`);
    }
  }
  return patterns;
}

/** One of these values, the first by default. */
function oneOf<T extends string>(config: Config, path: string, key: string, values: readonly T[]): T {
  const text = config.getOptionalString(key) ?? values[0];
  const value = values.find(it => it === text);
  if (!value) {
    throw flaw(`${path}.${key}`, `is ${text}; write ${values.join(' or ')}`);
  }
  return value;
}

/** What is misspelt would select, or mean, something else than what was meant. */
function refuseUnknown(config: Config | undefined, path: string, known: readonly string[]): void {
  for (const key of config?.keys() ?? []) {
    if (!known.includes(key)) {
      throw flaw(`${path}.${key}`, `is no key that is known; there are ${known.join(', ')}`);
    }
  }
}

function flaw(key: string, what: string): InputError {
  return new InputError(`Invalid configuration: ${key} ${what}`);
}
