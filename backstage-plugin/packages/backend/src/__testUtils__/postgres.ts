/** A real PostgreSQL on a folder of its own. */

import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort, Program } from './program';

/** Where Debian keeps the programs of each version. */
const DEBIAN = '/usr/lib/postgresql';
/** PostgreSQL does not run as root; nobody it is then. */
const NOBODY = 65534;

function binaries(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [...versions.map(it => join(DEBIAN, it, 'bin')), ...(process.env.PATH ?? '').split(delimiter)];
  return folders.find(it => existsSync(join(it, 'initdb')) && existsSync(join(it, 'postgres')));
}

/** Whether tests with it run here. Without PostgreSQL they do not, which is told, and with CI they fail. */
export function hasPostgres(): boolean {
  const found = binaries() !== undefined;
  if (!found && !process.env.CI) {
    console.warn('NOT RUN: tests on PostgreSQL, as `initdb` is not on the path');
  }
  return found || Boolean(process.env.CI);
}

export class Postgres {
  private readonly folder = mkdtempSync(join(tmpdir(), 'eventmesh-postgres-'));
  private program!: Program;
  private port!: number;

  static async start(): Promise<Postgres> {
    const postgres = new Postgres();
    await postgres.start();
    return postgres;
  }

  private async start(): Promise<void> {
    const folder = binaries();
    if (!folder) {
      throw new Error('PostgreSQL is not here: its programs `initdb` and `postgres` have to be on the path');
    }
    const as = userInfo().uid === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    const data = join(this.folder, 'data');
    mkdirSync(data, { mode: 0o700 });
    if ('uid' in as) {
      [this.folder, data].forEach(it => chownSync(it, NOBODY, NOBODY));
    }
    const options = { cwd: this.folder, ...as };
    execFileSync(join(folder, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-N'], {
      ...options,
      stdio: 'pipe',
    });
    this.port = await freePort();
    const args = ['-D', data, '-p', String(this.port), '-h', '127.0.0.1', '-k', this.folder, '-c', 'fsync=off'];
    this.program = new Program(join(folder, 'postgres'), args, options);
    await this.program.prints(/database system is ready to accept connections/);
  }

  /** `backend.database` */
  get config(): object {
    return { client: 'pg', connection: { host: '127.0.0.1', port: this.port, user: 'postgres', password: 'unused' } };
  }

  async stop(): Promise<void> {
    await this.program.stop('SIGINT');
    rmSync(this.folder, { recursive: true });
  }
}
