/** A consumer whose Component is registered after its events are in the catalog. */

import { golden, Mesh } from './__testUtils__/mesh';
import { component, Portal, relations } from './__testUtils__/portal';

jest.setTimeout(240_000);

it('is related within about a minute', async () => {
  const mesh = await Mesh.serve(golden('broker-type-trigger').input);
  const portal = await Portal.start({
    // So that the file of a team is read again soon.
    processingInterval: { seconds: 5 },
    eventMesh: {
      dev: {
        baseUrl: mesh.url,
        token: mesh.token,
        schedule: { frequency: { seconds: 2 }, timeout: { seconds: 5 } },
      },
    },
  });
  try {
    const [{ name, namespace, consumedBy }] = (await (await mesh.complete()).json()).eventTypes;
    const api = `api:dev/eventtype.${namespace}.${name}`;
    await portal.shows(entities => expect(entities).toHaveProperty([api]));
    expect(relations(await portal.entities(), 'apiConsumedBy')).toEqual([]);
    portal.registered(component('late', consumedBy[0], 'elsewhere'));
    await portal.shows(entities =>
      expect(relations(entities, 'consumesApi', 'apiConsumedBy')).toEqual([
        `${api} apiConsumedBy component:elsewhere/late`,
        `component:elsewhere/late consumesApi ${api}`,
      ]),
    );
  } finally {
    await portal.stop();
    await mesh.end();
  }
});
