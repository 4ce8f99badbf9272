//! Folders of manifests, as files come, change, break and go.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use eventmesh_catalog::api::dto::EventMesh;
use eventmesh_catalog::index::Index;
use eventmesh_catalog::mesh::Grant;
use eventmesh_catalog::origins::manifests::{Manifests, Options};
use tempfile::TempDir;

/// A folder, what is known of it, and the mesh that it makes.
struct Repository {
    folder: TempDir,
    manifests: Manifests,
    index: Index,
}

impl Repository {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut options = support::options(folder.path());
        change(&mut options);
        Self { manifests: Manifests::new(options), index: Index::default(), folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// What the mesh is now.
    fn mesh(&mut self) -> EventMesh {
        let updates = self.manifests.refresh();
        self.index.apply(updates, true);
        support::answer(self.index.snapshot(), &Grant::everything())
    }

    /// The brokers as `namespace/name`, after a look at the folder.
    fn brokers(&mut self) -> Vec<String> {
        self.mesh().brokers.iter().map(|it| format!("{}/{}", it.meta.namespace, it.meta.name)).collect()
    }

    /// What is wrong with the files, with the folder's own path left out.
    fn problems(&self) -> Vec<String> {
        let here = format!("{}/", self.folder.path().display());
        self.manifests.problems().iter().map(|it| it.to_string().replace(&here, "")).collect()
    }
}

fn broker(name: &str) -> String {
    format!("{{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {{name: {name}}}, spec: {{}}}}\n")
}

#[test]
fn files_come_change_and_go() {
    let mut repository = Repository::new();
    assert_eq!(repository.brokers(), [""; 0]);
    repository.write("a.yaml", broker("a")).write("deep/down/b.yml", broker("b"));
    repository
        .write("c.json", r#"{"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "c"}}"#);
    repository.write("README.md", broker("no")).write(".hidden/d.yaml", broker("no")).write(".e.yaml", broker("no"));
    assert_eq!(repository.brokers(), ["default/a", "default/b", "default/c"]);
    repository.write("a.yaml", broker("renamed"));
    fs::remove_file(repository.path("deep/down/b.yml")).unwrap();
    assert_eq!(repository.brokers(), ["default/c", "default/renamed"]);
    assert_eq!(repository.problems(), [""; 0]);
}

#[test]
fn a_file_may_hold_many_documents_and_lists() {
    let mut repository = Repository::new();
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "listed", "namespace": "n"}}]}"#;
    repository.write(
        "a.yaml",
        format!("\u{feff}# first\n---\n{}---\n# nothing\n--- \n{}---\n{list}\n", broker("a"), broker("b")),
    );
    repository.write("b.json", format!("{list}\n{}", list.replace("listed", "more")));
    assert_eq!(repository.brokers(), ["default/a", "default/b", "n/listed", "n/more"]);
    assert_eq!(
        repository.problems(),
        [
            "b.json:1: Broker.eventing.knative.dev n/listed is already written at a.yaml:9, which counts; remove one of them"
        ]
    );
}

#[test]
fn an_edit_that_does_not_parse_keeps_the_last_good_state() {
    let mut repository = Repository::new();
    repository.write("a.yaml", broker("a")).write("b.yaml", broker("b"));
    repository.brokers();
    let cases: [(&str, &[u8], &str); 5] = [
        (
            "broken",
            b"---\nkind: Broker\n---\nmetadata:\n  name: [a\n",
            "a.yaml:5: unclosed bracket '[' at line 5, column 9",
        ),
        ("not UTF-8", b"kind: Broker\nname: \xff\n", "a.yaml:1: line 2 is not UTF-8"),
        ("a key twice", b"kind: Broker\nkind: Broker\n", "a.yaml:2: "),
        ("a tab", b"kind: Broker\nmetadata:\n\tname: a\n", "a.yaml:3: "),
        ("an unclosed quote", b"kind: \"Broker\n", "a.yaml:"),
    ];
    for (case, content, problem) in cases {
        repository.write("a.yaml", content);
        assert_eq!(repository.brokers(), ["default/a", "default/b"], "{case}");
        let problems = repository.problems();
        assert!(problems.len() == 1 && problems[0].starts_with(problem), "{case}: {problems:?}");
    }
    repository.write("a.yaml", broker("mended"));
    assert_eq!(repository.brokers(), ["default/b", "default/mended"]);
    assert_eq!(repository.problems(), [""; 0]);
}

#[test]
fn what_is_made_to_hurt_does_not() {
    let deep = |open: &str, close: &str| format!("a: {}{}\n", open.repeat(10_000), close.repeat(10_000));
    let nested: Vec<_> = (0..2_000).map(|n| " ".repeat(n) + "a:").collect();
    let mut bomb = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for n in 1..20 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push(format!("a{n}: &a{n} [{aliases}]"));
    }
    let mut filter = String::from("{exact: {type: x}}");
    for _ in 0..10_000 {
        filter = format!("{{not: {filter}}}");
    }
    let trigger = |filter: &str| {
        format!(
            "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: t}}\nspec: {{broker: b, filters: [{filter}]}}\n"
        )
    };
    let cases = [
        ("lists 10,000 deep", deep("[", "]")),
        ("maps 10,000 deep", deep("{a: ", "}")),
        ("blocks 2,000 deep", nested.join("\n")),
        ("an alias bomb", bomb.join("\n")),
        ("a filter 10,000 deep", trigger(&filter)),
        ("JSON in YAML 10,000 deep", deep("{\"a\":", "1}")),
    ];
    for (case, content) in cases {
        let mut repository = Repository::new();
        repository.write("good.yaml", broker("good")).write("bad.yaml", content);
        assert_eq!(repository.brokers(), ["default/good"], "{case}");
        let problems = repository.problems();
        assert!(problems.len() == 1 && problems[0].starts_with("bad.yaml:"), "{case}: {problems:?}");
        assert!(problems[0].len() < 500, "{case}: {} characters", problems[0].len());
        println!("{case}: {}", problems[0]);
    }
    let mut repository = Repository::new();
    repository.write("bad.json", deep("[", "]").trim_start_matches("a: ")).write("good.yaml", broker("good"));
    assert_eq!(repository.brokers(), ["default/good"]);
    assert_eq!(repository.problems().len(), 1);
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let mut repository = Repository::with(|it| it.max_bytes = 200);
    repository.write("a.yaml", broker("a")).write("b.yaml", broker("b") + &"#".repeat(300));
    assert_eq!(repository.brokers(), ["default/a"]);
    let message =
        "b.yaml:1: the file has more than the 200 bytes that are read; split it or raise --max-manifest-bytes";
    assert_eq!(repository.problems(), [message]);
}

#[test]
fn of_objects_written_twice_the_first_by_path_and_position_counts() {
    let labeled = |label: &str| {
        format!(
            "{{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {{name: a, labels: {{at: {label}}}}}}}\n"
        )
    };
    let mut repository = Repository::new();
    repository
        .write("b.yaml", labeled("third"))
        .write("a.yaml", format!("{}---\n{}", labeled("first"), labeled("second")));
    let label = |repository: &mut Repository| repository.mesh().brokers[0].meta.labels["at"].clone();
    assert_eq!(label(&mut repository), "first");
    assert_eq!(repository.problems().len(), 2, "{:?}", repository.problems());
    fs::remove_file(repository.path("a.yaml")).unwrap();
    assert_eq!(label(&mut repository), "third");
    assert_eq!(repository.problems(), [""; 0]);
}

#[test]
fn a_folder_that_vanishes_is_an_outage_and_not_emptiness() {
    let mut repository = Repository::with(|it| it.roots[0].push("inner"));
    repository.write("inner/a.yaml", broker("a"));
    assert_eq!(repository.brokers(), ["default/a"]);
    fs::rename(repository.path("inner"), repository.path("away")).unwrap();
    assert_eq!(repository.brokers(), ["default/a"]);
    assert!(repository.problems()[0].contains("what was last read of it still counts"), "{:?}", repository.problems());
    fs::rename(repository.path("away"), repository.path("inner")).unwrap();
    repository.write("inner/b.yaml", broker("b"));
    assert_eq!(repository.brokers(), ["default/a", "default/b"]);
    assert_eq!(repository.problems(), [""; 0]);
    fs::remove_file(repository.path("inner/a.yaml")).unwrap();
    fs::remove_file(repository.path("inner/b.yaml")).unwrap();
    assert_eq!(repository.brokers(), [""; 0], "a folder that is empty is empty");
}

#[test]
fn nothing_is_complete_before_every_folder_was_looked_at() {
    let mut repository = Repository::with(|it| it.roots.push(it.roots[0].join("later")));
    repository.write("a.yaml", broker("a"));
    fs::remove_dir_all(repository.path("later")).ok();
    repository.mesh();
    assert!(!repository.manifests.is_complete(), "{:?}", repository.problems());
    repository.write("later/b.yaml", broker("b"));
    repository.mesh();
    assert!(repository.manifests.is_complete());
    fs::remove_dir_all(repository.path("later")).unwrap();
    repository.mesh();
    assert!(repository.manifests.is_complete(), "what was known once is known");
}

#[test]
fn the_strict_wait_for_every_file() {
    for strict in [false, true] {
        let mut repository = Repository::with(|it| it.strict = strict);
        repository.write("a.yaml", broker("a")).write("b.yaml", "kind: [");
        assert_eq!(repository.brokers(), ["default/a"]);
        assert_eq!(repository.manifests.is_complete(), !strict);
        repository.write("b.yaml", broker("b"));
        assert_eq!(repository.brokers(), ["default/a", "default/b"]);
        repository.write("b.yaml", "kind: [");
        repository.mesh();
        assert!(repository.manifests.is_complete(), "its last good state is known");
    }
}

#[test]
fn a_file_that_is_being_written_is_left_for_later() {
    let mut repository = Repository::with(|it| it.settle = Duration::from_hours(1));
    repository.write("a.yaml", broker("a"));
    assert_eq!(repository.brokers(), ["default/a"], "what was never read is read at once");
    repository.write("a.yaml", "");
    assert_eq!(repository.brokers(), ["default/a"]);
    assert!(!repository.manifests.is_settled());
    let hours_ago = std::time::SystemTime::now() - Duration::from_hours(2);
    fs::File::options().write(true).open(repository.path("a.yaml")).unwrap().set_modified(hours_ago).unwrap();
    assert_eq!(repository.brokers(), [""; 0]);
    assert!(repository.manifests.is_settled());
}

#[test]
fn pipes_are_not_waited_for() {
    let mut repository = Repository::new();
    repository.write("a.yaml", broker("a"));
    assert!(std::process::Command::new("mkfifo").arg(repository.path("pipe.yaml")).status().unwrap().success());
    assert_eq!(repository.brokers(), ["default/a"]);
    assert_eq!(repository.problems(), ["pipe.yaml:1: cannot be read: it is not a regular file"]);
}

#[test]
fn folders_too_deep_are_told() {
    let mut repository = Repository::new();
    repository.write(&format!("{}a.yaml", "d/".repeat(70)), broker("a")).write("b.yaml", broker("b"));
    assert_eq!(repository.brokers(), ["default/b"]);
    assert!(repository.problems()[0].ends_with("it is deeper than the 64 folders that are looked into"));
}

#[test]
fn a_file_with_several_names_counts_once() {
    let mut repository = Repository::with(|it| it.roots.push(it.roots[0].join("n1")));
    for n in 0..7 {
        fs::create_dir(repository.path(&format!("n{n}"))).unwrap();
        for to in 0..7 {
            let link = repository.path(&format!("n{n}/to{to}"));
            std::os::unix::fs::symlink(repository.path(&format!("n{to}")), link).unwrap();
        }
    }
    repository.write("n3/a.yaml", broker("a"));
    assert_eq!(repository.brokers(), ["default/a"]);
    assert_eq!(repository.problems(), [""; 0]);
}

#[test]
fn items_of_a_list_of_one_kind_need_not_say_what_they_are() {
    let mut repository = Repository::new();
    let inner =
        r#"{"apiVersion": "eventing.knative.dev/v1", "kind": "BrokerList", "items": [{"metadata": {"name": "a"}}]}"#;
    repository.write("a.json", format!("\u{feff}{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{inner}]}}"));
    assert_eq!(repository.brokers(), ["default/a"]);
    assert_eq!(repository.problems(), [""; 0]);
}

#[test]
fn links_are_followed_but_not_in_circles() {
    let mut repository = Repository::new();
    repository.write("..2026/a.yaml", broker("a")).write("deep/b.yaml", broker("b"));
    std::os::unix::fs::symlink(repository.path("..2026/a.yaml"), repository.path("a.yaml")).unwrap();
    std::os::unix::fs::symlink(repository.folder.path(), repository.path("deep/round")).unwrap();
    std::os::unix::fs::symlink(repository.path("nowhere"), repository.path("nowhere.yaml")).unwrap();
    let brokers = repository.brokers();
    assert_eq!(brokers, ["default/a", "default/b"]);
}

#[test]
fn what_the_api_server_would_add_is_made_up_the_same_each_time() {
    let mut repository = Repository::with(|it| it.default_namespace = "team".into());
    repository.write("a.yaml", broker("a"));
    let meta = repository.mesh().brokers.remove(0).meta;
    assert_eq!((meta.namespace.as_str(), meta.name.as_str()), ("team", "a"));
    assert_eq!(meta.uid, "c1349c46-5ad9-57f3-83a6-6157e707585a");
}

#[test]
fn definitions_in_the_folder_count_for_more_than_what_is_known() {
    let definition = |labels: &str, served: bool| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: pingsources.sources.knative.dev
  labels: {labels}
  annotations: {{registry.knative.dev/eventTypes: '[{{\"type\": \"my.ping\"}}]'}}
spec: {{group: sources.knative.dev, names: {{kind: PingSource}}, versions: [{{name: v1, served: {served}}}]}}
"
        )
    };
    let source = "{apiVersion: sources.knative.dev/v1, kind: PingSource, metadata: {name: p}, spec: {}}\n";
    let mut repository = Repository::new();
    repository.write("source.yaml", source);
    let types = |repository: &mut Repository| {
        repository.mesh().sources.into_iter().flat_map(|it| it.provided_event_type_types).collect::<Vec<_>>()
    };
    assert_eq!(types(&mut repository), ["dev.knative.sources.ping"]);
    repository.write("crd.yaml", definition("{duck.knative.dev/source: 'true'}", true));
    assert_eq!(types(&mut repository), ["my.ping"]);
    repository.write("crd.yaml", definition("{duck.knative.dev/source: 'false'}", true));
    assert_eq!(repository.mesh().sources, []);
    repository.write("crd.yaml", definition("{duck.knative.dev/source: 'true'}", false));
    assert_eq!(repository.mesh().sources, []);
    fs::remove_file(repository.path("crd.yaml")).unwrap();
    assert_eq!(types(&mut repository), ["dev.knative.sources.ping"]);
}

#[test]
fn strange_objects_are_read_as_far_as_possible() {
    let long = "n".repeat(253);
    let mut repository = Repository::new();
    repository
        .write("long.yaml", broker(&long))
        .write("values.yaml", "replicas: 3\n")
        .write("text.yaml", "just text\n");
    repository.write("nameless.yaml", "{apiVersion: v1, kind: Service, metadata: {}}\n");
    repository.write(
        "odd.yaml",
        "apiVersion: eventing.knative.dev/v9
kind: EventType
metadata: {name: odd, labels: {count: 5, list: [1]}, annotations: 7}
spec: {type: odd.type, reference: text, description: [1]}
---
{apiVersion: eventing.knative.dev/v1, kind: Trigger, metadata: {name: no-spec}}
---
{apiVersion: eventing.knative.dev/v1, kind: Trigger, metadata: {name: odd}, spec: {broker: b, filters: text, subscriber: 5}}
",
    );
    let mesh = repository.mesh();
    assert_eq!(mesh.brokers[0].meta.name, long);
    let odd = &mesh.event_types[0];
    assert_eq!((odd.of_type.as_str(), &odd.reference, &odd.description), ("odd.type", &None, &None));
    assert_eq!(odd.meta.labels.iter().collect::<Vec<_>>(), [(&"count".to_owned(), &"5".to_owned())]);
    let skipped = repository.problems();
    assert_eq!(
        skipped,
        [
            "nameless.yaml:1: skipped, because it is not a Kubernetes object: it has no `metadata.name`",
            "text.yaml:1: skipped, because it is not a Kubernetes object: it has no `apiVersion` and `kind`",
            "values.yaml:1: skipped, because it is not a Kubernetes object: it has no `apiVersion` and `kind`",
        ]
    );
    let found = eventmesh_catalog::mesh::diagnostic::diagnose(repository.index.snapshot());
    let found: Vec<_> = found.iter().map(|it| format!("{}: {}", it.subject.name, it.finding)).collect();
    for expected in [
        "odd: metadata.labels.count: expected a string, found a number; put it in quotes",
        "odd: metadata.labels.list: expected a string, found a list",
        "odd: metadata.annotations: expected an object, found a number",
        "odd: EventType version v9 is not known; read as far as possible",
        "odd: spec.reference: expected an object, found a string",
        "odd: spec.description: expected a string, found a list",
        "no-spec: the object has no spec",
        "odd: spec.filters: expected a list, found a string",
        "odd: spec.subscriber: expected an object, found a number",
    ] {
        assert!(found.iter().any(|it| it == expected), "{expected} in {found:#?}");
    }
}

#[test]
fn channels_in_circles_are_harmless() {
    let mut repository = Repository::new();
    repository.write(
        "circle.yaml",
        "apiVersion: messaging.knative.dev/v1
kind: InMemoryChannel
metadata: {name: a}
---
apiVersion: messaging.knative.dev/v1
kind: InMemoryChannel
metadata: {name: b}
---
apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata: {name: ab}
spec:
  channel: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: a}
  subscriber: {ref: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: b}}
---
apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata: {name: ba}
spec:
  channel: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: b}
  reply: {ref: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: a}}
---
apiVersion: messaging.knative.dev/v1
kind: Channel
metadata: {name: self}
status: {channel: {apiVersion: messaging.knative.dev/v1, kind: Channel, name: self}}
---
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: {name: p}
spec: {sink: {ref: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: b}}}
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: ping}
spec: {type: dev.knative.sources.ping, reference: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: a}}
",
    );
    let mesh = repository.mesh();
    assert_eq!(mesh.subscribables.len(), 3);
    assert_eq!(mesh.sources[0].provided_event_types, ["default/ping"]);
}

#[test]
fn the_kinds_that_are_known_are_those_of_knative() {
    let Some(folder) = support::test_data("crds") else { return };
    let mut options = support::options(folder.join("eventing"));
    options.roots.push(folder.join("kafka"));
    let mut repository =
        Repository { folder: TempDir::new().unwrap(), manifests: Manifests::new(options), index: Index::default() };
    repository.mesh();
    let said = |index: &Index| {
        let definitions = index
            .snapshot()
            .entries()
            .filter_map(|it| Some((it.resource.key.clone(), it.resource.definition()?.clone())));
        definitions.filter(|(_, it)| it.subscribable || it.source).collect::<Vec<_>>()
    };
    let mut known = Repository::new();
    known.mesh();
    assert_eq!(said(&known.index), said(&repository.index));
    assert!(Path::new(&folder).exists());
}
