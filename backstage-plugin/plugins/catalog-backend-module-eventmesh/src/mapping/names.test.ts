import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { KubernetesValidatorFunctions } from '@backstage/catalog-model';
import { entityName } from './names';

const CASES = resolve(__dirname, '../../../../../tests/entity-names.json');

describe('entityName', () => {
  const cases: [string, string, string, string, string][] = JSON.parse(readFileSync(CASES, 'utf8'));

  // `eventmesh-catalog export` is held against the same cases.
  it.each(cases)('names %s %s %s/%s', (group, kind, namespace, name, expected) => {
    expect(entityName({ group, kind, namespace, name })).toBe(expected);
  });

  it('gives names that Backstage takes, and different ones', () => {
    const parts = ['a', 'a.b', 'a-b', 'a--b', 'a_b', 'A', '', 'x'.repeat(63), 'x'.repeat(253), `${'x'.repeat(62)}y`];
    const kinds = ['Broker', 'broker', 'EventType', 'Relay', 'KafkaSource'];
    const groups = ['eventing.knative.dev', 'sources.knative.dev', 'example.com', ''];
    const names = groups.flatMap(group =>
      kinds.flatMap(kind =>
        parts.flatMap(namespace => parts.map(name => entityName({ group, kind, namespace, name }))),
      ),
    );
    expect(names.filter(it => !KubernetesValidatorFunctions.isValidObjectName(it))).toEqual([]);
    expect(new Set(names.map(it => it.toLowerCase())).size).toBe(names.length);
  });
});
