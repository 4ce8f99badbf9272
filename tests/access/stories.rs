//! The rights cases of `tests/golden-faults`, with `faults.json` as real roles of a real caller.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::support::callers::{rule, service_account};
use super::support::cluster::Cluster;
use super::support::roles::{CASES, Role};
use super::support::{self};
use super::{answered, empty_cluster, serve};

/// Where the callers are.
const HOME: &str = "callers";

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_gets_what_the_roles_allow() {
    let Some(cluster) = empty_cluster().await else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-faults");
    for name in CASES {
        let case = folder.join(name);
        let objects = support::documents(&case.join("input.yaml"));
        cluster.apply_all(&objects).await;
        let token = cluster.caller_token(HOME, name).await;
        grant(&cluster, name, &Role::of(&case), &objects).await;
        let service = serve(cluster.kubeconfig(), &[]);
        let expected = support::json(case.join("expected.json"));
        let expected = without_uids(expected["body"].clone());
        answered(&service, &token, name, |it| without_uids(it.clone()) == expected).await;
        println!("{name}: equal");
        cluster.wipe().await;
    }
}

/// Makes a role of what a caller may do, in each namespace and everywhere.
async fn grant(cluster: &Cluster, name: &str, role: &Role, objects: &[Value]) {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let namespaces: BTreeSet<_> = objects.iter().map(|it| text(&it["metadata"]["namespace"])).collect();
    // Without a namespace it is the whole cluster.
    for namespace in namespaces.iter().map(String::as_str).chain([""]).collect::<BTreeSet<_>>() {
        let mut rules = vec![];
        for (of, plural) in &role.plurals {
            if role.allows("list", of, namespace, None) {
                rules.push(rule(&["list"], &of.group, plural, &[]));
            }
            let is_here = |it: &&Value| {
                let group =
                    text(&it["apiVersion"]).rsplit_once('/').map_or(String::new(), |(group, _)| group.to_owned());
                *group == *of.group && text(&it["kind"]) == *of.kind && text(&it["metadata"]["namespace"]) == namespace
            };
            for object in objects.iter().filter(is_here).map(|it| text(&it["metadata"]["name"])) {
                if !namespace.is_empty() && role.allows("get", of, namespace, Some(&object)) {
                    rules.push(rule(&["get"], &of.group, plural, &[&object]));
                }
            }
        }
        cluster.grant(namespace, name, service_account(HOME, name), &rules).await;
    }
}

/// A server gives uids of its own.
fn without_uids(mut mesh: Value) -> Value {
    for list in mesh.as_object_mut().into_iter().flat_map(|it| it.values_mut()) {
        for item in list.as_array_mut().into_iter().flatten() {
            item["uid"] = json!("");
        }
    }
    mesh
}
