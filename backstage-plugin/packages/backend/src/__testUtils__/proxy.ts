/** The way from the portal to the service, on which things go wrong, and polls are counted. */

import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Mesh } from './mesh';

export type Way = (request: IncomingMessage, response: ServerResponse) => void;

export class Proxy {
  way: Way;
  /** The status of each answer, 0 where there was none. */
  readonly answers: number[] = [];
  private readonly server = createServer((request, response) => {
    response.on('close', () => this.answers.push(response.headersSent ? response.statusCode : 0));
    this.way(request, response);
  });

  private constructor(mesh: Mesh) {
    this.way = to(mesh);
  }

  static async before(mesh: Mesh): Promise<Proxy> {
    const proxy = new Proxy(mesh);
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** To the real service, or to nobody where it does not run. */
export function to(mesh: Mesh, change: Record<string, string> = {}): Way {
  return (request, response) => {
    const onwards = httpRequest(new URL(request.url ?? '/', mesh.url), {
      headers: { ...request.headers, ...change },
    });
    onwards.on('response', answer => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    onwards.on('error', () => response.destroy());
    onwards.end();
  };
}
