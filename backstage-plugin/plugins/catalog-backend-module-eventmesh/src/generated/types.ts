// Made from openapi/v1.json by `npm run generate`; do not edit.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
  schemas: {
    /** @description A broker. */
    Broker: components['schemas']['Meta'] & {
      /**
       * @description The event types that refer to it, as `namespace/name`.
       * @example [
       *       "shop/order-placed"
       *     ]
       */
      providedEventTypes: string[];
    };
    /** @description The event mesh, as far as the caller may see it. All lists are sorted by namespace, then name. */
    EventMesh: {
      /** @description All brokers. */
      brokers: components['schemas']['Broker'][];
      /** @description All event types. */
      eventTypes: components['schemas']['EventType'][];
      /** @description All event sources. */
      sources: components['schemas']['Source'][];
      /** @description All channels and other objects that can be subscribed to. */
      subscribables: components['schemas']['Subscribable'][];
    };
    /** @description A type of events that somebody declared. */
    EventType: components['schemas']['Meta'] & {
      /**
       * @description The Backstage ids of those who consume events of the type, sorted.
       * @example [
       *       "invoicing"
       *     ]
       */
      consumedBy: string[];
      /** @example A customer placed an order. */
      description?: string;
      /** @description The broker, channel or source that the type belongs to, whether or not that object exists. */
      reference?: components['schemas']['Reference'];
      /** @description The schema of the event data, as text. */
      schemaData?: string;
      /**
       * @description Where the schema of the event data is.
       * @example https://schemas.example.com/shop/order-placed.json
       */
      schemaURL?: string;
      /**
       * @description The CloudEvents `type`, as declared; may be a template such as `geo.{entity}.changed`.
       * @example com.example.shop.order.placed
       */
      type: string;
    };
    /** @description What every object has. */
    Meta: {
      /** @description The annotations of the object, without the copy of the object that kubectl leaves there. */
      annotations: {
        [key: string]: string;
      };
      /** @description The labels of the object. */
      labels: {
        [key: string]: string;
      };
      /** @example order-placed */
      name: string;
      /** @example shop */
      namespace: string;
      /**
       * @description Of the Kubernetes object; made from the object's name where manifests are served.
       * @example 38297b02-fee8-5697-aa54-9bfb2f637c4e
       */
      uid: string;
    };
    /** @description The name of an object. */
    Reference: {
      /**
       * @description The API group; empty for the core group.
       * @example eventing.knative.dev
       */
      group: string;
      /** @example Broker */
      kind: string;
      /** @example orders */
      name: string;
      /** @example shop */
      namespace: string;
    };
    /** @description An event source. */
    Source: components['schemas']['Meta'] & {
      /** @example sources.knative.dev */
      group: string;
      /** @example PingSource */
      kind: string;
      /**
       * @description The CloudEvents types that it emits, sorted.
       * @example [
       *       "dev.knative.sources.ping"
       *     ]
       */
      providedEventTypeTypes: string[];
      /**
       * @description The declared event types that it provides, as `namespace/name`.
       * @example [
       *       "shop/tick"
       *     ]
       */
      providedEventTypes: string[];
      /** @description Where it sends its events, when that is an object; whether or not that object exists. */
      sink?: components['schemas']['Reference'];
    };
    /** @description A channel or another object that can be subscribed to. */
    Subscribable: components['schemas']['Meta'] & {
      /** @example messaging.knative.dev */
      group: string;
      /** @example InMemoryChannel */
      kind: string;
      /**
       * @description The event types that refer to it, as `namespace/name`.
       * @example [
       *       "shop/stock-changed"
       *     ]
       */
      providedEventTypes: string[];
    };
  };
  responses: never;
  parameters: never;
  requestBodies: never;
  headers: never;
  pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
