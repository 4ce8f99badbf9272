/** The real service on folders of manifests. */

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Program } from './program';

const ROOT = resolve(__dirname, '../../../../..');

/** The sample mesh of a web shop. */
export const SAMPLE = join(ROOT, 'config/samples/shop');

/** The manifests of a golden case, and the answer to them. */
export function golden(name: string): { input: string; expected: string } {
  const folder = join(ROOT, 'tests/golden', name);
  return { input: join(folder, 'input.yaml'), expected: join(folder, 'expected.json') };
}

function binary(): string {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const path = process.env.EVENTMESH_BIN ?? join(target, 'debug/eventmesh-catalog');
  if (!existsSync(path)) {
    throw new Error(`${path} is not there: run \`cargo build\`, or name the binary in EVENTMESH_BIN`);
  }
  return path;
}

export class Mesh {
  readonly token = randomBytes(32).toString('hex');
  private readonly folder = mkdtempSync(join(tmpdir(), 'eventmesh-service-'));
  private program!: Program;
  /** Where it answers, also after it was stopped and started again. */
  url = '';

  static async serve(manifests: string, ...args: string[]): Promise<Mesh> {
    const mesh = new Mesh();
    await mesh.start(manifests, ...args);
    return mesh;
  }

  async start(manifests: string, ...args: string[]): Promise<void> {
    const tokens = join(this.folder, 'tokens');
    const digest = createHash('sha256').update(this.token).digest('hex');
    writeFileSync(tokens, `portal:${digest}\n`, { mode: 0o600 });
    const listen = this.url ? new URL(this.url).host : '127.0.0.1:0';
    const serve = ['serve', '--manifests', manifests, '--tokens-file', tokens, '--listen', listen];
    this.program = new Program(binary(), [...serve, '--admin-listen', '127.0.0.1:0', ...args]);
    const [, url] = await this.program.prints(/Serving (http:\/\/\S+)/);
    this.url = url;
  }

  /** What it answers once it has read the manifests. */
  async complete(): Promise<Response> {
    for (;;) {
      const response = await this.get();
      if (response.status !== 503) {
        return response;
      }
      await new Promise(resolved => setTimeout(resolved, 20));
    }
  }

  /** What it answers. */
  async get(): Promise<Response> {
    return fetch(`${this.url}/v1/getEventMesh`, { headers: { authorization: `Bearer ${this.token}` } });
  }

  async stop(): Promise<void> {
    await this.program.stop();
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true });
  }
}
