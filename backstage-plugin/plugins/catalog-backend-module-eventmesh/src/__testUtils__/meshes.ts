/** Answers and configurations for tests. */

import type { MappingConfig } from '../mapping';
import type { EventMesh, EventType, Meta, Source } from '../model';

const EVENTING = 'eventing.knative.dev';

export function meta(namespace: string, name: string, more: Partial<Meta> = {}): Meta {
  return { namespace, name, uid: `${namespace}-${name}`, labels: {}, annotations: {}, ...more };
}

export function eventType(namespace: string, name: string, more: Partial<EventType> = {}): EventType {
  return { ...meta(namespace, name), type: `com.example.${name}`, consumedBy: [], ...more };
}

export function broker(namespace: string, name: string, ...providedEventTypes: string[]): EventMesh['brokers'][number] {
  return { ...meta(namespace, name), providedEventTypes };
}

export function channel(namespace: string, name: string, ...providedEventTypes: string[]) {
  return { ...meta(namespace, name), group: 'messaging.knative.dev', kind: 'InMemoryChannel', providedEventTypes };
}

export function source(namespace: string, name: string, more: Partial<Source> = {}): Source {
  return {
    ...meta(namespace, name),
    group: 'sources.knative.dev',
    kind: 'PingSource',
    providedEventTypes: [],
    providedEventTypeTypes: [],
    ...more,
  };
}

export function brokerRef(namespace: string, name: string) {
  return { group: EVENTING, kind: 'Broker', namespace, name };
}

export function mesh(more: Partial<EventMesh> = {}): EventMesh {
  return { eventTypes: [], brokers: [], subscribables: [], sources: [], ...more };
}

/** A broker with one event type that somebody consumes, and a source that sends to it. */
export function smallMesh(): EventMesh {
  return mesh({
    eventTypes: [
      eventType('shop', 'order-created', { reference: brokerRef('shop', 'orders'), consumedBy: ['invoicing'] }),
    ],
    brokers: [broker('shop', 'orders', 'shop/order-created')],
    sources: [source('shop', 'nightly', { sink: brokerRef('shop', 'orders') })],
  });
}

export function mappingConfig(more: Partial<MappingConfig> = {}): MappingConfig {
  return {
    id: 'dev',
    namespace: 'dev',
    naming: 'kind',
    owner: { from: ['owner'], default: undefined },
    system: { from: ['system'], default: undefined },
    lifecycle: { from: ['lifecycle'], default: 'production' },
    brokers: 'Component',
    channels: 'Component',
    sources: 'Component',
    annotations: [],
    ...more,
  };
}
