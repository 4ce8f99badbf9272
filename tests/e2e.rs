//! The binary as a user runs it.

mod support;

#[path = "e2e/traces.rs"]
mod traces;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use support::polling::header;
use support::process::{Service, binary, command, eventually, get, make_fifo, run, unconfigured};
use tempfile::TempDir;

const MESH: &str = "/v1/getEventMesh";

fn sample() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples/shop").to_str().unwrap().into()
}

fn broker(name: &str, namespace: &str) -> String {
    format!(
        "{{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {{name: {name}, namespace: {namespace}}}}}\n"
    )
}

fn brokers(service: &Service) -> Vec<String> {
    service.mesh().brokers.into_iter().map(|it| it.meta.name).collect()
}

/// Waits until the service has these brokers: it is told of changed files a moment after they are written.
fn expect_brokers(service: &Service, expected: &[&str]) {
    eventually(&format!("{expected:?}"), || (brokers(service) == expected).then_some(()));
}

#[test]
fn the_sample_is_served_to_those_who_have_the_token() {
    let service = Service::start(&["--manifests", &sample(), "--dev-token"]);
    let mesh = service.mesh();
    assert_eq!(
        (mesh.event_types.len(), mesh.brokers.len(), mesh.subscribables.len(), mesh.sources.len()),
        (13, 2, 1, 2)
    );
    let created = mesh.event_types.iter().find(|it| it.meta.name == "order-created").unwrap();
    assert!(!created.consumed_by.is_empty());
    for path in ["/", MESH, "/docs-not", "/v1"] {
        assert_eq!(get(&service.address, path, &[]).status, 401, "{path}");
    }
    assert!(get(&service.address, "/docs/", &[]).body.contains("<title>Swagger UI</title>"));
    let document = get(&service.address, "/openapi.json", &[]).body;
    assert_eq!(document, serde_json::to_string(eventmesh_catalog::api::openapi::document()).unwrap());
}

#[test]
fn what_the_page_loads_is_all_here() {
    let service = Service::start(&["--manifests", &sample(), "--dev-token"]);
    let page = get(&service.address, "/docs/", &[]).body;
    let quoted = |attribute: &str| {
        page.split(attribute).skip(1).filter_map(|it| it.split('"').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    let loaded: Vec<_> = [quoted("src=\""), quoted("href=\"")].concat();
    assert!(loaded.len() > 3, "{page}");
    for file in loaded {
        assert!(!file.contains(':') && !file.starts_with('/'), "{file} is from elsewhere");
        let relative = file.trim_start_matches("./");
        assert_eq!(get(&service.address, &format!("/docs/{relative}"), &[]).status, 200, "{file}");
    }
}

#[test]
fn an_edit_shows_in_the_next_answers() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.yaml"), broker("a", "n")).unwrap();
    let service = Service::of(folder.path());
    expect_brokers(&service, &["a"]);
    fs::write(folder.path().join("b.yaml"), broker("b", "n")).unwrap();
    expect_brokers(&service, &["a", "b"]);
    fs::write(folder.path().join("a.yaml"), broker("c", "n")).unwrap();
    expect_brokers(&service, &["b", "c"]);
    fs::write(folder.path().join("c.yaml"), "kind: [").unwrap();
    fs::write(folder.path().join("b.yaml"), "kind: [").unwrap();
    fs::write(folder.path().join("d.yaml"), broker("d", "n")).unwrap();
    expect_brokers(&service, &["b", "c", "d"]);
    let verbose = service.admin("/readyz?verbose").body;
    assert!(verbose.contains("b.yaml:1: ") && verbose.contains("c.yaml:1: "), "{verbose}");
    fs::remove_file(folder.path().join("b.yaml")).unwrap();
    fs::create_dir(folder.path().join("new")).unwrap();
    fs::write(folder.path().join("new/e.yaml"), broker("e", "n")).unwrap();
    expect_brokers(&service, &["c", "d", "e"]);
    service.signal("TERM");
    let (_, log) = service.ended();
    assert_eq!(
        log.matches("b.yaml:1: unclosed bracket").count(),
        2,
        "once when it appears, once when it is gone: {log}"
    );
}

#[test]
fn a_folder_may_vanish_and_return() {
    let folder = TempDir::new().unwrap();
    let (inner, away) = (folder.path().join("inner"), folder.path().join("away"));
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("a.yaml"), broker("a", "n")).unwrap();
    let service = Service::of(&inner);
    expect_brokers(&service, &["a"]);
    fs::rename(&inner, &away).unwrap();
    eventually("the loss", || service.admin("/readyz?verbose").body.contains("still counts").then_some(()));
    assert_eq!(brokers(&service), ["a"]);
    fs::write(away.join("b.yaml"), broker("b", "n")).unwrap();
    fs::rename(&away, &inner).unwrap();
    expect_brokers(&service, &["a", "b"]);
}

#[test]
fn a_restart_keeps_the_tag() {
    let tags = [(); 2].map(|()| {
        let service = Service::start(&["--manifests", &sample(), "--dev-token"]);
        service.mesh();
        service.get(MESH, &[]).header("etag").to_owned()
    });
    assert!(tags[0].len() == 34 && tags[0] == tags[1], "{tags:?}");
}

#[test]
fn a_tokens_file_lets_in_and_limits() {
    let folder = TempDir::new().unwrap();
    let manifests = folder.path().join("manifests");
    fs::create_dir(&manifests).unwrap();
    fs::write(manifests.join("a.yaml"), broker("a", "one") + "---\n" + &broker("b", "two")).unwrap();
    let line = |name: &str, token: &str, more: &str| {
        let digest = Sha256::digest(token).iter().map(|it| format!("{it:02x}")).collect::<Vec<_>>().concat();
        format!("{name}:{digest}{more}\n")
    };
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, format!("# who may ask\n\n{}{}", line("all", "t-all", ""), line("one", "t-one", ":one,three")))
        .unwrap();
    protect(&tokens, 0o600);
    let mut service =
        Service::start(&["--manifests", manifests.to_str().unwrap(), "--tokens-file", tokens.to_str().unwrap()]);
    service.token = "t-all".into();
    expect_brokers(&service, &["a", "b"]);
    service.token = "t-one".into();
    expect_brokers(&service, &["a"]);
    service.token = "t-new".into();
    assert_eq!(service.get(MESH, &[]).status, 401);

    fs::write(&tokens, line("new", "t-new", ":two")).unwrap();
    eventually("the new token", || (service.get(MESH, &[]).status == 200).then_some(()));
    expect_brokers(&service, &["b"]);
    service.token = "t-all".into();
    assert_eq!(service.get(MESH, &[]).status, 401, "what is taken out no longer counts");

    service.token = "t-new".into();
    fs::write(&tokens, "new:t-new\n").unwrap();
    make_fifo(&folder.path().join("fifo"));
    fs::rename(folder.path().join("fifo"), &tokens).unwrap();
    let told = format!("tokens file {} is not a regular file", tokens.display());
    eventually(&told, || service.log().contains(&told).then_some(()));
    assert_eq!(service.get(MESH, &[]).status, 200, "what was last read still counts");
    fs::remove_file(&tokens).unwrap();
    eventually("nobody", || (service.get(MESH, &[]).status == 401).then_some(()));
    fs::write(&tokens, "new:t-new\n").unwrap();
    service.signal("TERM");
    let (_, log) = service.ended();
    assert!(!log.contains("t-new") && !log.contains("t-all"), "no token in the log: {log}");
}

#[test]
fn told_to_end_it_finishes_what_is_under_way() {
    let service = Service::start(&["--manifests", &sample(), "--dev-token"]);
    service.mesh();
    let mut half = TcpStream::connect(&service.address).unwrap();
    write!(half, "GET {MESH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n", service.token).unwrap();
    let mut idle = TcpStream::connect(&service.address).unwrap();
    write!(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 401");
    service.signal("TERM");
    eventually("the door to close", || TcpStream::connect(&service.address).is_err().then_some(()));
    assert_eq!(service.admin("/livez").status, 200, "alive while it drains");
    assert_eq!(service.admin("/readyz").status, 503, "but to be sent no more");
    write!(half, "\r\n").unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("]}"), "{answer:.80}");
    let (status, log) = service.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_goes_on_for_those_who_have_not_heard_of_it() {
    let service = Service::start(&["--manifests", &sample(), "--dev-token", "--shutdown-delay", "1h"]);
    service.mesh();
    let mut caller = service.caller(&service.token);
    let before = caller.request(MESH, &[]).await.unwrap();
    assert_eq!((before.status().as_u16(), header(&before, "connection")), (200, ""));
    service.signal("TERM");
    eventually("the word to send no more", || (service.admin("/readyz").status == 503).then_some(()));
    assert_eq!(service.admin("/livez").status, 200);
    assert!(caller.is_connected(), "a connection ends after an answer, not before a question");
    let last = caller.request(MESH, &[]).await.unwrap();
    assert_eq!((last.status().as_u16(), header(&last, "connection")), (200, "close"));
    assert_eq!(service.get(MESH, &[]).status, 200, "who comes anew is answered as well");
    service.signal("TERM");
    let (status, log) = service.ended();
    assert_eq!(status.code(), Some(1), "who says it twice means it: {log}");
    assert!(log.contains("Told to end; answering for another 3600s") && log.contains("Told to end at once"), "{log}");

    let service = Service::start(&["--manifests", &sample(), "--dev-token", "--shutdown-delay", "10ms"]);
    service.signal("TERM");
    let (status, log) = service.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn those_who_run_it_are_told() {
    let service = Service::start(&["--manifests", &sample(), "--dev-token"]);
    service.mesh();
    assert_eq!(service.admin("/livez").body, "ok\n");
    assert_eq!(service.admin("/readyz").body, "ok\n");
    assert_eq!(service.admin("/nothing").status, 404);
    let openmetrics = get(&service.admin, "/metrics", &[("Accept", "application/openmetrics-text; version=1.0.0")]);
    assert_eq!(openmetrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(openmetrics.body.ends_with("# EOF\n"));
    let classic = service.admin("/metrics");
    assert_eq!(classic.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for metrics in [openmetrics, classic] {
        for line in [
            "eventmesh_complete 1",
            "eventmesh_manifest_problems 0",
            "eventmesh_objects{group=\"eventing.knative.dev\",kind=\"EventType\",origin=\"manifests\"} 13",
            "eventmesh_edges{kind=\"provides\",origin=\"manifests\"} 12",
            "eventmesh_diagnostics{code=\"dangling-reference\",severity=\"warning\"} 2",
            "eventmesh_http_requests_total{route=\"/v1/getEventMesh\",method=\"GET\",status=\"200\"} 1",
            "eventmesh_cache_entries{cache=\"views\"} 1",
            "eventmesh_cache_requests_total{cache=\"views\",result=\"miss\"} 1",
            "eventmesh_connections{server=\"admin\"} 1",
        ] {
            assert!(metrics.body.lines().any(|it| it == line), "{line} in {}", metrics.body);
        }
        assert!(metrics.body.contains("\neventmesh_build_info{version=\"0.1.0\",revision=\""), "{}", metrics.body);
        assert!(!metrics.body.contains(&service.token));
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_the_remedy() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, content: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        protect(&path, mode);
        path.to_str().unwrap().to_owned()
    };
    let hex = "0".repeat(64);
    let exposed = file("exposed", &format!("a:{hex}\n"), 0o604);
    let malformed = file("malformed", "# a\nname:secret-token\n", 0o600);
    let empty = file("empty", "# nobody\n", 0o600);
    let good = file("good", &format!("a:{hex}\n"), 0o640);
    let kubeconfig = file("kubeconfig", "apiVersion: v1\nkind: Config\n", 0o600);
    let garbled = file("garbled", "users:\n- name: x\n  user:\n    token: secret-token: x\n", 0o600);
    let user = "{name: x, user: {token: \"secret-token\\n\"}}";
    let cluster = "{name: x, cluster: {server: 'http://127.0.0.1:1'}}";
    let context = "{name: x, context: {cluster: x, user: x}}";
    let unsendable = format!("{{current-context: x, users: [{user}], clusters: [{cluster}], contexts: [{context}]}}");
    let unsendable = file("unsendable", &unsendable, 0o600);
    let sample = sample();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let serve = |more: &[&str]| {
        [&["serve", "--manifests", &sample, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], more]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let plain = |arguments: &[&str]| arguments.iter().map(ToString::to_string).collect::<Vec<_>>();
    let cases = [
        (plain(&[]), "Usage:"),
        (plain(&["serve", "--nonsense"]), "unexpected argument '--nonsense'"),
        (plain(&["serve", "--dev-token"]), "run in a cluster, or give --manifests DIR."),
        (plain(&["serve", "--dev-token", "--kubeconfig", "/nowhere"]), "the kubeconfig cannot be used"),
        (plain(&["serve", "--dev-token", "--kubeconfig", &kubeconfig, "--context", "x"]), "Give --kubeconfig FILE"),
        (plain(&["serve", "--dev-token", "--kubeconfig", &garbled]), "it is not one, or not YAML at line 4, column 24"),
        (plain(&["serve", "--dev-token", "--kubeconfig", &unsendable]), "the kubeconfig's token cannot be sent"),
        (plain(&["doctor"]), "Give --kubeconfig FILE or --context NAME, or run in a cluster."),
        (plain(&["doctor", "--kubeconfig", &garbled]), "it is not one, or not YAML at line 4, column 24"),
        (plain(&["doctor", "--service-account", "x"]), "such as `eventmesh-catalog/eventmesh-catalog`"),
        (
            serve(&["--dev-token", "--strict-audience"]),
            "--strict-audience: who callers are and what they may see is asked of a cluster, and --dev-token is given.\nLeave that out, or else",
        ),
        (serve(&["--tokens-file", &good, "--audience", "mine"]), "--audience mine: who callers are and"),
        (serve(&["--strict-audience", "--token-cache", "90s"]), "--strict-audience, --token-cache 90s: who callers"),
        (
            serve(&["--dev-token", "--authentication-config", "/nowhere"]),
            "--authentication-config /nowhere: who callers",
        ),
        (plain(&["serve", "--tokens-file", &good, "--token-cache", "10s"]), "--token-cache 10s: who callers are and"),
        (plain(&["serve", "--dev-token", "--strict-audience"]), "--strict-audience: who callers are and"),
        (plain(&["serve", "--token-cache", "6m"]), "--token-cache: 360 s is too long."),
        (serve(&["--dev-token", "--context", "kind"]), "--manifests and --context cannot be used with each other"),
        (serve(&["--dev-token", "--max-staleness", "soon"]), "give a time such as `1h` or `90s`"),
        (serve(&["--dev-token", "--max-staleness=-1s"]), "give a time such as `1h` or `90s`"),
        (
            plain(&["serve", "--manifests", "/nowhere", "--dev-token"]),
            "--manifests /nowhere: No such file or directory (os error 2).\nName a folder or file that is there.",
        ),
        (serve(&[]), "no authenticator is configured.\nGive --tokens-file FILE, or --dev-token"),
        (serve(&["--dev-token", "--tokens-file", &good]), "cannot be used with"),
        (
            plain(&["serve", "--manifests", &sample, "--listen", "0.0.0.0:0", "--dev-token"]),
            "--dev-token is for loopback addresses only",
        ),
        (
            plain(&["serve", "--manifests", &sample, "--listen", "nonsense", "--dev-token"]),
            "Give an address and a port, such as 127.0.0.1:8080.",
        ),
        (
            plain(&["serve", "--manifests", &sample, "--listen", &taken, "--dev-token"]),
            "Choose an address of this machine and a free port.",
        ),
        (serve(&["--tokens-file", "/nowhere"]), "tokens file /nowhere does not exist"),
        (serve(&["--tokens-file", folder.path().to_str().unwrap()]), "is not a regular file.\nMend the file"),
        (serve(&["--tokens-file", &exposed]), "has mode 604, so that others can read it; run `chmod o= "),
        (serve(&["--tokens-file", &malformed]), "line 2: the second field is not 64 hexadecimal digits"),
        (serve(&["--tokens-file", &empty]), "has no tokens, so that nobody could ask"),
        (serve(&["--dev-token", "--log", "a=b=c"]), "Give a level such as `info`"),
        (serve(&["--dev-token", "--log-format", "xml"]), "possible values: text, json"),
        (serve(&["--dev-token", "--backstage-label", "a b"]), "`a b` is not a label key"),
        (serve(&["--dev-token", "--default-namespace", ""]), "--default-namespace: `` is not the name of a namespace"),
        (serve(&["--dev-token", "--max-manifest-bytes", "many"]), "invalid value 'many'"),
        (plain(&["check"]), "Give --manifests DIR."),
        (plain(&["export", "--manifests", &sample, "--label-selector", "a b"]), "expected an operator"),
    ];
    for (arguments, message) in cases {
        let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(message), "{arguments:?}: {told}");
        assert!(!told.contains("secret-token"), "{told}");
    }
}

#[test]
fn what_is_said_by_the_environment_is_not_ignored_either() {
    let sample = sample();
    for (name, value, said) in [
        ("EVENTMESH_STRICT_AUDIENCE", "true", "--strict-audience: who callers are"),
        ("EVENTMESH_AUDIENCE", "eventmesh-catalog", "--audience eventmesh-catalog: who callers are"),
        ("EVENTMESH_TOKEN_CACHE", "1s", "--token-cache 1s: who callers are"),
    ] {
        let mut command = command(&["serve", "--manifests", &sample, "--dev-token", "--listen", "127.0.0.1:0"]);
        let output = command.env(name, value).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && told.contains(said), "{name}: {told}");
    }
    let help = String::from_utf8(run(&["serve", "--help"]).stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for default in ["[default: eventmesh-catalog]", "[default: 10s]"] {
        assert_eq!(help.matches(default).count(), 1, "{default} in {help}");
    }
}

#[test]
fn tokens_that_others_can_read_on_the_way_are_warned_of() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, format!("a:{}\n", "0".repeat(64))).unwrap();
    protect(&tokens, 0o600);
    let sample = sample();
    let arguments = ["--manifests", &sample, "--tokens-file", tokens.to_str().unwrap(), "--listen"];
    for (address, warns) in [("0.0.0.0:0", true), ("127.0.0.1:0", false), ("[::ffff:127.0.0.1]:0", false)] {
        let service = Service::start(&[&arguments[..], &[address]].concat());
        service.signal("TERM");
        let (_, log) = service.ended();
        assert_eq!(log.matches("Tokens can be read on the way to ").count(), usize::from(warns), "{address}: {log}");
    }
}

/// Starts it where the system lets so many files be open, as `ulimit` takes it.
fn with_files(limit: &str) -> Service {
    let mut shell = unconfigured("sh");
    shell.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]).arg(binary());
    Service::start_by(shell, &["--manifests", &sample(), "--dev-token"])
}

/// Connects so many times without a word, and waits until so many of them are served.
fn connected(service: &Service, count: usize, served: usize) -> Vec<TcpStream> {
    let silent = (0..count).map(|_| TcpStream::connect(&service.address).unwrap()).collect();
    let line = format!("eventmesh_connections{{server=\"api\"}} {served}\n");
    eventually(&line, || service.admin("/metrics").body.contains(&line).then_some(()));
    silent
}

#[test]
fn as_many_files_may_be_open_as_connections_need() {
    let service = with_files("-Sn 100");
    let silent = connected(&service, 200, 200);
    service.mesh();
    drop(silent);
    assert!(!service.log().contains("--max-connections"), "{}", service.log());
}

#[test]
fn where_few_files_may_be_open_connections_wait_and_probes_are_answered() {
    let service = with_files("-n 128");
    for told in [
        "No more than 32 connections are taken at once to each address, not 1024",
        "Raise its limit (`ulimit -Hn`; with systemd `LimitNOFILE`), or lower --max-connections",
    ] {
        eventually(told, || service.log().contains(told).then_some(()));
    }
    let silent = connected(&service, 100, 32);
    assert_eq!(service.admin("/livez").status, 200);
    assert!(service.admin("/metrics").body.contains("eventmesh_max_connections{server=\"api\"} 32\n"));
    drop(silent);
    service.mesh();
}

#[test]
fn check_says_what_is_wrong_for_people_and_for_programs() {
    let text = run(&["check", "--manifests", &sample()]);
    let found = String::from_utf8(text.stdout).unwrap();
    assert_eq!(text.status.code(), Some(1), "{found}");
    for code in ["dangling-reference", "subscriber-without-id", "unparsable-filter", "filter-matches-nothing"] {
        assert!(found.contains(&format!("[{code}]")), "{code} in {found}");
    }
    assert!(found.ends_with("1 error, 4 warnings in 7 files\n"), "{found}");

    let json = run(&["check", "--manifests", &sample(), "--format", "json", "--fail-on", "never"]);
    assert_eq!(json.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&report["errors"], &report["warnings"]), (&1.into(), &4.into()));
    let typo =
        report["diagnostics"].as_array().unwrap().iter().find(|it| it["code"] == "filter-matches-nothing").unwrap();
    assert_eq!(typo["object"]["name"], "remind-on-failed-payment");
    assert!(typo["file"].as_str().unwrap().ends_with("payments.yaml"));

    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.yaml"), broker("a", "n")).unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(run(&["check", "--manifests", path, "--fail-on", "warning"]).status.code(), Some(0));
    fs::write(folder.path().join("values.yaml"), "a: 1\n").unwrap();
    assert_eq!(run(&["check", "--manifests", path]).status.code(), Some(0));
    assert_eq!(run(&["check", "--manifests", path, "--fail-on", "warning"]).status.code(), Some(1));
    fs::write(folder.path().join("broken.yaml"), "a: [\n").unwrap();
    assert_eq!(run(&["check", "--manifests", path]).status.code(), Some(1));
}

#[cfg(unix)]
fn protect(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}
