//! Manifests: any text is read as objects, or is refused with a reason.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use eventmesh_catalog::index::Index;
use eventmesh_catalog::mesh::{Grant, Selection, Update};
use eventmesh_catalog::origins::kubernetes::convert::Converter;
use eventmesh_catalog::origins::manifests::{Options, document};
use libfuzzer_sys::fuzz_target;

static OPTIONS: LazyLock<Options> = LazyLock::new(|| Options {
    roots: vec![PathBuf::new()],
    default_namespace: "default".into(),
    max_bytes: 1 << 20,
    strict: false,
    settle: Duration::ZERO,
    converter: Converter::new("backstage.io/kubernetes-id"),
});

fuzz_target!(|text: &str| {
    let Ok(parsed) = document::parse(Path::new("fuzz.yaml"), text, &OPTIONS) else { return };
    let mut index = Index::default();
    index.apply(parsed.documents.into_iter().map(|it| Update::Upsert(it.resource)), true);
    let (grant, selection) = (Grant::everything(), Selection::default());
    let view = index.snapshot().view(&grant, &selection);
    assert!(view.event_types().count() + view.brokers().count() <= index.snapshot().entries().count());
});
