import type { SchedulerServiceTaskScheduleDefinitionConfig } from '@backstage/backend-plugin-api';
import type { HumanDuration } from '@backstage/types';

/** Where an owner, system or lifecycle comes from. */
interface Said {
  /** Annotations and labels of objects that say it, the first that is there. */
  from?: string[];
  /** Where no object says it, or where what is said does not exist. */
  default?: string;
}

interface EventMeshProvider {
  /** The address of the service, such as `http://eventmesh-catalog.eventmesh-catalog:8080`. */
  baseUrl: string;
  /** PEM of the authorities of the service's certificate, instead of those that Node.js knows. Read for each poll. */
  caFile?: string;
  /** For a whole answer; shorter than `schedule.timeout`. 30 seconds by default, or three quarters of that where it is less. */
  timeout?: string | HumanDuration;
  /** How often to poll; every 30 seconds by default. */
  schedule?: SchedulerServiceTaskScheduleDefinitionConfig;
  /** Which objects to ask for, in the grammar of Kubernetes; all by default. */
  labelSelector?: string;
  /** Of which namespaces to ask for objects; of all by default. */
  namespaces?: string[];
  /** The namespace of the entities; by default the id of the provider. */
  entityNamespace?: string;
  /**
   * How entities are named: `kind`, the default, after kind, namespace and name of the object; `predecessor` as the
   * Knative backend for Backstage did, after the name alone, in the namespace of the object.
   */
  names?: 'kind' | 'predecessor';
  /** The Group or User that owns entities; by default a Group that the provider adds. */
  owner?: Said;
  /** The System that entities belong to; by default one that the provider adds. */
  system?: Said;
  /** The lifecycle of entities; `production` by default. */
  lifecycle?: Said;
  /** What brokers become; `Component` by default. */
  brokers?: 'Component' | 'Resource';
  /** What channels become; `Component` by default. */
  channels?: 'Component' | 'Resource';
  /** What sources become; `Component` by default. */
  sources?: 'Component' | 'Resource';
  /**
   * Annotations of objects that their entities have as well: keys, `<host>/*`, or `*` for all but those of Backstage
   * and of this module.
   * None by default.
   */
  annotations?: string[];
}

interface WithToken extends EventMeshProvider {
  /**
   * The bearer token.
   * @visibility secret
   */
  token: string;
  tokenFile?: never;
}

interface WithTokenFile extends EventMeshProvider {
  /** The file that the bearer token is in, read for each poll. */
  tokenFile: string;
  token?: never;
}

export interface Config {
  catalog?: {
    providers?: {
      /** Services of eventmesh-catalog, by an id for each. */
      eventMesh?: {
        [id: string]: WithToken | WithTokenFile;
      };
    };
  };
}
