/** A service that answers as it is told, on a port of its own. */

import { createHash } from 'node:crypto';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import type { EventMesh } from '../model';
import { mesh } from './meshes';

export const TOKEN = 'a-token-that-nobody-else-has';

/** What it does with a request instead of answering with its mesh. */
export type Behavior = (request: IncomingMessage, response: ServerResponse) => void;

export class Service {
  mesh: EventMesh = mesh();
  behavior?: Behavior;
  /** Of each request: its path, and what was answered. */
  readonly answers: [path: string | undefined, status: number][] = [];
  private readonly server;

  constructor(tls?: { cert: string; key: string }) {
    const listener: RequestListener = (request, response) => {
      response.on('close', () => this.answers.push([request.url, response.statusCode]));
      (this.behavior ?? this.answer)(request, response);
    };
    this.server = tls ? createHttpsServer(tls, listener) : createHttpServer(listener);
  }

  async start(port = 0): Promise<void> {
    await new Promise<void>(resolve => this.server.listen(port, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
  }

  /** How many connections are open. */
  async connections(): Promise<number> {
    return promisify(this.server.getConnections.bind(this.server))();
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${'key' in this.server ? 'https' : 'http'}://127.0.0.1:${this.port}`;
  }

  /** As the real one: only with the token, and not again what is known. */
  private readonly answer: Behavior = (request, response) => {
    const body = JSON.stringify(this.mesh);
    const etag = `"${createHash('sha256').update(body).digest('hex')}"`;
    response.setHeader('etag', etag);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) {
      response.writeHead(401).end();
    } else if (request.headers['if-none-match'] === etag) {
      response.writeHead(304).end();
    } else {
      response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    }
  };
}

/** What can go wrong, each with what is to be told of it. */
export const FAULTS: [what: string, behavior: Behavior, told: RegExp][] = [
  [
    '503 that says why',
    (_, response) =>
      response
        .writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '2' })
        .end('{"detail": "The catalog is still being read: 6 of 7 kinds read.", "requestId": "r-1"}'),
    /status 503 Service Unavailable: The catalog is still being read: 6 of 7 kinds read. \(request r-1\)/,
  ],
  [
    '503 of a proxy',
    (_, response) => response.writeHead(503, { 'content-type': 'text/html' }).end('<h1>no</h1>'),
    /status 503/,
  ],
  ['401', (_, response) => response.writeHead(401).end(), /status 401 Unauthorized: check the token/],
  ['403', (_, response) => response.writeHead(403).end(), /status 403 Forbidden/],
  ['404', (_, response) => response.writeHead(404).end(), /status 404 Not Found/],
  ['500', (_, response) => response.writeHead(500).end(), /status 500/],
  ['204', (_, response) => response.writeHead(204).end(), /status 204/],
  [
    'a redirect',
    (_, response) => response.writeHead(302, { location: 'https://login.example.com/' }).end(),
    /status 302 Found: sent on to https:\/\/login.example.com\/; configure that as baseUrl/,
  ],
  [
    'a page',
    (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Sign in</html>'),
    /the answer is no JSON \(text\/html\); is this the address of eventmesh-catalog\?/,
  ],
  ['nothing', (_, response) => response.writeHead(200).end(), /the answer is no JSON/],
  ['null', (_, response) => response.writeHead(200).end('null'), /the answer is no event mesh: it must be object/],
  [
    'a mesh without brokers',
    (_, response) => response.writeHead(200).end('{"eventTypes": [], "subscribables": [], "sources": []}'),
    /the answer is no event mesh: it must have required property 'brokers'/,
  ],
  [
    'an event type that is none',
    (_, response) =>
      response.writeHead(200).end('{"eventTypes": [{"name": 1}], "brokers": [], "subscribables": [], "sources": []}'),
    /the answer is no event mesh: \/eventTypes\/0/,
  ],
  [
    'half an answer',
    (_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"eventTypes": [', () => response.destroy());
    },
    /terminated|closed|aborted/,
  ],
  ['a connection that is cut', request => request.socket.destroy(), /fetch failed: .*(closed|ECONNRESET)/],
  ['silence', () => {}, /no whole answer within/],
  [
    'an answer that never ends',
    (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    },
    /no whole answer within/,
  ],
];
