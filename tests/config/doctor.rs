//! `doctor`, where not only rights are missing.

use std::path::Path;

use serde_json::{Value, json};

use super::kubectl::yaml;
use super::rights::{account, doctor, rights};
use crate::support::cluster::{Cluster, eventually};

/// Whether it says so of a kind.
fn says(text: &str, mark: char, kind: &str, what: &str) -> bool {
    text.lines().any(|it| it.starts_with(&format!("# [{mark}] {kind}: ")) && it.contains(what))
}

fn trigger(name: &str, version: &str, kind: &str, subscriber: &str) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"broker": "orders", "subscriber": {"ref": {"apiVersion": version, "kind": kind, "name": subscriber}}},
    })
}

/// What is printed, until that is nothing more: what is granted may let more be seen that there is to read.
async fn follow(cluster: &Cluster, kubeconfig: &Path) -> String {
    for _ in 0..3 {
        let (code, text) = doctor(kubeconfig, &[]);
        let granted = yaml(&text);
        if granted.is_empty() {
            assert_eq!(code, Some(0), "{text}");
            return text;
        }
        assert_eq!(code, Some(1), "{text}");
        assert!(granted.iter().flat_map(rights).all(|it| it.resource != "secrets"), "{text}");
        cluster.apply_all(&granted).await;
        let seen = async || Some(doctor(kubeconfig, &[])).filter(|(_, now)| *now != text);
        eventually("another answer", seen).await;
    }
    panic!("there is no end to it");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_no_rights_to_enough() {
    let cluster = Cluster::start().await;
    let nobody = account(&cluster, "nobody", [].iter()).await;
    let (code, text) = doctor(&nobody, &[]);
    assert_eq!(code, Some(1));
    assert!(says(&text, '-', "Broker.eventing.knative.dev", "it is not installed"), "{text}");
    assert!(says(&text, '+', "PingSource.sources.knative.dev", "it is not installed"), "{text}");
    assert!(text.contains("# 12 rights are missing."), "those of definitions and callers: {text}");
    for (what, lost) in [
        ("who they are", "may not create tokenreviews.authentication.k8s.io; nobody is answered"),
        ("what they may see", "may not create subjectaccessreviews.authorization.k8s.io; nobody is answered"),
        ("changes of their rights", "watch rolebindings.rbac.authorization.k8s.io; what is taken away"),
    ] {
        assert!(says(&text, '-', what, lost), "{text}");
    }
    assert!(says(&text, '+', "keys of the cluster's tokens", "read"), "all accounts may: {text}");
    // Who may not ask for others is told so.
    let (code, text) = doctor(&nobody, &["--service-account", "a/b"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("cannot be examined: refused: subjectaccessreviews"), "{text}");

    if Cluster::knative_crds().is_none() {
        return;
    }
    cluster.install_knative().await;
    cluster
        .apply_all(&[
            trigger("a", "v1", "Service", "a"),
            trigger("s", "v1", "Secret", "s"),
            trigger("n", "acme.example/v1", "Nowhere", "n"),
        ])
        .await;
    let text = follow(&cluster, &nobody).await;
    assert!(says(&text, '+', "Service", "v1 is read for subscribers"), "{text}");
    assert!(!text.contains("Secret") && !text.contains("secrets"), "{text}");
    assert!(says(&text, '+', "Nowhere.acme.example", "not served"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_all_that_are_named_need_not_list() {
    let cluster = Cluster::start().await;
    if Cluster::knative_crds().is_none() {
        return;
    }
    cluster.install_knative().await;
    let reader = account(&cluster, "reader", [].iter()).await;
    follow(&cluster, &reader).await;
    cluster.apply(&trigger("a", "v1", "Service", "a")).await;
    let api_group = "rbac.authorization.k8s.io";
    let metadata = json!({"namespace": "shop", "name": "a"});
    cluster
        .apply_all(&[
            json!({
                "apiVersion": format!("{api_group}/v1"), "kind": "Role", "metadata": metadata,
                "rules": [{"apiGroups": [""], "resources": ["services"], "resourceNames": ["a"], "verbs": ["get"]}],
            }),
            json!({
                "apiVersion": format!("{api_group}/v1"), "kind": "RoleBinding", "metadata": metadata,
                "roleRef": {"apiGroup": api_group, "kind": "Role", "name": "a"},
                "subjects": [{"kind": "ServiceAccount", "namespace": "eventmesh-catalog", "name": "reader"}],
            }),
        ])
        .await;
    let fine = async || Some(doctor(&reader, &[])).filter(|(code, _)| *code == Some(0));
    let (_, text) = eventually("the right to read a service", fine).await;
    assert!(says(&text, '+', "Service", "v1 is read for subscribers, object by object"), "{text}");

    cluster.apply(&trigger("b", "v1", "Service", "b")).await;
    let (code, text) = doctor(&reader, &[]);
    assert_eq!(code, Some(1));
    assert!(says(&text, '-', "Service", "may not list services, watch services"), "{text}");
}
