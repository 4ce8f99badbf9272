//! What tests share: a mesh from documents, and cases from folders.
#![allow(dead_code, reason = "each test crate uses a part")]

pub mod balancer;
pub mod callers;
pub mod cluster;
pub mod events;
pub mod generate;
pub mod history;
pub mod meshes;
pub mod oracle;
pub mod polling;
pub mod process;
pub mod property;
pub mod proxy;
pub mod roles;
pub mod rules;
pub mod secrets;
pub mod tls;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use eventmesh_catalog::api::dto::EventMesh;
use eventmesh_catalog::index::Index;
use eventmesh_catalog::mesh::{Grant, Resource, Selection, Snapshot, Update};
use eventmesh_catalog::origins::kubernetes::convert::Converter;
use eventmesh_catalog::origins::kubernetes::kinds::known_definitions;
use eventmesh_catalog::origins::manifests::{self, document};
use serde_json::Value;

pub fn options(root: impl Into<PathBuf>) -> manifests::Options {
    manifests::Options {
        roots: vec![root.into()],
        default_namespace: "default".into(),
        max_bytes: 32 << 20,
        strict: false,
        settle: Duration::ZERO,
        converter: converter(),
    }
}

/// All are clones of one, as in a process there is one only.
pub fn converter() -> Converter {
    static CONVERTER: LazyLock<Converter> = LazyLock::new(|| Converter::new("backstage.io/kubernetes-id"));
    CONVERTER.clone()
}

/// The objects of a YAML text, in its order.
pub fn resources(yaml: &str) -> Vec<Arc<Resource>> {
    let parsed = document::parse(Path::new("test.yaml"), yaml, &options("")).expect("the text parses");
    assert_eq!(parsed.skipped, [], "only objects");
    parsed.documents.into_iter().map(|it| it.resource).collect()
}

/// The objects that these documents are.
pub fn converted(documents: &[Value]) -> Vec<Arc<Resource>> {
    documents.iter().map(|it| Arc::new(converter().convert(it).expect("an object"))).collect()
}

/// The snapshot of these objects and the kinds that are known anyway.
pub fn snapshot(resources: impl IntoIterator<Item = Arc<Resource>>) -> Arc<Snapshot> {
    let mut index = Index::default();
    index.apply(known_definitions().into_iter().chain(resources).map(Update::Upsert), true);
    index.snapshot().clone()
}

/// The answer for a grant.
pub fn answer(snapshot: &Snapshot, grant: &Grant) -> EventMesh {
    snapshot.view(grant, &Selection::default()).into()
}

/// What two answers do not have in common.
pub fn difference(expected: &EventMesh, found: &EventMesh) -> String {
    let mut difference = String::new();
    let [expected, found] = [expected, found].map(|it| serde_json::to_value(it).expect("an answer is JSON"));
    for (list, items) in expected.as_object().expect("an object") {
        let [expected, found] = [items, &found[list]].map(|it| it.as_array().expect("a list").clone());
        let _ =
            expected.iter().filter(|it| !found.contains(it)).try_for_each(|it| writeln!(difference, "expected {it}"));
        let _ =
            found.iter().filter(|it| !expected.contains(it)).try_for_each(|it| writeln!(difference, "found    {it}"));
    }
    if difference.is_empty() { "the order differs".into() } else { difference }
}

/// The folders below a folder of `tests`, sorted.
pub fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<_> = entries.map(|it| it.unwrap().path()).filter(|it| it.is_dir()).collect();
    cases.sort();
    cases
}

pub fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// The documents of a file of YAML, with the booleans that manifests have.
pub fn documents(path: &Path) -> Vec<Value> {
    let mut options = serde_saphyr::Options::default();
    options.strict_booleans = true;
    let documents: Result<Vec<Value>, _> = serde_saphyr::from_multiple_with_options(&read(path), options);
    let mut documents = documents.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    documents.retain(|it| !it.is_null());
    documents
}

pub fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&read(path)).expect("JSON")
}

/// Third-party data that is not part of the repository: below `EVENTMESH_TEST_DATA`, by default `../shared`. Where it
/// is missing, the check says so and does not run; in CI it fails.
pub fn test_data(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("EVENTMESH_TEST_DATA").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join(root).join(folder);
    if data.is_dir() {
        return Some(data);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no test data at {}", data.display());
    not_run(&format!("a check that needs {}; set EVENTMESH_TEST_DATA", data.display()));
    None
}

/// Says so past the capture of the test runner: what did not run must be seen.
pub fn not_run(what: &str) {
    let _ = writeln!(std::io::stderr(), "NOT RUN: {what}");
}
