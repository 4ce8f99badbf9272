import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import selfsigned from 'selfsigned';
import { EventMeshClient, RequestError, type ClientConfig } from './client';
import { smallMesh } from './__testUtils__/meshes';
import { FAULTS, Service, TOKEN } from './__testUtils__/service';

const signal = new AbortController().signal;

let service: Service;
let folder: string;

beforeEach(async () => {
  service = new Service();
  service.mesh = smallMesh();
  await service.start();
  folder = await mkdtemp(join(tmpdir(), 'eventmesh-'));
});

afterEach(async () => {
  await service.stop();
  await rm(folder, { recursive: true });
});

function client(more: Partial<ClientConfig> = {}) {
  return new EventMeshClient({ url: more.url ?? service.url, token: { token: TOKEN }, timeoutMs: 2_000, ...more });
}

it('asks again only for what is new', async () => {
  const first = await client().fetch(undefined, signal);
  expect(first).toEqual({ isNew: true, mesh: smallMesh(), etag: expect.any(String), staleSeconds: undefined });
  const etag = first.isNew ? first.etag : undefined;
  expect(await client().fetch(etag, signal)).toEqual({ isNew: false, staleSeconds: undefined });
  service.mesh.brokers = [];
  expect(await client().fetch(etag, signal)).toMatchObject({ isNew: true, mesh: { brokers: [] } });
});

it('tells how old an answer is', async () => {
  service.behavior = (_, response) =>
    response.writeHead(200, { 'eventmesh-stale-seconds': '90' }).end(JSON.stringify(smallMesh()));
  expect(await client().fetch(undefined, signal)).toMatchObject({ isNew: true, staleSeconds: '90' });
  service.behavior = (_, response) => response.writeHead(304, { 'eventmesh-stale-seconds': '120' }).end();
  expect(await client().fetch('"x"', signal)).toEqual({ isNew: false, staleSeconds: '120' });
  // Nobody asked whether that is still so.
  await expect(client().fetch(undefined, signal)).rejects.toThrow('status 304');
});

it('leaves no connection behind where it does not read an answer', async () => {
  service.behavior = (request, response) => {
    response.writeHead(request.url === '/redirect' ? 302 : 500, { location: '/elsewhere' });
    response.write('a page that goes on');
  };
  for (const path of ['/redirect', '/error']) {
    const asking = client({ url: `${service.url}${path}`, timeoutMs: 60_000 });
    await expect(asking.fetch(undefined, signal)).rejects.toThrow(/status/);
  }
  while ((await service.connections()) > 0) {
    await new Promise(resolve => setTimeout(resolve, 5));
  }
});

it('tells an end that it was told from a failure', async () => {
  const abort = new AbortController();
  service.behavior = () => abort.abort(new Error('the task was stopped'));
  const error = await client()
    .fetch(undefined, abort.signal)
    .catch(it => it);
  expect(error).not.toBeInstanceOf(RequestError);
});

it.each(FAULTS)('takes %s for a failure, and says so', async (_, behavior, told) => {
  service.behavior = behavior;
  const error = await client()
    .fetch(undefined, signal)
    .catch(it => it);
  expect(error.message).toMatch(told);
  expect(error.message).not.toContain(TOKEN);
});

it('hears how long to wait', async () => {
  service.behavior = (_, response) => response.writeHead(503, { 'retry-after': '7' }).end();
  await expect(client().fetch(undefined, signal)).rejects.toMatchObject({ retryAfterMs: 7000 });
});

it('says that nobody is there', async () => {
  const { url } = service;
  await service.stop();
  await expect(client({ url }).fetch(undefined, signal)).rejects.toThrow(/fetch failed: connect ECONNREFUSED 127/);
  await service.start();
});

it('reads the token of a file for each request', async () => {
  const file = join(folder, 'token');
  const asking = client({ token: { file } });
  await expect(asking.fetch(undefined, signal)).rejects.toThrow(`tokenFile ${file} cannot be read: ENOENT`);
  await writeFile(file, 'old');
  await expect(asking.fetch(undefined, signal)).rejects.toThrow('status 401');
  await writeFile(file, `${TOKEN}\n`);
  expect(await asking.fetch(undefined, signal)).toMatchObject({ isNew: true });
});

it.each(['', '  ', 'two\nlines', 'tökén'])('refuses the token %j without telling it', async token => {
  const error = await client({ token: { token } })
    .fetch(undefined, signal)
    .catch(it => it);
  expect(error.message).toBe('the token is empty, or has characters that no token has');
});

it('trusts the authority that is configured, also after it changed', async () => {
  const certificate = () =>
    selfsigned.generate([{ name: 'commonName', value: 'service' }], {
      keySize: 2048,
      algorithm: 'sha256',
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    });
  const [old, current] = [certificate(), certificate()];
  const https = new Service({ cert: current.cert, key: current.private });
  await https.start();
  const caFile = join(folder, 'ca.crt');
  try {
    const { url } = https;
    await expect(client({ url }).fetch(undefined, signal)).rejects.toThrow(/self.signed certificate/);
    const asking = client({ url, caFile });
    await expect(asking.fetch(undefined, signal)).rejects.toThrow(`caFile ${caFile} cannot be read: ENOENT`);
    await writeFile(caFile, '');
    await expect(asking.fetch(undefined, signal)).rejects.toThrow(`caFile ${caFile} has no certificate`);
    await writeFile(caFile, old.cert);
    await expect(asking.fetch(undefined, signal)).rejects.toThrow(/certificate|signature/);
    await writeFile(caFile, current.cert);
    expect(await asking.fetch(undefined, signal)).toMatchObject({ isNew: true });
  } finally {
    await https.stop();
  }
  // To make keys takes a busy machine a while.
}, 60_000);
