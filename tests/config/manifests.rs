//! What is deployed: accepted by an API server, hardened, and no more than it has to be.

use clap::Parser as _;
use eventmesh_catalog::config::{Authenticator, Cli, Command, Origin};
use serde_json::{Value, json};

use super::kubectl::{deployment, kubectl, of_kind, render};
use crate::support::cluster::Cluster;

const FOLDERS: [&str; 3] = ["overlays/default", "overlays/dev", "callers"];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_accepts_all_of_it() {
    let cluster = Cluster::start().await;
    // What is in a namespace is refused without it, also in a dry run.
    for namespace in of_kind(&render("overlays/default"), "Namespace") {
        cluster.apply(namespace).await;
    }
    for folder in FOLDERS {
        let folder = format!("config/{folder}");
        let answer = kubectl(Some(cluster.kubeconfig()), &["apply", "-k", &folder, "--dry-run=server"], "");
        let lines = answer.unwrap_or_else(|error| panic!("{folder}: {error}"));
        assert!(lines.lines().all(|it| it.ends_with("(server dry run)")), "{folder}: {lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_restricted() {
    let cluster = Cluster::start().await;
    let rendered = render("overlays/default");
    let namespace = of_kind(&rendered, "Namespace").next().unwrap();
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    cluster.apply(namespace).await;
    let pods = format!("/api/v1/namespaces/{}/pods?dryRun=All", namespace["metadata"]["name"].as_str().unwrap());
    for folder in ["overlays/default", "overlays/dev"] {
        let mut pod = deployment(&render(folder))["spec"]["template"].clone();
        pod["metadata"]["name"] = json!("x");
        if let Err(error) = cluster.ask("POST", &pods, Some(&pod)).await {
            panic!("{folder}: {error}");
        }
        // Each of these matters, which shows that somebody looks.
        for pointer in [
            "/spec/securityContext/runAsNonRoot",
            "/spec/securityContext/seccompProfile",
            "/spec/containers/0/securityContext/allowPrivilegeEscalation",
            "/spec/containers/0/securityContext/capabilities",
        ] {
            let mut pod = pod.clone();
            assert!(remove(&mut pod, pointer), "{folder} has {pointer}");
            let answer = cluster.ask("POST", &pods, Some(&pod)).await;
            let error = answer.expect_err(pointer).to_string();
            assert!(error.contains("violates PodSecurity"), "{pointer}: {error}");
        }
        let server = &pod["spec"]["containers"][0];
        assert_eq!(server["securityContext"]["readOnlyRootFilesystem"], true);
        for resource in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
            assert!(server["resources"].pointer(resource).is_some(), "{folder}: {resource}");
        }
    }
}

#[test]
fn the_service_takes_what_it_is_given() {
    for (folder, replicas) in [("overlays/default", 2), ("overlays/dev", 1)] {
        let rendered = render(folder);
        let deployment = deployment(&rendered);
        assert_eq!(deployment["spec"]["replicas"], replicas);
        let pod = &deployment["spec"]["template"]["spec"];
        let server = &pod["containers"][0];
        let image = concat!("ghcr.io/eventmesh-catalog/eventmesh-catalog:", env!("CARGO_PKG_VERSION"));
        assert_eq!(server["image"], image);
        let arguments: Vec<_> = server["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let line = [&["eventmesh-catalog"], &*arguments].concat();
        let cli = Cli::try_parse_from(&line).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let Command::Serve(serve) = cli.command else { panic!("{folder} serves") };
        // Callers are those whom the cluster knows.
        let checked = serve.checked().unwrap();
        let of_cluster = (&checked.origin, &checked.authenticator);
        assert!(matches!(of_cluster, (Origin::Cluster { .. }, Authenticator::Cluster { .. })), "{folder}: {checked:?}");

        let port = |name: &str| {
            let ports = server["ports"].as_array().unwrap();
            ports.iter().find(|it| it["name"] == name).unwrap()["containerPort"].to_string()
        };
        let value = |flag: &str| arguments.iter().find_map(|it| it.strip_prefix(&format!("{flag}="))).unwrap();
        assert!(value("--listen").ends_with(&format!(":{}", port("http"))));
        assert!(value("--admin-listen").ends_with(&format!(":{}", port("admin"))));
        for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            let asked = &server[probe]["httpGet"];
            assert_eq!((&asked["path"], &asked["port"]), (&json!(path), &json!("admin")), "{probe}");
        }
    }
}

#[test]
fn roles_say_what_they_allow() {
    for folder in FOLDERS {
        let rendered = render(folder);
        assert_eq!(of_kind(&rendered, "Secret").count(), 0);
        assert_eq!(of_kind(&rendered, "Role").count(), 0);
        for role in of_kind(&rendered, "ClusterRole") {
            let name = &role["metadata"]["name"];
            for rule in role["rules"].as_array().into_iter().flatten() {
                let texts = ["apiGroups", "resources", "nonResourceURLs", "verbs"];
                for text in texts.iter().flat_map(|it| rule[it].as_array().into_iter().flatten()) {
                    let text = text.as_str().unwrap();
                    assert!(!text.contains('*') && !text.starts_with("secrets"), "{name}: {text}");
                }
                let is_question = |it: &Value| *it == json!(["tokenreviews"]) || *it == json!(["subjectaccessreviews"]);
                let allowed: &[&str] = match folder {
                    "callers" => &["get", "list"],
                    _ if is_question(&rule["resources"]) => &["create"],
                    _ if rule["resources"].is_null() => &["get"],
                    _ => &["list", "watch"],
                };
                for verb in rule["verbs"].as_array().unwrap() {
                    assert!(allowed.contains(&verb.as_str().unwrap()), "{name}: {verb}");
                }
            }
            // Applying a list, even an empty one, would take away what the control plane has filled in.
            assert_eq!(role.get("rules").is_none(), role.get("aggregationRule").is_some(), "{name}");
        }
    }
}

fn remove(value: &mut Value, pointer: &str) -> bool {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.and_then(|it| it.remove(name)).is_some()
}
