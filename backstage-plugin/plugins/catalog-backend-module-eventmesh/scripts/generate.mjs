// Writes src/generated from the API document of the service: the types of an answer, and the schema that answers are
// held against. With --check it writes nothing and fails where what is there is not what it would write.
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';
import prettier from 'prettier';

const DOCUMENT = new URL('../../../../openapi/v1.json', import.meta.url);
const TARGET = new URL('../src/generated/', import.meta.url);
const HEADER = '// Made from openapi/v1.json by `npm run generate`; do not edit.\n\n';
const ROOT = 'EventMesh';

const { components } = JSON.parse(await readFile(DOCUMENT, 'utf8'));

/** The schemas that an answer is made of. */
function reachable(name, found = {}) {
  if (!found[name]) {
    const schema = components.schemas[name];
    found[name] = schema;
    for (const [, other] of JSON.stringify(schema).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      reachable(other, found);
    }
  }
  return found;
}

/** A schema without what is for people, in the words of JSON Schema. */
function bare(schema) {
  if (Array.isArray(schema)) return schema.map(bare);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).flatMap(([key, value]) => {
    if (key === 'properties') {
      return [[key, Object.fromEntries(Object.entries(value).map(([name, it]) => [name, bare(it)]))]];
    }
    if (key === 'description' || key === 'example') return [];
    if (key === '$ref') return [[key, value.replace('#/components/schemas/', '#/$defs/')]];
    return [[key, bare(value)]];
  });
  return Object.fromEntries(entries);
}

const schemas = Object.fromEntries(Object.entries(reachable(ROOT)).sort(([a], [b]) => (a < b ? -1 : 1)));
const types = astToString(
  await openapiTS({ openapi: '3.1.0', info: { title: '', version: '' }, paths: {}, components: { schemas } }),
);
const $defs = Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, bare(schema)]));
const schema = { $ref: `#/$defs/${ROOT}`, $defs };

const files = {
  'types.ts': types,
  'schema.ts': `/** What an answer has to look like, as JSON Schema 2020-12. */\nexport const schema = ${JSON.stringify(schema)};\n`,
};
for (const [name, text] of Object.entries(files)) {
  const file = new URL(name, TARGET);
  const options = await prettier.resolveConfig(new URL('../package.json', import.meta.url));
  const wanted = await prettier.format(HEADER + text, { ...options, parser: 'typescript' });
  if (!process.argv.includes('--check')) {
    await writeFile(file, wanted);
  } else if ((await readFile(file, 'utf8').catch(() => '')) !== wanted) {
    console.error(`src/generated/${name} is not what openapi/v1.json says; run \`npm run generate\`.`);
    process.exitCode = 1;
  }
}
