/** A real Backstage backend with the module, in a process of its own. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringifyEntityRef, type Entity } from '@backstage/catalog-model';
import { eventually, freePort, Program } from './program';

const PACKAGE = resolve(__dirname, '../..');
/** Opens the catalog's API to the test. */
const ACCESS = 'the-token-of-the-test';

export const SQLITE = { client: 'better-sqlite3', connection: ':memory:' };

export interface PortalOptions {
  /** `catalog.providers.eventMesh` */
  eventMesh: Record<string, object>;
  /** What teams registered, by files. */
  teams?: Entity[];
  database?: object;
  processingInterval?: object;
  /** What Node.js has to load before. */
  nodeArgs?: string[];
}

export type Entities = Record<string, Entity>;

export class Portal {
  private readonly folder = mkdtempSync(join(tmpdir(), 'eventmesh-portal-'));
  private program!: Program;
  private port!: number;

  static async start(options: PortalOptions): Promise<Portal> {
    const portal = new Portal();
    await portal.start(options);
    return portal;
  }

  private async start(options: PortalOptions): Promise<void> {
    this.port = await freePort();
    this.registered(...(options.teams ?? []));
    const config = join(this.folder, 'app-config.json');
    writeFileSync(config, JSON.stringify(this.config(options)));
    this.program = new Program(
      process.execPath,
      [
        ...(options.nodeArgs ?? []),
        '--require',
        require.resolve('@backstage/cli/config/nodeTransform.cjs'),
        join(PACKAGE, 'src/index.ts'),
        '--config',
        config,
      ],
      { cwd: PACKAGE, env: { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: '' } },
    );
    await this.program.prints(/Plugin initialization complete, newly initialized: 'catalog'/);
  }

  /** All that it logged. */
  get log(): string {
    return this.program.output;
  }

  /** Waits until it logs something, after so many characters of its log. */
  async prints(pattern: RegExp, after = 0): Promise<RegExpMatchArray> {
    return this.program.prints(pattern, after);
  }

  /** How often it changed its catalog. */
  get mutations(): number {
    return this.log.match(/The catalog has the event mesh at/g)?.length ?? 0;
  }

  /** All entities, by their references. */
  async entities(): Promise<Entities> {
    const response = await fetch(`http://127.0.0.1:${this.port}/api/catalog/entities`, {
      headers: { authorization: `Bearer ${ACCESS}` },
    });
    const entities = (await response.json()) as Entity[];
    return Object.fromEntries(entities.map(it => [stringifyEntityRef(it), it]));
  }

  /** Waits until it shows something. */
  async shows(expectation: (entities: Entities) => void): Promise<void> {
    await eventually(async () => expectation(await this.entities()));
  }

  /** What teams have registered from now on. */
  registered(...entities: Entity[]): void {
    writeFileSync(join(this.folder, 'teams.yaml'), entities.map(it => JSON.stringify(it)).join('\n---\n'));
  }

  async stop(signal?: NodeJS.Signals): Promise<void> {
    await this.program.stop(signal);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private config({ eventMesh, database = SQLITE, processingInterval }: PortalOptions): object {
    const baseUrl = `http://127.0.0.1:${this.port}`;
    return {
      backend: {
        baseUrl,
        listen: { host: '127.0.0.1', port: this.port },
        database,
        auth: { externalAccess: [{ type: 'static', options: { token: ACCESS, subject: 'test' } }] },
      },
      catalog: {
        ...(processingInterval && { processingInterval }),
        locations: [
          {
            type: 'file',
            target: join(this.folder, 'teams.yaml'),
            rules: [{ allow: ['Component', 'Group', 'System'] }],
          },
        ],
        providers: { eventMesh },
      },
      permission: { enabled: false },
    };
  }
}

/** A Component that a team registered, whose workloads have that id. */
export function component(name: string, id: string, namespace = 'default'): Entity {
  return {
    apiVersion: 'backstage.io/v1alpha1',
    kind: 'Component',
    metadata: { name, namespace, annotations: { 'backstage.io/kubernetes-id': id } },
    spec: { type: 'service', lifecycle: 'production', owner: 'group:default/shop' },
  };
}

export function relations(entities: Entities, ...types: string[]): string[] {
  return Object.entries(entities)
    .flatMap(([ref, entity]) =>
      (entity.relations ?? []).filter(it => types.includes(it.type)).map(it => `${ref} ${it.type} ${it.targetRef}`),
    )
    .sort();
}
