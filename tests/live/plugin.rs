//! `kubectl eventmesh`: what a cluster holds, exported once with the rights of whoever asks.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::golden::{knative, objects, without_uids};
use super::support::callers::{rule, service_account};
use super::support::process;
use super::support::proxy::{Fault, How, Proxy};
use super::support::{cases, json};
use super::{broker, empty_cluster, event_type, service, trigger};

/// What people install: the binary by the name that kubectl looks for, on the path.
struct Plugin {
    folder: TempDir,
}

impl Plugin {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let name = folder.path().join("kubectl-eventmesh");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_eventmesh-catalog"), name).unwrap();
        Self { folder }
    }

    fn command(&self, kubeconfig: &Path, arguments: &[&str]) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = vec![self.folder.path().to_owned()];
        folders.extend(std::env::split_paths(&path));
        let mut command = Command::new("kubectl");
        command.arg("eventmesh").args(arguments).env_clear();
        command.env("PATH", std::env::join_paths(folders).unwrap()).env("KUBECONFIG", kubeconfig);
        command
    }

    fn run(&self, kubeconfig: &Path, arguments: &[&str]) -> Said {
        said(&self.command(kubeconfig, arguments).output().expect("this test needs `kubectl`"))
    }
}

/// Exit code, standard output, standard error.
type Said = (Option<i32>, String, String);

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The same of manifests.
fn of_manifests(file: &Path, format: &str) -> String {
    let output = process::run(&["export", "--manifests", file.to_str().unwrap(), "--format", format]);
    let (code, text, told) = said(&output);
    assert_eq!((code, told.as_str()), (Some(0), ""), "{}", file.display());
    text
}

/// Objects as a file of manifests.
fn written(folder: &TempDir, objects: &[Value]) -> std::path::PathBuf {
    let path = folder.path().join("mesh.yaml");
    // JSON is YAML.
    let documents: Vec<_> = objects.iter().map(ToString::to_string).collect();
    std::fs::write(&path, documents.join("\n---\n")).unwrap();
    path
}

/// Without the uids, which a real server gives.
fn mesh(text: &str) -> Value {
    without_uids(serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_exported_as_its_manifests_are() {
    let Some(cluster) = empty_cluster(false).await else { return };
    let (plugin, knative) = (Plugin::new(), knative());
    let told = ["channel-and-backing-channel", "source-types-from-crd", "subscriber-kinds", "eventing-not-installed"];
    for case in cases("golden").iter().filter(|it| told.iter().any(|told| it.ends_with(told))) {
        cluster.apply_all(&objects(case, &knative)).await;
        for format in ["mesh", "dot", "mermaid", "backstage"] {
            let (code, text, told) = plugin.run(cluster.kubeconfig(), &["export", "--format", format]);
            assert_eq!((code, told.as_str()), (Some(0), ""), "{}", case.display());
            let expected = of_manifests(&case.join("input.yaml"), format);
            if format == "mesh" {
                assert_eq!(mesh(&text), mesh(&expected), "{}", case.display());
                assert_eq!(mesh(&text), without_uids(json(case.join("expected.json"))), "{}", case.display());
            } else {
                assert_eq!(text, expected, "{} as {format}", case.display());
            }
        }
        // Nobody reads on; kubectl becomes the plugin, so that it is the one who notices.
        let mut command = plugin.command(cluster.kubeconfig(), &["export"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let (code, _, told) = said(&child.wait_with_output().unwrap());
        assert_eq!((code, told.as_str()), (Some(0), ""), "a pipe that is closed");
        cluster.wipe().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_few_rights_is_told_and_gets_what_there_is_within_them() {
    let Some(cluster) = empty_cluster(false).await else { return };
    cluster.install_knative().await;
    let mut elsewhere = [broker("bus"), event_type("b", "t.b", "bus")];
    for it in &mut elsewhere {
        it["metadata"]["namespace"] = "farm".into();
    }
    let visible = [
        broker("bus"),
        event_type("a", "t.a", "bus"),
        service("one", "one"),
        trigger("one", "bus", "v1 Service one"),
        trigger("two", "bus", "v1 Service two"),
    ];
    cluster.apply_all(&[&visible[..], &elsewhere, &[service("two", "two")]].concat()).await;
    let token = cluster.service_account_token("shop", "developer").await;
    let subject = || service_account("shop", "developer");
    let groups = ["eventing.knative.dev", "messaging.knative.dev", "sources.knative.dev"];
    let mut rules = groups.map(|group| rule(&["list"], group, "*", &[])).to_vec();
    rules.push(rule(&["get"], "", "services", &["one"]));
    cluster.grant("shop", "developer", subject(), &rules).await;
    let kubeconfig = cluster.kubeconfig_with(&cluster.server(), &token);
    let plugin = Plugin::new();

    let (code, text, told) = plugin.run(&kubeconfig, &["export"]);
    assert_eq!((code, text.as_str()), (Some(1), ""), "{told}");
    for what in [
        "so nothing is exported",
        "\n  Broker.eventing.knative.dev: refused: brokers.eventing.knative.dev is forbidden",
        "\n  CustomResourceDefinition.apiextensions.k8s.io: refused: ",
        "--within NAMESPACE",
        "--allow-missing",
        "`doctor`",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }
    assert!(!told.contains(&token), "{told}");

    let (code, text, told) = plugin.run(&kubeconfig, &["export", "--within", "shop"]);
    assert_eq!((code, text.as_str()), (Some(1), ""), "{told}");
    let named = "\n  Service in shop: refused: ";
    assert!(told.contains(named) && told.contains("1 of 2 objects that are named may not be read"), "{told}");
    assert!(!told.contains("Broker.") && !told.contains("--within"), "{told}");

    let (code, text, told) = plugin.run(&kubeconfig, &["export", "--within", "shop", "--allow-missing"]);
    assert_eq!(code, Some(0), "{told}");
    let lacks = told.lines().filter(|it| it.starts_with("warning: The mesh lacks ")).count();
    assert_eq!((lacks, told.lines().count()), (2, 2), "definitions and a service: {told}");
    let folder = TempDir::new().unwrap();
    assert_eq!(mesh(&text), mesh(&of_manifests(&written(&folder, &visible), "mesh")));

    // Whoever may read everything chooses, and misses nothing.
    let (code, text, told) = plugin.run(cluster.kubeconfig(), &["export", "--within", "farm"]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert_eq!(mesh(&text), mesh(&of_manifests(&written(&folder, &elsewhere), "mesh")));
    let (_, all, _) = plugin.run(cluster.kubeconfig(), &["export"]);
    let (_, part, _) = plugin.run(cluster.kubeconfig(), &["export", "-n", "farm"]);
    assert_eq!(mesh(&all)["brokers"].as_array().unwrap().len(), 2);
    assert_eq!(mesh(&part), mesh(&text), "here, nothing leads from one to the other");

    let (code, text, told) = plugin.run(cluster.kubeconfig(), &["doctor"]);
    assert_eq!((code, told.as_str()), (Some(0), ""), "{text}");
    assert!(text.ends_with("# Nothing is missing.\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_is_told_in_time() {
    let Some(cluster) = empty_cluster(false).await else { return };
    cluster.install_knative().await;
    cluster.apply(&broker("bus")).await;
    let (plugin, way) = (Plugin::new(), Proxy::start(&cluster).await);
    way.inject(Fault::new(How::status(503)).verb("list").resource("brokers").times(2));
    let (code, text, told) = plugin.run(way.kubeconfig(), &["export"]);
    assert_eq!(code, Some(0), "it is asked again: {told}");
    assert_eq!(mesh(&text)["brokers"][0]["name"], json!("bus"));
    assert!(told.contains("Broker.eventing.knative.dev cannot be read, and is asked for again"), "{told}");

    way.inject(Fault::new(How::status(503)).verb("list").resource("brokers"));
    let (code, text, told) = plugin.run(way.kubeconfig(), &["export", "--timeout", "2s", "--allow-missing"]);
    assert_eq!((code, text.as_str()), (Some(1), ""), "what does not answer is not what may not be read: {told}");
    let late = "cannot be read: Broker.eventing.knative.dev was not read within 2 s: the API server answers 503";
    assert!(told.contains(late) && told.contains("--timeout"), "{told}");

    // Where nobody listens any more.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = cluster.kubeconfig_with(&format!("https://{free}"), "token");
    let (code, text, told) = plugin.run(&away, &["export"]);
    assert_eq!((code, text.as_str()), (Some(1), ""), "{told}");
    let at = format!("error: The cluster at https://{free}/ cannot be read: the API server cannot be reached: ");
    assert!(told.starts_with(&at), "{told}");
    let stranger = cluster.kubeconfig_with(&cluster.server(), "nobody's");
    let (code, _, told) = plugin.run(&stranger, &["export"]);
    assert!(code == Some(1) && told.contains("does not accept our credentials"), "{told}");
}
