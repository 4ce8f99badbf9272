import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

it('is what the API document says', () => {
  const script = resolve(__dirname, '../../scripts/generate.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
});
