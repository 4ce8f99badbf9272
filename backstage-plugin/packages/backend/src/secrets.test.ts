/** What may not be told, and what may not be configured. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from './__testUtils__/program';
import { Portal, SQLITE } from './__testUtils__/portal';

jest.setTimeout(120_000);

it('keeps a token out of the log, whatever else is configured with it', async () => {
  const token = 'the-secret-of-this-test';
  const portal = await Portal.start({
    eventMesh: {
      dev: {
        // Nobody does so; but whatever the log is given, the token has to be cut out of.
        baseUrl: `http://127.0.0.1:${await freePort()}/${token}`,
        token,
        schedule: { frequency: { seconds: 1 }, timeout: { seconds: 1 } },
      },
    },
  });
  try {
    await portal.prints(/The event mesh at http:\/\/127.0.0.1:\d+\/\*\*\*\/v1\/getEventMesh could not be read/);
    expect(portal.log).not.toContain(token);
  } finally {
    await portal.stop();
  }
});

const WORKSPACE = resolve(__dirname, '../../..');
const GOOD = { baseUrl: 'http://localhost:8080', token: 'x' };

it.each([
  ['all that is needed', GOOD, undefined],
  ['a file', { baseUrl: GOOD.baseUrl, tokenFile: '/token' }, undefined],
  ['no token', { baseUrl: GOOD.baseUrl }, "must have required property 'token'"],
  ['a misspelt token', { baseUrl: GOOD.baseUrl, tokne: 'x' }, "must have required property 'token'"],
  ['no address', { token: 'x' }, "must have required property 'baseUrl'"],
  ['an unknown name', { ...GOOD, names: 'short' }, 'must be equal to one of the allowed values'],
  ['an unknown kind', { ...GOOD, brokers: 'API' }, 'must be equal to one of the allowed values'],
])('is checked by `backstage-cli config:check`: %s', (_, provider, told) => {
  const folder = mkdtempSync(join(tmpdir(), 'eventmesh-config-'));
  const file = join(folder, 'app-config.json');
  const app = { baseUrl: 'http://localhost:3000' };
  const backend = { baseUrl: 'http://localhost:7007', listen: ':7007', database: SQLITE };
  writeFileSync(file, JSON.stringify({ app, backend, catalog: { providers: { eventMesh: { dev: provider } } } }));
  const cli = require.resolve('@backstage/cli/bin/backstage-cli');
  const check = ['config:check', '--strict', '--package', 'backend', '--config', file];
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...check], { cwd: WORKSPACE, encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  expect({ status, printed: `${stdout}${stderr}` }).toEqual({
    status: told ? 1 : 0,
    printed: expect.stringContaining(told ?? 'Loaded config from app-config.json'),
  });
});
