/** Programs that tests run, and what they print. */

import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export class Program {
  /** All that it printed. */
  output = '';
  private readonly child: ChildProcess;

  constructor(
    private readonly command: string,
    args: string[],
    options: SpawnOptions = {},
  ) {
    this.child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', data => {
        this.output += data;
      });
    }
    // What cannot be started is told by whoever waits for its output.
    this.child.on('error', error => {
      this.output += error.message;
    });
  }

  /** Waits until it prints something, after so many characters of its output. */
  async prints(pattern: RegExp, after = 0): Promise<RegExpMatchArray> {
    return eventually(() => {
      const match = this.output.slice(after).match(pattern);
      if (!match) {
        throw new Error(`${this.command} did not print ${pattern}, but:\n${this.output.slice(-4_000)}`);
      }
      return match;
    });
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null && this.child.pid) {
      const exit = once(this.child, 'exit');
      this.child.kill(signal);
      await exit;
    }
  }
}

/** What comes of something that does not fail any more, within so many seconds. */
export async function eventually<T>(attempt: () => T | Promise<T>, seconds = 90): Promise<T> {
  const until = Date.now() + seconds * 1_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() >= until) {
        throw error;
      }
      await sleep(100);
    }
  }
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
