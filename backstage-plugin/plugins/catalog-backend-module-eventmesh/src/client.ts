/**
 * Asking the service for an event mesh.
 *
 * What must stay true: what comes back is a whole answer of the right form, or an error that says which address failed,
 * why, and what to do. The token is in no error.
 */

import { readFile } from 'node:fs/promises';
import Ajv2020 from 'ajv/dist/2020';
import { Agent, fetch as undiciFetch } from 'undici';
import { schema } from './generated/schema';
import type { EventMesh } from './model';

/** The bearer token, or the file that it is in, which is read for each request: tokens of Kubernetes change. */
export type TokenSource = { token: string } | { file: string };

export interface ClientConfig {
  url: string;
  token: TokenSource;
  /** PEM of the authorities that the service's certificate may be of, instead of those that Node knows. */
  caFile?: string;
  /** For a whole answer. */
  timeoutMs: number;
}

export interface NewAnswer {
  isNew: true;
  mesh: EventMesh;
  etag?: string;
  /** For how long the service could not keep up with the cluster. */
  staleSeconds?: string;
}

export type Answer = NewAnswer | { isNew: false; staleSeconds?: string };

/** What went wrong, in one sentence. */
export class RequestError extends Error {
  constructor(
    message: string,
    /** How long the service asks to be left alone. */
    readonly retryAfterMs?: number,
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

const isEventMesh = new Ajv2020().compile<EventMesh>(schema);

export class EventMeshClient {
  private agent?: { ca: string; agent: Agent };

  constructor(private readonly config: ClientConfig) {}

  /** The mesh, unless it is the one with this tag. */
  async fetch(etag: string | undefined, signal: AbortSignal): Promise<Answer> {
    const { url, timeoutMs } = this.config;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const init = {
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${await this.token()}`,
          ...(etag && { 'if-none-match': etag }),
        },
        // Where to would have to be trusted with the token.
        redirect: 'manual' as const,
        signal: AbortSignal.any([signal, timeout]),
      };
      const dispatcher = await this.dispatcher();
      const response = dispatcher ? await undiciFetch(url, { ...init, dispatcher }) : await fetch(url, init);
      return await answerOf(response as Response, etag);
    } catch (error) {
      if (error instanceof RequestError || signal.aborted) {
        throw error;
      }
      throw new RequestError(timeout.aborted ? `no whole answer within ${timeoutMs / 1000} s` : causeOf(error));
    }
  }

  private async token(): Promise<string> {
    const { token } = this.config;
    const text = 'token' in token ? token.token : await readText(token.file, 'tokenFile');
    // Whatever else is in it would be told by the error about an invalid header.
    if (!/^[\x21-\x7e]+$/.test(text.trim())) {
      throw new RequestError('the token is empty, or has characters that no token has');
    }
    return text.trim();
  }

  private async dispatcher(): Promise<Agent | undefined> {
    if (!this.config.caFile) {
      return undefined;
    }
    const ca = await readText(this.config.caFile, 'caFile');
    // Without one, Node would trust those that it knows.
    if (!/-----BEGIN (TRUSTED )?CERTIFICATE-----/.test(ca)) {
      throw new RequestError(`caFile ${this.config.caFile} has no certificate`);
    }
    if (this.agent?.ca !== ca) {
      void this.agent?.agent.close();
      this.agent = { ca, agent: new Agent({ connect: { ca } }) };
    }
    return this.agent.agent;
  }
}

async function answerOf(response: Response, etag: string | undefined): Promise<Answer> {
  const staleSeconds = response.headers.get('eventmesh-stale-seconds') ?? undefined;
  if (response.status === 304 && etag) {
    return { isNew: false, staleSeconds };
  }
  if (response.status !== 200) {
    throw await refusal(response);
  }
  const text = await response.text();
  let mesh: unknown;
  try {
    mesh = JSON.parse(text);
  } catch {
    const type = response.headers.get('content-type') ?? 'no content type';
    throw new RequestError(`the answer is no JSON (${type}); is this the address of eventmesh-catalog?`);
  }
  if (!isEventMesh(mesh)) {
    const [flaw] = isEventMesh.errors ?? [];
    throw new RequestError(`the answer is no event mesh: ${flaw?.instancePath || 'it'} ${flaw?.message}`);
  }
  return {
    isNew: true,
    mesh,
    etag: response.headers.get('etag') ?? undefined,
    staleSeconds,
  };
}

async function refusal(response: Response): Promise<RequestError> {
  const { status, statusText, headers } = response;
  const message = [`status ${status} ${statusText}`.trim(), await hintOf(response)].filter(Boolean).join(': ');
  const seconds = Number(headers.get('retry-after') ?? undefined);
  return new RequestError(message, seconds > 0 ? seconds * 1000 : undefined);
}

async function hintOf(response: Response): Promise<string | undefined> {
  const location = response.headers.get('location');
  if (location) {
    await response.body?.cancel();
    return `sent on to ${location}; configure that as baseUrl if it is right`;
  }
  const detail = await detailOf(response);
  return response.status === 401 ? [detail, 'check the token'].filter(Boolean).join(' ') : detail;
}

/** What a problem of RFC 9457 says; of anything else nothing, as it may be a page of whoever is in between. */
async function detailOf(response: Response): Promise<string | undefined> {
  if (!response.headers.get('content-type')?.startsWith('application/problem+json')) {
    await response.body?.cancel();
    return undefined;
  }
  const problem = (await response.json().catch(() => undefined)) as
    { detail?: unknown; requestId?: unknown } | undefined;
  if (typeof problem?.detail !== 'string') {
    return undefined;
  }
  const detail = problem.detail.slice(0, 500);
  return typeof problem.requestId === 'string' ? `${detail} (request ${problem.requestId.slice(0, 100)})` : detail;
}

async function readText(file: string, key: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new RequestError(`${key} ${file} cannot be read: ${causeOf(error)}`);
  }
}

/** `fetch failed` says nothing; what it is caused by does. */
function causeOf(error: unknown): string {
  const { message, cause, code } = error as { message?: string; cause?: unknown; code?: string };
  const own = message || code || String(error);
  return cause ? `${own}: ${causeOf(cause)}` : own;
}
