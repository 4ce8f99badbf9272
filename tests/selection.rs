//! What a query selects: items of the four lists, never relations.

mod support;

use eventmesh_catalog::api::dto::{EventMesh, Meta, Reference};
use eventmesh_catalog::mesh::{Grant, Selection};

/// A broker and its type with a consumer, a channel with the same, and a source that sends to the broker; half of them
/// in each namespace and half of them with the label `tier: gold`.
const MESH: &str = r"
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: bus, namespace: shop, labels: {tier: gold}}
spec: {}
---
apiVersion: messaging.knative.dev/v1
kind: InMemoryChannel
metadata: {name: pipe, namespace: mill, labels: {tier: free}}
spec: {}
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: order, namespace: mill, labels: {tier: gold, team: one}}
spec:
  type: order
  reference: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: bus, namespace: shop}
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: flour, namespace: shop}
spec:
  type: flour
  reference: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: pipe, namespace: mill}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: invoice, namespace: shop}
spec:
  broker: bus
  subscriber: {ref: {apiVersion: v1, kind: Service, name: invoicing}}
---
apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata: {name: bake, namespace: mill}
spec:
  channel: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: pipe}
  subscriber: {ref: {apiVersion: v1, kind: Service, name: invoicing, namespace: shop}}
---
apiVersion: v1
kind: Service
metadata: {name: invoicing, namespace: shop, labels: {backstage.io/kubernetes-id: invoicing}}
---
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: {name: clock, namespace: mill, labels: {tier: gold}}
spec:
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: bus, namespace: shop}}
status:
  ceAttributes: [{type: order}]
";

const FLOUR: &str = "type shop/flour of mill/pipe for invoicing";
const ORDER: &str = "type mill/order of shop/bus for invoicing";
const BUS: &str = "broker shop/bus with mill/order";
const PIPE: &str = "channel mill/pipe with shop/flour";
const CLOCK: &str = "source mill/clock with order (mill/order) to shop/bus";

#[test]
fn items_are_selected_and_relations_stay() {
    check("", &[], &[ORDER, FLOUR, BUS, PIPE, CLOCK]);
    check("tier=gold", &[], &[ORDER, BUS, CLOCK]);
    check("tier==gold,team", &[], &[ORDER]);
    check("team=one", &[], &[ORDER]);
    check("tier!=gold", &[], &[FLOUR, PIPE]);
    check("tier", &[], &[ORDER, BUS, PIPE, CLOCK]);
    check("!tier", &[], &[FLOUR]);
    check("tier in (free, none)", &[], &[PIPE]);
    check("tier notin (gold)", &[], &[FLOUR, PIPE]);
    check("tier=gold,!team", &[], &[BUS, CLOCK]);
    check("tier=silver", &[], &[]);
    check("tier=gold,tier=free", &[], &[]);
    // A label of a subscriber is not a label of an item.
    check("backstage.io/kubernetes-id=invoicing", &[], &[]);
}

#[test]
fn namespaces_are_those_of_items() {
    check("", &["shop"], &[FLOUR, BUS]);
    check("", &["mill"], &[ORDER, PIPE, CLOCK]);
    check("", &["mill", "shop"], &[ORDER, FLOUR, BUS, PIPE, CLOCK]);
    check("", &["mil"], &[]);
    check("", &["other", "shop"], &[FLOUR, BUS]);
}

#[test]
fn labels_and_namespaces_both_select() {
    check("tier=gold", &["mill"], &[ORDER, CLOCK]);
    check("tier=gold", &["shop"], &[BUS]);
    check("!tier", &["mill"], &[]);
}

fn check(labels: &str, namespaces: &[&str], expected: &[&str]) {
    let labels = labels.parse().expect("a label selector");
    let selection = Selection { labels, namespaces: namespaces.iter().map(|it| (*it).to_owned()).collect() };
    let snapshot = support::snapshot(support::resources(MESH));
    let answer = snapshot.view(&Grant::everything(), &selection).into();
    assert_eq!(told(&answer), expected, "{selection:?}");
}

/// An answer, one line for each item.
fn told(answer: &EventMesh) -> Vec<String> {
    let name = |it: &Meta| format!("{}/{}", it.namespace, it.name);
    let to = |it: &Option<Reference>| it.as_ref().map(|it| format!("{}/{}", it.namespace, it.name)).unwrap_or_default();
    let types = answer.event_types.iter();
    let types =
        types.map(|it| format!("type {} of {} for {}", name(&it.meta), to(&it.reference), it.consumed_by.join(",")));
    let brokers = answer.brokers.iter();
    let brokers = brokers.map(|it| format!("broker {} with {}", name(&it.meta), it.provided_event_types.join(",")));
    let channels = answer.subscribables.iter();
    let channels = channels.map(|it| format!("channel {} with {}", name(&it.meta), it.provided_event_types.join(",")));
    let sources = answer.sources.iter().map(|it| {
        let types = it.provided_event_type_types.join(",");
        format!("source {} with {types} ({}) to {}", name(&it.meta), it.provided_event_types.join(","), to(&it.sink))
    });
    types.chain(brokers).chain(channels).chain(sources).collect()
}
