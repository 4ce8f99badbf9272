// Packs the module as it is published, and holds against what a backend needs what comes out.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

// From there the packages of the workspace are found.
const folder = fileURLToPath(new URL('../../../node_modules/.cache/package/', import.meta.url));
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

const pack = ['pack', '--json', '--ignore-scripts=false', '--pack-destination', folder];
const printed = execFileSync('npm', pack, { cwd: new URL('..', import.meta.url), encoding: 'utf8' });
const [{ filename, files }] = JSON.parse(printed.slice(printed.indexOf('[\n')));
execFileSync('tar', ['-xzf', folder + filename, '-C', folder]);

const manifest = JSON.parse(readFileSync(`${folder}package/package.json`, 'utf8'));
assert.equal(manifest.main, 'dist/index.cjs.js');
assert.equal(manifest.types, 'dist/index.d.ts');
assert.deepEqual(Object.values(manifest.backstage.features ?? {}), ['@backstage/BackendFeature']);
assert.equal(files.filter(({ path }) => path.startsWith('src/')).length, 0);

const schema = JSON.parse(readFileSync(`${folder}package/${manifest.configSchema}`, 'utf8'));
assert.deepEqual(secretsOf(schema), ['token']);

const { default: feature } = createRequire(import.meta.url)(`${folder}package`);
assert.equal(feature.$$type, '@backstage/BackendFeature');
console.log(`${filename}: ${files.length} files, loads, and keeps its token a secret`);

/** The names of what a schema keeps out of logs. */
function secretsOf(value, name) {
  if (typeof value !== 'object' || value === null) return [];
  if (value.visibility === 'secret') return [name];
  return Object.entries(value).flatMap(([key, item]) => secretsOf(item, key));
}
