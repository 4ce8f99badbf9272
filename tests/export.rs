//! The formats of `export`: manifests in, text out.

#![allow(clippy::needless_raw_string_hashes, clippy::too_many_lines, reason = "snapshots are as they come")]

mod support;

use std::collections::BTreeSet;
use std::process::{Command, Output};

use eventmesh_catalog::app::export::{self, Graph};
use eventmesh_catalog::mesh::{Grant, GroupKind, ObjectRef, Selection, View};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/samples/shop");

/// A source delivers to a broker, which provides two types; one consumer is certain of one type and not of the other,
/// and there by two ways.
const SMALL: &str = r"
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: main, namespace: a, labels: {team: blue}}
---
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: {name: tick, namespace: b, labels: {team: red}}
spec:
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: main, namespace: a}}
---
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: {name: lost, namespace: b}
spec:
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: none, namespace: a}}
---
apiVersion: messaging.knative.dev/v1
kind: InMemoryChannel
metadata: {name: quiet, namespace: a}
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: ticked, namespace: a, labels: {team: blue, 'not valid': x, empty: ''}, annotations: {secret: x}}
spec:
  type: dev.knative.sources.ping
  description: It ticked.
  schema: https://example.com/ticked.json
  reference: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: main}
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: said, namespace: a}
spec:
  type: said.{what}
  schema: not a URL
  schemaData: |
    {'type': 'object', 'properties': {'by': {'$ref': '#/$defs/who'}, 'all': {'$ref': '#'}, 'far': {'$ref': 'x.json#/y'}}}
  reference: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: main}
---
apiVersion: v1
kind: Service
metadata: {name: audit, namespace: a, labels: {backstage.io/kubernetes-id: audit}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: ticks, namespace: a}
spec:
  broker: main
  filter: {attributes: {type: dev.knative.sources.ping}}
  subscriber: {ref: {apiVersion: v1, kind: Service, name: audit}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: urgent, namespace: a}
spec:
  broker: main
  filter: {attributes: {priority: high}}
  subscriber: {ref: {apiVersion: v1, kind: Service, name: audit}}
";

const BROKER: &str = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: main, namespace: a}\n";

fn with_view<T>(yaml: &str, selector: &str, then: impl FnOnce(View<'_>) -> T) -> T {
    // Single quotes make the JSON in the fixtures readable.
    let yaml = yaml.replace('\'', "\"");
    let snapshot = support::snapshot(support::resources(&yaml));
    let selection = Selection { labels: selector.parse().unwrap(), namespaces: BTreeSet::new() };
    then(snapshot.view(&Grant::everything(), &selection))
}

fn dot(yaml: &str, selector: &str) -> String {
    with_view(yaml, selector, |view| export::dot(&Graph::new(view)))
}

fn mermaid(yaml: &str) -> String {
    with_view(yaml, "", |view| export::mermaid(&Graph::new(view)))
}

fn backstage(yaml: &str, owner: &str) -> String {
    with_view(yaml, "", |view| export::backstage(view, owner).unwrap())
}

fn documents(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn check(found: &str, expected: &Expect) {
    expected.assert_eq(found);
}

#[test]
fn a_mesh_is_a_graph() {
    check(
        &dot(SMALL, ""),
        &expect![[r#"
        digraph eventmesh {
          rankdir=LR;
          node [fontname="sans-serif"];
          edge [fontname="sans-serif"];
          subgraph cluster_0 {
            label="a";
            fontname="sans-serif";
            n0 [label="main\nBroker", shape=hexagon];
            n1 [label="quiet\nInMemoryChannel", shape=cylinder];
            n2 [label="said\nsaid.{what}", shape=note];
            n3 [label="ticked\ndev.knative.sources.ping", shape=note];
          }
          subgraph cluster_1 {
            label="b";
            fontname="sans-serif";
            n4 [label="lost\nPingSource", shape=ellipse];
            n5 [label="tick\nPingSource", shape=ellipse];
          }
          n6 [label="audit", shape=box];
          n0 -> n2;
          n0 -> n3;
          n2 -> n6 [label="possibly", style=dashed];
          n3 -> n6;
          n5 -> n0 [label="delivers", style=bold];
          n5 -> n3;
        }
    "#]],
    );
    check(
        &mermaid(SMALL),
        &expect![[r#"
        flowchart LR
          subgraph ns0["a"]
            n0{{"main<br/>Broker"}}
            n1[("quiet<br/>InMemoryChannel")]
            n2(["said<br/>said.#123;what#125;"])
            n3(["ticked<br/>dev.knative.sources.ping"])
          end
          subgraph ns1["b"]
            n4[["lost<br/>PingSource"]]
            n5[["tick<br/>PingSource"]]
          end
          n6["audit"]
          n0 --> n2
          n0 --> n3
          n2 -.->|possibly| n6
          n3 --> n6
          n5 ==>|delivers| n0
          n5 --> n3
          classDef eventType fill:#fff3cd,stroke:#997404,color:#000
          class n2,n3 eventType
          classDef broker fill:#cfe2ff,stroke:#084298,color:#000
          class n0 broker
          classDef channel fill:#cff4fc,stroke:#055160,color:#000
          class n1 channel
          classDef source fill:#d1e7dd,stroke:#0f5132,color:#000
          class n4,n5 source
          classDef consumer fill:#f8f9fa,stroke:#495057,color:#000
          class n6 consumer
    "#]],
    );
}

#[test]
fn an_edge_needs_both_its_ends() {
    check(
        &dot(SMALL, "team"),
        &expect![[r#"
        digraph eventmesh {
          rankdir=LR;
          node [fontname="sans-serif"];
          edge [fontname="sans-serif"];
          subgraph cluster_0 {
            label="a";
            fontname="sans-serif";
            n0 [label="main\nBroker", shape=hexagon];
            n1 [label="ticked\ndev.knative.sources.ping", shape=note];
          }
          subgraph cluster_1 {
            label="b";
            fontname="sans-serif";
            n2 [label="tick\nPingSource", shape=ellipse];
          }
          n3 [label="audit", shape=box];
          n0 -> n1;
          n1 -> n3;
          n2 -> n0 [label="delivers", style=bold];
          n2 -> n1;
        }
    "#]],
    );
    check(
        &dot(SMALL, "team=red"),
        &expect![[r#"
        digraph eventmesh {
          rankdir=LR;
          node [fontname="sans-serif"];
          edge [fontname="sans-serif"];
          subgraph cluster_0 {
            label="b";
            fontname="sans-serif";
            n0 [label="tick\nPingSource", shape=ellipse];
          }
        }
    "#]],
    );
    check(
        &dot("", ""),
        &expect![[r#"
        digraph eventmesh {
          rankdir=LR;
          node [fontname="sans-serif"];
          edge [fontname="sans-serif"];
        }
    "#]],
    );
}

#[test]
fn a_mesh_is_a_catalog() {
    check(
        &backstage(SMALL, "team-blue"),
        &expect![[r##"
        apiVersion: backstage.io/v1alpha1
        kind: API
        metadata:
          namespace: default
          name: eventtype.a.said
          title: said
          annotations:
            eventmesh-catalog.dev/consumed-by: audit
            eventmesh-catalog.dev/object: EventType.eventing.knative.dev a/said
        spec:
          type: asyncapi
          lifecycle: production
          owner: team-blue
          definition: |
            {
              "asyncapi": "3.0.0",
              "channels": {
                "events": {
                  "address": null,
                  "messages": {
                    "event": {
                      "contentType": "application/cloudevents+json",
                      "name": "said.{what}",
                      "payload": {
                        "properties": {
                          "data": {
                            "$ref": "#/components/schemas/data"
                          },
                          "id": {
                            "minLength": 1,
                            "type": "string"
                          },
                          "source": {
                            "minLength": 1,
                            "type": "string"
                          },
                          "specversion": {
                            "const": "1.0",
                            "type": "string"
                          },
                          "type": {
                            "minLength": 1,
                            "type": "string"
                          }
                        },
                        "required": [
                          "specversion",
                          "id",
                          "source",
                          "type"
                        ],
                        "type": "object"
                      }
                    }
                  },
                  "title": "Broker.eventing.knative.dev a/main"
                }
              },
              "components": {
                "schemas": {
                  "data": {
                    "properties": {
                      "all": {
                        "$ref": "#/components/schemas/data"
                      },
                      "by": {
                        "$ref": "#/components/schemas/data/$defs/who"
                      },
                      "far": {
                        "$ref": "x.json#/y"
                      }
                    },
                    "type": "object"
                  }
                }
              },
              "info": {
                "title": "said",
                "version": "unversioned"
              },
              "operations": {
                "receive": {
                  "action": "receive",
                  "channel": {
                    "$ref": "#/channels/events"
                  },
                  "messages": [
                    {
                      "$ref": "#/channels/events/messages/event"
                    }
                  ]
                }
              }
            }
        ---
        apiVersion: backstage.io/v1alpha1
        kind: API
        metadata:
          namespace: default
          name: eventtype.a.ticked
          title: ticked
          description: It ticked.
          labels:
            empty: ""
            team: blue
          annotations:
            eventmesh-catalog.dev/consumed-by: audit
            eventmesh-catalog.dev/object: EventType.eventing.knative.dev a/ticked
          links:
          - url: https://example.com/ticked.json
            title: Schema
        spec:
          type: asyncapi
          lifecycle: production
          owner: team-blue
          definition: |
            {
              "asyncapi": "3.0.0",
              "channels": {
                "events": {
                  "address": null,
                  "messages": {
                    "event": {
                      "contentType": "application/cloudevents+json",
                      "name": "dev.knative.sources.ping",
                      "payload": {
                        "properties": {
                          "data": {
                            "$ref": "https://example.com/ticked.json"
                          },
                          "id": {
                            "minLength": 1,
                            "type": "string"
                          },
                          "source": {
                            "minLength": 1,
                            "type": "string"
                          },
                          "specversion": {
                            "const": "1.0",
                            "type": "string"
                          },
                          "type": {
                            "const": "dev.knative.sources.ping",
                            "type": "string"
                          }
                        },
                        "required": [
                          "specversion",
                          "id",
                          "source",
                          "type"
                        ],
                        "type": "object"
                      },
                      "summary": "It ticked."
                    }
                  },
                  "title": "Broker.eventing.knative.dev a/main"
                }
              },
              "info": {
                "description": "It ticked.",
                "title": "ticked",
                "version": "unversioned"
              },
              "operations": {
                "receive": {
                  "action": "receive",
                  "channel": {
                    "$ref": "#/channels/events"
                  },
                  "messages": [
                    {
                      "$ref": "#/channels/events/messages/event"
                    }
                  ]
                }
              }
            }
        ---
        apiVersion: backstage.io/v1alpha1
        kind: Component
        metadata:
          namespace: default
          name: broker.a.main
          title: main
          labels:
            team: blue
          annotations:
            eventmesh-catalog.dev/object: Broker.eventing.knative.dev a/main
        spec:
          type: broker
          lifecycle: production
          owner: team-blue
          providesApis:
          - api:default/eventtype.a.said
          - api:default/eventtype.a.ticked
        ---
        apiVersion: backstage.io/v1alpha1
        kind: Component
        metadata:
          namespace: default
          name: inmemorychannel.a.quiet
          title: quiet
          annotations:
            eventmesh-catalog.dev/object: InMemoryChannel.messaging.knative.dev a/quiet
        spec:
          type: channel
          lifecycle: production
          owner: team-blue
          providesApis: []
        ---
        apiVersion: backstage.io/v1alpha1
        kind: Component
        metadata:
          namespace: default
          name: pingsource.b.lost
          title: lost
          annotations:
            eventmesh-catalog.dev/object: PingSource.sources.knative.dev b/lost
        spec:
          type: event-source
          lifecycle: production
          owner: team-blue
          providesApis: []
        ---
        apiVersion: backstage.io/v1alpha1
        kind: Component
        metadata:
          namespace: default
          name: pingsource.b.tick
          title: tick
          labels:
            team: red
          annotations:
            eventmesh-catalog.dev/object: PingSource.sources.knative.dev b/tick
        spec:
          type: event-source
          lifecycle: production
          owner: team-blue
          providesApis:
          - api:default/eventtype.a.ticked
    "##]],
    );
    assert_eq!(backstage("", "x"), "");
}

/// A type that means something to each format, as block text so that YAML does not mind.
const HOSTILE: &str = r#"
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: main, namespace: a}
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: odd, namespace: a}
spec:
  type: |-
    "]:::x \N \\ \" <b>&lt;&amp; #quot; `#` ; %% style:#a; {{}} ü
    end
  reference: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: main}
"#;

#[test]
fn texts_stay_texts() {
    let line = |text: &str| text.lines().find(|it| it.contains("odd")).unwrap().to_owned();
    check(
        &line(&dot(HOSTILE, "")),
        &expect![[
            r#"    n1 [label="odd\n\"]:::x \\N \\\\ \\\" <b>&amp;lt;&amp;amp; #quot; `#` ; %% style:#a; {{}} ü end", shape=note];"#
        ]],
    );
    check(
        &line(&mermaid(HOSTILE)),
        &expect![[
            r#"    n1(["odd<br/>#quot;#93;#58;#58;#58;x #92;N #92;#92; #92;#quot; #60;b#62;#38;lt#59;#38;amp#59; #35;quot#59; #96;#35;#96; #59; #37;#37; style#58;#35;a#59; #123;#123;#125;#125; ü end"])"#
        ]],
    );
}

#[test]
fn what_is_a_channel_and_a_source_is_one_thing() {
    let both = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: relays.example.com
  labels: {duck.knative.dev/source: 'true', messaging.knative.dev/subscribable: 'true'}
spec:
  group: example.com
  names: {kind: Relay, plural: relays}
  versions: [{name: v1, served: true, storage: true}]
---
apiVersion: example.com/v1
kind: Relay
metadata: {name: r, namespace: a}
spec: {sink: {ref: {apiVersion: example.com/v1, kind: Relay, name: r}}}
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: t, namespace: a}
spec: {type: t, reference: {apiVersion: example.com/v1, kind: Relay, name: r}}
";
    check(
        &dot(both, ""),
        &expect![[r#"
        digraph eventmesh {
          rankdir=LR;
          node [fontname="sans-serif"];
          edge [fontname="sans-serif"];
          subgraph cluster_0 {
            label="a";
            fontname="sans-serif";
            n0 [label="r\nRelay", shape=cylinder];
            n1 [label="t\nt", shape=note];
          }
          n0 -> n0 [label="delivers", style=bold];
          n0 -> n1;
        }
    "#]],
    );
    let entities = documents(&backstage(both, "x"));
    let names: Vec<_> = entities.iter().map(|it| (&it["metadata"]["name"], &it["spec"]["type"])).collect();
    check(
        &format!("{names:?}"),
        &expect![[
            r#"[(String("eventtype.a.t"), String("asyncapi")), (String("relay.a.r_d38aa78871787af7"), String("channel"))]"#
        ]],
    );
}

/// The one definition of a schema, and the links of the entity.
fn definition_of(spec: &Value) -> (Value, Value) {
    let object = json!({
        "apiVersion": "eventing.knative.dev/v1beta2", "kind": "EventType", "metadata": {"name": "t", "namespace": "a"},
        "spec": spec,
    });
    let snapshot = support::snapshot(support::converted(&[object]));
    let everything = Selection::default();
    let yaml = export::backstage(snapshot.view(&Grant::everything(), &everything), "x").unwrap();
    let entity = documents(&yaml).remove(0);
    let definition = entity["spec"]["definition"].as_str().expect("a text");
    (serde_json::from_str(definition).expect("JSON"), entity["metadata"]["links"].clone())
}

#[test]
fn the_data_is_described_as_far_as_its_schema_is_known() {
    let data = |spec| {
        let (document, links) = definition_of(&spec);
        let data = &document["channels"]["events"]["messages"]["event"]["payload"]["properties"]["data"];
        format!("{data} {} {links}", document["components"]["schemas"]["data"])
    };
    let url = "https://example.com:8443/a?b#c";
    let own = json!({"schemaData": r##"{"items": [{"$ref": "#/$defs/x"}], "$ref": "#", "$id": "y#/z"}"##});
    check(
        &data(own),
        &expect![[
            r##"{"$ref":"#/components/schemas/data"} {"$id":"y#/z","$ref":"#/components/schemas/data","items":[{"$ref":"#/components/schemas/data/$defs/x"}]} null"##
        ]],
    );
    check(
        &data(json!({ "schema": url })),
        &expect![[
            r#"{"$ref":"https://example.com:8443/a?b#c"} null [{"title":"Schema","url":"https://example.com:8443/a?b#c"}]"#
        ]],
    );
    check(
        &data(json!({ "schema": url, "schemaData": "{}" })),
        &expect![[
            r##"{"$ref":"#/components/schemas/data"} {} [{"title":"Schema","url":"https://example.com:8443/a?b#c"}]"##
        ]],
    );
    check(
        &data(json!({ "schema": url, "schemaData": "[]" })),
        &expect![[
            r#"{"$ref":"https://example.com:8443/a?b#c"} null [{"title":"Schema","url":"https://example.com:8443/a?b#c"}]"#
        ]],
    );
    for neither in
        ["", "x", "urn:x", "https://", "https://a b", "javascript:x", "http://x:y/", "http://a/<b>", "http:///x"]
    {
        assert_eq!(data(json!({"schema": neither, "schemaData": "no JSON"})), "null null null", "{neither}");
    }
}

#[test]
fn texts_that_look_like_something_else_are_quoted() {
    for text in
        ["yes", "no", "on", "y", "null", "~", "1.0", "0x1F", "1e3", "1_000", "0o7", ".inf", "2001-01-01", "1:30", ""]
    {
        let spec = json!({ "type": "t", "description": text });
        let object = json!({
            "apiVersion": "eventing.knative.dev/v1beta2", "kind": "EventType",
            "metadata": {"name": "t", "namespace": "a", "labels": {"as-label": text}}, "spec": spec,
        });
        let snapshot = support::snapshot(support::converted(&[object]));
        let everything = Selection::default();
        let yaml = export::backstage(snapshot.view(&Grant::everything(), &everything), text).unwrap();
        let entity = documents(&yaml).remove(0);
        assert_eq!(entity["spec"]["owner"], text, "{yaml}");
        // Not all of them can be labels.
        if !text.contains(['~', ':']) && !text.starts_with('.') {
            assert_eq!(entity["metadata"]["labels"]["as-label"], text, "{yaml}");
        }
        // A reader of YAML 1.1 must see a text, too.
        let quoted = |line: &str| line.ends_with(&format!("\"{text}\"")) || line.ends_with(&format!("'{text}'"));
        assert!(quoted(yaml.lines().find(|it| it.starts_with("  owner:")).unwrap()), "{yaml}");
    }
}

/// Names as they come, and close to each other.
fn objects() -> impl Strategy<Value = ObjectRef> {
    const GROUPS: [&str; 5] = ["eventing.knative.dev", "messaging.knative.dev", "sources.knative.dev", "", "a.b"];
    const KINDS: [&str; 8] =
        ["Broker", "broker", "EventType", "Channel", "PingSource", "Pingsource", "GitHubSource", "B.x"];
    let name = prop_oneof!["[ab]{1,2}([-.][ab]{1,2}){0,3}", "[abA._ -]{0,6}", "[ab]{55,64}", any::<String>()];
    (prop::sample::select(&GROUPS[..]), prop::sample::select(&KINDS[..]), name.clone(), name)
        .prop_map(|(group, kind, namespace, name)| ObjectRef::new(GroupKind::new(group, kind), namespace, name))
}

/// Sequences of letters and digits with one of `-_.` between them.
fn is_backstage_name(name: &str) -> bool {
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    name.len() <= 63 && name.split(['-', '_', '.']).all(is_plain)
}

proptest! {
    #[test]
    fn names_are_valid(object in objects()) {
        let name = export::entity_name(&object);
        prop_assert!(is_backstage_name(&name), "{object}: {name}");
        prop_assert_eq!(name.to_lowercase(), name);
    }

    #[test]
    fn names_are_different(objects in prop::collection::btree_set(objects(), 0..60)) {
        let names: BTreeSet<_> = objects.iter().map(export::entity_name).collect();
        prop_assert_eq!(names.len(), objects.len());
    }

    #[test]
    fn texts_come_back_from_yaml(text in any::<String>()) {
        let entities = documents(&backstage(BROKER, &text));
        prop_assert!(entities.iter().all(|it| it["spec"]["owner"] == *text));
    }

    #[test]
    fn a_label_ends_where_it_ends(text in any::<String>()) {
        let spec = json!({"type": text});
        let object = json!({
            "apiVersion": "eventing.knative.dev/v1beta2", "kind": "EventType", "metadata": {"name": "t", "namespace": "a"},
            "spec": spec,
        });
        let snapshot = support::snapshot(support::converted(&[object]));
        let everything = Selection::default();
        let grant = Grant::everything();
        let graph = Graph::new(snapshot.view(&grant, &everything));
        let unescaped = |text: &str| text.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        prop_assert_eq!(unescaped(&export::dot(&graph)), 5 * 2);
        prop_assert_eq!(export::mermaid(&graph).matches('"').count(), 2 * 2);
        prop_assert_eq!(export::mermaid(&graph).lines().count(), 6);
    }
}

#[test]
fn names_say_what_they_can() {
    let name = |group: &str, kind: &str, namespace: &str, name: &str| {
        export::entity_name(&ObjectRef::new(GroupKind::new(group, kind), namespace, name))
    };
    let names = [
        name("eventing.knative.dev", "EventType", "shop", "order-placed"),
        name("eventing.knative.dev", "Broker", "a", "b-c"),
        name("eventing.knative.dev", "Broker", "a-b", "c"),
        name("eventing.knative.dev", "Broker", "a", "b.c"),
        name("eventing.knative.dev", "Broker", "a", "b--c"),
        name("eventing.knative.dev", "Broker", "a", "B"),
        name("example.com", "Broker", "a", "b"),
        name("example.com", "Widget", "", "ü"),
        name("eventing.knative.dev", "EventType", "shop", &"long-name.".repeat(9)),
    ];
    check(
        &names.join("\n"),
        &expect![[r#"
            eventtype.shop.order-placed
            broker.a.b-c
            broker.a-b.c
            broker.a.b.c
            broker.a.b--c
            broker.a.b_5b175a1923485508
            broker.a.b_f10177091578b40f
            widget_126f4c7cbb345f0b
            eventtype.shop.long-name.long-name.long-name.l_5b182324c4e42c22"#]],
    );
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventmesh-catalog"));
    command.arg("export").args(arguments).env_clear().output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn each_format_comes_out_of_the_binary() {
    for format in ["mesh", "dot", "mermaid", "backstage"] {
        let first = run(&["--manifests", SHOP, "--format", format]);
        assert!(first.status.success(), "{format}: {}", text(&first.stderr));
        assert_eq!(text(&first.stderr), "");
        assert!(first.stdout.len() > 1000, "{format}");
        assert_eq!(run(&["--manifests", SHOP, "--format", format]).stdout, first.stdout, "{format}");
        let part = run(&["--manifests", SHOP, "--format", format, "--label-selector", "team=payments"]);
        assert!(part.status.success());
        let part = text(&part.stdout);
        assert!(part.contains("payment-failed") && !part.contains("parcel-packed"), "{format}: {part}");
    }
}

#[test]
fn every_entity_has_its_own_name() {
    let output = run(&["--manifests", SHOP, "--format", "backstage", "--owner", "group:shop"]);
    let entities = documents(text(&output.stdout));
    let names: BTreeSet<_> = entities.iter().map(|it| it["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), entities.len());
    assert!(entities.iter().all(|it| it["spec"]["owner"] == "group:shop"));
    for api in entities.iter().filter_map(|it| it["spec"]["providesApis"].as_array()).flatten() {
        let name = api.as_str().and_then(|it| it.strip_prefix("api:default/")).unwrap();
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn nobody_owning_it_is_refused() {
    assert_eq!(run(&["--manifests", SHOP, "--owner", ""]).status.code(), Some(2));
}

/// Exit code, whether something was printed, and what was said, for a folder with these files.
fn of_files(files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let output = run(&["--manifests", folder.path().to_str().unwrap()]);
    let said = text(&output.stderr).replace(&format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR), "");
    format!("{} {}\n{said}", output.status.code().unwrap(), !output.stdout.is_empty())
}

#[test]
fn a_mesh_that_is_not_whole_is_not_exported() {
    check(
        &of_files(&[("good.yaml", BROKER), ("bad.yaml", "a: [\n")]),
        &expect![[r#"
        1 false
        bad.yaml:1: error[malformed-file]: unclosed bracket '[' at line 1, column 4
        error: The mesh would not be whole, so nothing is exported: 1 error in the manifests.
        Mend what is named above, or run `eventmesh-catalog check` with the same manifests to see everything.
    "#]],
    );
    check(
        &of_files(&[("one.yaml", BROKER), ("two.yaml", BROKER)]),
        &expect![[r#"
        1 false
        two.yaml:1: error[duplicate-object]: Broker.eventing.knative.dev a/main is already written at one.yaml:1, which counts; remove one of them
        error: The mesh would not be whole, so nothing is exported: 1 error in the manifests.
        Mend what is named above, or run `eventmesh-catalog check` with the same manifests to see everything.
    "#]],
    );
    check(
        &of_files(&[("good.yaml", BROKER), ("other.yaml", "a: b\n")]),
        &expect![[r#"
        0 true
        other.yaml:1: warning[not-an-object]: skipped, because it is not a Kubernetes object: it has no `apiVersion` and `kind`
    "#]],
    );
}
