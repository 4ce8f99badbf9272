//! The Helm chart: it deploys what the manifests do, takes what it says it takes, and is accepted by an API server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::kubectl::{deployment, kubectl, of_kind, render, yaml};
use crate::support::cluster::Cluster;
use crate::support::process::run;

const VERSION: &str = "v3.19.0";
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/chart");
/// All that can be switched on, and all that can be given.
const FULL: &str = r"
replicas: 3
image: { repository: registry.example.com/events, tag: '1', pullPolicy: Always }
imagePullSecrets: [{ name: pull }]
log: info,eventmesh_catalog=debug
logFormat: text
config: { max-staleness: 30m, strict-audience: true, max-connections: 99 }
extraEnv: [{ name: A, value: b }, { name: C, valueFrom: { secretKeyRef: { name: d, key: e } } }]
extraVolumes: [{ name: more, secret: { secretName: more } }]
extraVolumeMounts: [{ name: more, mountPath: /etc/more, readOnly: true }]
service: { port: 8443, annotations: { a: b } }
serviceAccount: { annotations: { a: b } }
extraSubscriberRules: [{ apiGroups: [apps], resources: [deployments], verbs: [list, watch] }]
networkPolicy:
  metricsFrom: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: monitoring } } }]
  extraIngress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8 } }], ports: [{ port: http }] }]
  apiServerPorts: [16443]
  extraEgress: [{ ports: [{ port: 8443 }] }]
fixedUser: false
serviceMonitor: { enabled: true, interval: 1m, labels: { release: prometheus } }
prometheusRule: { enabled: true, labels: { release: prometheus } }
dashboard: { enabled: true, labels: { grafana_dashboard: '1' } }
httpRoute: { enabled: true, parentRefs: [{ name: gateway }], hostnames: [events.example.com] }
podAnnotations: { a: b }
podLabels: { a: b }
nodeSelector: { a: b }
tolerations: [{ key: a, operator: Exists }]
affinity: { nodeAffinity: {} }
priorityClassName: system-cluster-critical
";
const TLS: &str =
    "{ tls: { secretName: tls }, podDisruptionBudget: { enabled: false }, networkPolicy: { enabled: false } }";
/// Nothing of the chart's own to mount beside what is given.
const MOUNTED: &str =
    "{ extraVolumes: [{ name: more, emptyDir: {} }], extraVolumeMounts: [{ name: more, mountPath: /etc/more }] }";

/// The program, of this version; built with Go from its module, once.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm").join(VERSION);
        let program = folder.join("helm");
        if !program.exists() {
            let module = format!("helm.sh/helm/v3/cmd/helm@{VERSION}");
            let built = Command::new("go").args(["install", &module]).env("GOBIN", &folder).status();
            assert!(built.is_ok_and(|it| it.success()), "this test needs Go (https://go.dev) to build {module}");
        }
        program
    })
}

fn helm(arguments: &[&str], values: &str) -> Result<String, String> {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, values).unwrap();
    let output = Command::new(program()).args(arguments).arg("--values").arg(&file).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr) + &text(&output.stdout)) }
}

fn templates(release: &str, values: &str) -> Vec<Value> {
    let arguments = ["template", release, CHART, "--namespace", "eventmesh-catalog", "--kube-version", "1.33"];
    yaml(&helm(&arguments, values).unwrap_or_else(|error| panic!("{error}")))
}

/// Objects by kind and name, without what says only by whom they were deployed.
fn effects(objects: Vec<Value>) -> Map<String, Value> {
    let name = |it: &Value| format!("{} {}", it["kind"].as_str().unwrap(), it["metadata"]["name"].as_str().unwrap());
    let objects = objects.into_iter().filter(|it| it["kind"] != "Namespace");
    objects.map(|it| (name(&it), effect(it))).collect()
}

fn effect(value: Value) -> Value {
    const BOOKKEEPING: [&str; 5] = [
        "app.kubernetes.io/instance",
        "app.kubernetes.io/managed-by",
        "app.kubernetes.io/name",
        "app.kubernetes.io/version",
        "helm.sh/chart",
    ];
    match value {
        Value::Array(items) => items.into_iter().map(effect).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(key, value)| {
                // By default, an image with a tag is pulled where it is not present.
                !(BOOKKEEPING.contains(&&**key) || key == "imagePullPolicy" && value == "IfNotPresent")
            });
            let fields = fields.map(|(key, value)| (key, effect(value)));
            fields.filter(|(key, value)| !(key == "labels" && *value == json!({}))).collect()
        }
        scalar => scalar,
    }
}

#[test]
fn the_chart_deploys_what_the_manifests_do() {
    let manifests = [render("overlays/default"), render("callers")].concat();
    assert_eq!(effects(templates("eventmesh-catalog", "")), effects(manifests));
}

/// How metrics are found is said in another way: by Pods there, and by a Service here.
#[test]
fn the_chart_watches_it_as_the_manifests_do() {
    let values = "{ prometheusRule: { enabled: true }, dashboard: { enabled: true } }";
    let mut manifests = effects([render("overlays/monitored"), render("callers")].concat());
    assert!(manifests.remove("PodMonitor eventmesh-catalog").is_some());
    assert_eq!(effects(templates("eventmesh-catalog", values)), manifests);
}

#[test]
fn the_chart_is_of_the_version_of_the_service() {
    let chart = yaml(&std::fs::read_to_string(Path::new(CHART).join("Chart.yaml")).unwrap()).remove(0);
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!(env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn the_chart_has_no_flaws() {
    for values in ["", FULL, TLS, MOUNTED] {
        let said = helm(&["lint", CHART, "--strict", "--kube-version", "1.33"], values);
        assert!(said.as_ref().is_ok_and(|it| it.contains("0 chart(s) failed")), "{said:?}");
    }
}

#[test]
fn two_releases_do_not_meet() {
    let names = |release: &str| {
        let objects = templates(release, FULL);
        objects.iter().map(|it| format!("{} {}", it["kind"], it["metadata"]["name"])).collect::<Vec<_>>()
    };
    let (one, other) = (names("one"), names("other"));
    assert!(one.iter().all(|it| it.contains("\"one-eventmesh-catalog")), "{one:?}");
    assert!(one.iter().all(|it| !other.contains(it)));
    let long = names(&"x".repeat(53));
    assert!(long.iter().all(|it| it.split('"').nth(3).unwrap().len() <= 63), "{long:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_accepts_all_of_the_chart() {
    let cluster = Cluster::start().await;
    for namespace in of_kind(&render("overlays/default"), "Namespace") {
        cluster.apply(namespace).await;
    }
    for values in ["", FULL, TLS, MOUNTED] {
        // Their definitions are not installed here.
        let foreign = ["ServiceMonitor", "PrometheusRule", "HTTPRoute"];
        let objects = templates("eventmesh-catalog", values).into_iter();
        let known: Vec<_> = objects.filter(|it| !foreign.contains(&it["kind"].as_str().unwrap())).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": known }).to_string();
        let answer = kubectl(Some(cluster.kubeconfig()), &["apply", "-f", "-", "--dry-run=server"], &list);
        let lines = answer.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(lines.lines().filter(|it| it.ends_with("(server dry run)")).count(), known.len(), "{lines}");
        // As its namespace wants it.
        let mut pod = deployment(&known)["spec"]["template"].clone();
        pod["metadata"]["name"] = json!("x");
        pod["spec"]["priorityClassName"].take();
        let pods = "/api/v1/namespaces/eventmesh-catalog/pods?dryRun=All";
        cluster.ask("POST", pods, Some(&pod)).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_service_takes_what_the_chart_gives_it() {
    let objects = templates("eventmesh-catalog", FULL);
    let config = &of_kind(&objects, "ConfigMap").next().unwrap()["data"]["config.yaml"];
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config.as_str().unwrap()).unwrap();
    let output = run(&["config", "show", "--config", file.to_str().unwrap()]);
    let shown = String::from_utf8(output.stdout).unwrap();
    for line in ["max-staleness: \"30m\" # ", "strict-audience: true # ", "max-connections: 99 # "] {
        assert!(shown.contains(&format!("{line}{}", file.display())), "{shown}");
    }
    let server = &deployment(&objects)["spec"]["template"]["spec"]["containers"][0];
    let path = format!("{}/config.yaml", server["volumeMounts"][0]["mountPath"].as_str().unwrap());
    assert!(server["args"].as_array().unwrap().contains(&json!(format!("--config={path}"))));
    assert_eq!(server["image"], "registry.example.com/events:1");
}

fn pod(values: &str) -> Value {
    deployment(&templates("eventmesh-catalog", values))["spec"]["template"]["spec"].clone()
}

#[test]
fn an_image_is_named_by_its_digest_where_that_is_given() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let image = |values: &str| pod(values)["containers"][0]["image"].clone();
    let here = concat!("ghcr.io/eventmesh-catalog/eventmesh-catalog:", env!("CARGO_PKG_VERSION"));
    assert_eq!(image(""), here);
    assert_eq!(image(&format!("image: {{ repository: a/b, tag: c, digest: '{digest}' }}")), format!("a/b@{digest}"));
}

#[test]
fn who_chooses_users_itself_may() {
    let context = |values| pod(values)["securityContext"].clone();
    assert_eq!(
        context("fixedUser: false"),
        json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } })
    );
    assert_eq!(context("")["runAsUser"], 65532);
}

#[test]
fn what_may_come_and_go_is_what_is_given() {
    let policy =
        |values| of_kind(&templates("eventmesh-catalog", values), "NetworkPolicy").next().unwrap()["spec"].clone();
    let (common, full) = (policy(""), policy(FULL));
    let selects = |labels: Value| json!([{ "namespaceSelector": { "matchLabels": labels } }]);
    assert_eq!(common["ingress"][1]["from"], selects(json!({ "metrics": "enabled" })));
    assert_eq!(full["ingress"][1]["from"], selects(json!({ "kubernetes.io/metadata.name": "monitoring" })));
    assert_eq!(full["ingress"][2]["from"][0]["ipBlock"]["cidr"], "10.0.0.0/8");
    assert_eq!(common["egress"][1]["ports"], json!([{ "port": 443 }, { "port": 6443 }]));
    assert_eq!(full["egress"][1]["ports"], json!([{ "port": 16443 }]));
    assert_eq!(full["egress"][2]["ports"], json!([{ "port": 8443 }]));
}

/// Nobody but the service needs to read it, and the service warns where others may.
#[test]
fn the_private_key_is_for_the_service_alone() {
    let secret = |values: &str| pod(values)["volumes"][0]["secret"].clone();
    assert_eq!(secret(TLS), json!({ "secretName": "tls", "defaultMode": 0o440 }));
    assert_eq!(secret("{ tls: { secretName: tls }, fixedUser: false }")["defaultMode"], 0o444, "it can be read at all");
}

/// They are symbolic links out of the chart, which not everything that copies it follows.
#[test]
fn alerts_and_a_dashboard_that_are_not_there_are_missed() {
    let folder = tempfile::TempDir::new().unwrap();
    let copied = Command::new("cp").args(["-r", CHART]).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let chart = folder.path().join("chart");
    std::fs::remove_dir_all(chart.join("files")).unwrap();
    for (values, file) in
        [("prometheusRule: { enabled: true }", "rules.yaml"), ("dashboard: { enabled: true }", "dashboard.json")]
    {
        let error = helm(&["template", "x", chart.to_str().unwrap(), "--kube-version", "1.33"], values).unwrap_err();
        assert!(error.contains(&format!("files/{file} is missing")), "{error}");
    }
}

#[test]
fn what_is_given_beside_the_chart_is_in_its_pods() {
    let [full, mounted] = [FULL, MOUNTED].map(pod);
    for pod in [&full, &mounted] {
        let last = |list: &Value| list.as_array().unwrap().last().unwrap().clone();
        assert_eq!(last(&pod["volumes"])["name"], "more", "{pod}");
        assert_eq!(last(&pod["containers"][0]["volumeMounts"])["mountPath"], "/etc/more", "{pod}");
    }
    let env = &full["containers"][0]["env"];
    let names: Vec<_> = env.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["EVENTMESH_LOG_FORMAT", "EVENTMESH_LOG", "A", "C"]);
    assert_eq!(env[3]["valueFrom"]["secretKeyRef"], json!({ "name": "d", "key": "e" }));
}

/// What is set by the chart itself, or is of no use in its Pods.
const NOT_GIVEN: [&str; 13] = [
    "admin-listen",
    "authentication-config",
    "context",
    "dev-token",
    "kubeconfig",
    "listen",
    "log",
    "log-format",
    "manifests",
    "shutdown-delay",
    "tls-cert",
    "tls-key",
    "tokens-file",
];

#[test]
fn the_configuration_is_held_to_its_schema() {
    let values = std::fs::read_to_string(Path::new(CHART).join("values.schema.json")).unwrap();
    let values: Value = serde_json::from_str(&values).unwrap();
    let config = &values["properties"]["config"];
    let mut expected = eventmesh_catalog::config::reference::schema()["properties"].take();
    for key in NOT_GIVEN {
        expected[key] = json!(false);
    }
    assert_eq!(
        config["properties"], expected,
        "run `make docs`, and take it over into config/chart/values.schema.json"
    );
    assert_eq!(config["additionalProperties"], false);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let values = "{ tls: { secretName: x }, httpRoute: { enabled: true, parentRefs: [{ name: x }] } }";
    let error = helm(&["template", "x", CHART, "--kube-version", "1.33"], values).unwrap_err();
    assert!(error.contains("httpRoute and tls.secretName do not go together"), "{error}");
}

#[test]
fn values_that_cannot_be_are_refused() {
    for (values, told) in [
        ("replica: 3", "replica"),
        ("replicas: many", "replicas"),
        ("replicas: -1", "replicas"),
        ("image: { repository: '' }", "repository"),
        ("image: { pullPolicy: Sometimes }", "pullPolicy"),
        ("image: { digest: 0a1b }", "digest"),
        ("logFormat: xml", "logFormat"),
        ("config: { listen: 'x:1' }", "listen"),
        ("config: { log-format: text }", "log-format"),
        ("extraEnv: [{ name: EVENTMESH_LOG, value: debug }]", "extraEnv"),
        ("extraEnv: [{ name: A, value: 1 }]", "value"),
        ("extraVolumes: [{ name: tls, emptyDir: {} }]", "extraVolumes"),
        ("extraVolumeMounts: [{ name: x, mountPath: /etc/eventmesh-catalog }]", "mountPath"),
        ("service: { port: 0 }", "port"),
        ("service: { ports: [] }", "ports"),
        ("serviceMonitor: { interval: often }", "interval"),
        ("prometheusRule: { labels: { a: 1 } }", "labels"),
        ("dashboard: { enabled: 'yes' }", "enabled"),
        ("httpRoute: { enabled: true }", "parentRefs"),
        ("networkPolicy: { enabled: 'yes' }", "enabled"),
        ("networkPolicy: { metricsFrom: [{}] }", "metricsFrom"),
        ("networkPolicy: { extraIngress: {} }", "extraIngress"),
        ("networkPolicy: { apiServerPorts: [] }", "apiServerPorts"),
        ("networkPolicy: { apiServerPorts: [https] }", "apiServerPorts"),
        ("fixedUser: 65532", "fixedUser"),
        ("extraSubscriberRules: [{ apiGroups: ['*'], resources: [x], verbs: [list] }]", "apiGroups"),
        ("extraSubscriberRules: [{ apiGroups: [''], resources: [secrets], verbs: [list] }]", "resources"),
        ("extraSubscriberRules: [{ apiGroups: [x], resources: [x], verbs: [update] }]", "verbs"),
        ("podLabels: { a: 1 }", "podLabels"),
        ("podLabels: { app.kubernetes.io/name: x }", "app.kubernetes.io/name"),
        ("podAnnotations: { checksum/config: x }", "checksum/config"),
        ("tls:", "tls"),
        ("config: { max-stalness: 1h }", "max-stalness"),
        ("config: { max-connections: many }", "max-connections"),
        ("config: { dev-token: true }", "dev-token"),
        ("config: { tokens-file: x }", "tokens-file"),
        ("config: { audience: }", "audience"),
    ] {
        let error = helm(&["template", "x", CHART, "--kube-version", "1.33"], values).expect_err(values);
        assert!(error.contains("schema") && error.contains(told), "{values}: {error}");
    }
}
