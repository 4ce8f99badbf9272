//! The image, run as restricted Pod Security runs it: as a user who is not root, on a root that cannot be written to.
//!
//! `EVENTMESH_TEST_IMAGE` is the archive of the image (OCI, as `make image` writes it). Needs root: see `make image-test`.

#[path = "image/archive.rs"]
mod archive;
#[path = "image/issuer.rs"]
mod issuer;
#[path = "image/nameserver.rs"]
mod nameserver;
mod support;

use std::fmt::Write as _;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use flate2::read::ZlibDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::archive::Image;
use self::issuer::Issuer;
use self::support::callers::{self, broker, brokers};
use self::support::cluster::{Cluster, eventually};
use self::support::process::Service;
use self::support::tls::Authority;

/// As the layers are transferred.
const MAX_BYTES: u64 = 20_000_000;
/// Where a Pod finds who it is.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What is trusted by whoever says nothing else.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
const NAMESERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
const ISSUER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 54);
const ISSUER_NAME: &str = "issuer.mesh.example";

#[test]
#[ignore = "needs an image; see `make image-test`"]
fn it_is_small_and_fits_the_deployment() {
    let image = Image::open();
    println!("{} bytes in {} layer(s)", image.bytes, image.layers);
    assert!(image.bytes <= MAX_BYTES, "{} bytes are more than {MAX_BYTES}", image.bytes);

    let mut files = image.files();
    files.sort();
    assert_eq!(files, ["LICENSE", BUNDLE, "eventmesh-catalog"]);
    let certificates = support::read(image.root().join(BUNDLE)).matches("BEGIN CERTIFICATE").count();
    println!("{certificates} certificates");
    assert!(certificates > 100, "{certificates} authorities are few");

    let deployment = &support::documents(Path::new("config/base/deployment.yaml"))[0]["spec"]["template"]["spec"];
    let user = &deployment["securityContext"];
    let config = image.config();
    assert_eq!(config["User"], format!("{}:{}", user["runAsUser"], user["runAsGroup"]));
    assert_eq!(config["Entrypoint"], json!(["/eventmesh-catalog"]));
    let container = &deployment["containers"][0];
    assert_eq!(config["Cmd"], container["args"]);
    for port in container["ports"].as_array().unwrap() {
        let port = format!("{}/tcp", port["containerPort"]);
        assert!(config["ExposedPorts"].get(&port).is_some(), "{port} is not exposed");
    }
    for label in ["version", "revision", "source", "licenses", "title", "description"] {
        let value = config["Labels"][format!("org.opencontainers.image.{label}")].as_str().unwrap_or_default();
        assert!(!value.is_empty(), "no label {label}");
    }
}

#[test]
#[ignore = "needs an image; see `make image-test`"]
fn it_tells_its_revision() {
    let image = Image::open();
    let told = image.command(&[]).arg("--version").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let label = |name: &str| image.config()["Labels"][format!("org.opencontainers.image.{name}")].clone();
    let [version, revision] = ["version", "revision"].map(|it| label(it).as_str().unwrap().to_owned());
    assert_eq!(told, format!("eventmesh-catalog {version} ({revision})\n"));
}

#[test]
#[ignore = "needs an image; see `make image-test`"]
fn it_lists_what_it_is_made_of() {
    let image = Image::open();
    let folder = TempDir::new().unwrap();
    let [section, copy] = ["section", "copy"].map(|it| folder.path().join(it));
    let mut objcopy = Command::new("objcopy");
    objcopy.arg(format!("--dump-section=.dep-v0={}", section.display())).arg(image.root().join("eventmesh-catalog"));
    assert!(objcopy.arg(copy).status().unwrap().success());
    let list = ZlibDecoder::new(File::open(section).expect("a list"));
    let list: Value = serde_json::from_reader(list).unwrap();

    let lock = support::read("Cargo.lock");
    let packages = list["packages"].as_array().unwrap();
    println!("{} crates", packages.len());
    let mut names = vec![];
    for package in packages {
        let [name, version] = ["name", "version"].map(|it| package[it].as_str().unwrap());
        let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&locked), "{name} {version} is not in Cargo.lock");
        names.push(name);
    }
    for name in ["eventmesh-catalog", "rustls", "hyper", "tokio"] {
        assert!(names.contains(&name), "{name} is not listed");
    }
}

#[test]
#[ignore = "needs an image; see `make image-test`"]
fn it_serves_manifests() {
    let image = Image::open();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples/shop");
    let began = Instant::now();
    let service =
        Service::start_by(image.command(&[(sample, "/manifests")]), &["--manifests", "/manifests", "--dev-token"]);
    let mesh = service.mesh();
    println!("an answer after {:?}; {}", began.elapsed(), memory(&service));
    assert_eq!(mesh.event_types.len(), 13);
    is_restricted(&service);
}

/// As the only one who may list brokers is known by an issuer with a name, which is found by the name server of the Pod
/// and whose certificate is of an authority of the bundle.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an image; see `make image-test`"]
async fn it_serves_a_cluster_from_within() {
    let image = Image::open();
    let cluster = Cluster::start().await;
    cluster.install_knative().await;
    cluster.apply(&broker("shop", "orders")).await;
    let account = callers::service_account("eventmesh-catalog", "eventmesh-catalog");
    let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
    cluster.grant("", "eventmesh-catalog", account, &[all]).await;
    cluster.grant("", "brokers", callers::user("people:jane"), &[brokers()]).await;

    let folder = TempDir::new().unwrap();
    let write = |name: &str, content: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    };
    let token = cluster.service_account_token("eventmesh-catalog", "eventmesh-catalog").await;
    write("account/token", &token);
    write("account/namespace", "eventmesh-catalog");
    write("account/ca.crt", &cluster.authority());

    let asked = nameserver::start(NAMESERVER, ISSUER_NAME, ISSUER);
    let authority = Authority::new();
    let issuer = Issuer::start(ISSUER, ISSUER_NAME, &authority.issue_for(ISSUER_NAME));
    let mut bundle = support::read(image.root().join(BUNDLE));
    write!(bundle, "\n{}", authority.pem()).unwrap();
    // As Kubernetes writes it.
    let names = format!(
        "nameserver {NAMESERVER}\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
    );
    let authentication = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer: {{url: {:?}, \
         audiences: [catalog]}}\n  claimMappings:\n    username: {{claim: sub, prefix: \"people:\"}}\n",
        issuer.url
    );
    let mut command = image.command(&[
        (folder.path().join("account"), ACCOUNT),
        (write("ca-certificates.crt", &bundle), &format!("/{BUNDLE}")),
        (write("resolv.conf", &names), "/etc/resolv.conf"),
        (write("authentication.yaml", &authentication), "/etc/eventmesh-catalog/authentication.yaml"),
    ]);
    let address = cluster.server();
    let (host, port) = address.trim_start_matches("https://").rsplit_once(':').unwrap();
    command.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port);
    let began = Instant::now();
    let service =
        Service::start_by(command, &["--authentication-config", "/etc/eventmesh-catalog/authentication.yaml"]);
    eventually("readiness", async || (service.admin("/readyz").status == 200).then_some(())).await;
    println!("ready after {:?}; {}", began.elapsed(), memory(&service));

    let jane = issuer.token("catalog", "jane");
    let answer = service.get_as(&jane, "/v1/getEventMesh", &[]);
    assert_eq!(answer.status, 200, "{}\n{}", answer.body, service.log());
    assert!(answer.body.contains("\"orders\""), "{}", answer.body);
    let asked = asked.lock().unwrap().clone();
    println!("the name server was asked for {asked:?}");
    assert!(asked.iter().any(|it| it == ISSUER_NAME));
    assert_eq!(service.get_as(&issuer.token("other", "jane"), "/v1/getEventMesh", &[]).status, 401);
    is_restricted(&service);
}

/// It is who it should be, and can do nothing but that.
fn is_restricted(service: &Service) {
    let status = support::read(format!("/proc/{}/status", service.pid()));
    let field = |name: &str| {
        let line = status.lines().find_map(|it| it.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(field("Uid:"), "65532 65532 65532 65532");
    assert_eq!(field("Gid:"), "65532 65532 65532 65532");
    assert_eq!(field("Groups:"), "");
    assert_eq!(field("NoNewPrivs:"), "1");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    let mounts = support::read(format!("/proc/{}/mountinfo", service.pid()));
    let root = mounts.lines().find(|it| it.split(' ').nth(4) == Some("/")).expect("a root");
    assert!(root.split(' ').nth(5).unwrap().split(',').any(|it| it == "ro"), "{root}");
}

fn memory(service: &Service) -> String {
    let status = support::read(format!("/proc/{}/status", service.pid()));
    let lines = status.lines().filter(|it| it.starts_with("VmHWM") || it.starts_with("VmRSS"));
    lines.map(|it| it.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}
