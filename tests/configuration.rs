//! The configuration: a file, the environment and flags, and what is said of each that cannot work.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use eventmesh_catalog::config::reference;
use support::process::{Service, command, get, run};
use tempfile::TempDir;

/// What the binary says of a file, with other arguments.
fn said(subcommand: &str, file: &Path, arguments: &[&str]) -> Output {
    run(&[&["config", subcommand, "--config", file.to_str().unwrap()], arguments].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file of that text, among others that it may name.
fn written(folder: &TempDir, yaml: &str) -> std::path::PathBuf {
    let path = folder.path().join("config.yaml");
    fs::write(&path, yaml).unwrap();
    path
}

/// Each file, what is told of which line of it, and what to do. `FOLDER` stands for one that is there.
const REFUSED: &[(&str, &str, &str)] = &[
    // Keys.
    ("listn: x", ":1: listn: there is no such key", "Write `listen`"),
    ("# a\n\nmax-conections: 1", ":3: max-conections: there is no such key", "Write `max-connections`"),
    ("maxConnections: 1", ":1: maxConnections: there is no such key", "Write `max-connections`"),
    ("LISTEN: x", ":1: LISTEN: there is no such key", "config schema"),
    ("autentication: {jwt: []}", ":1: autentication", ""),
    ("something-else: 1", ":1: something-else: there is no such key", "Leave it out"),
    ("config: other.yaml", ":1: config: there is no such key", ""),
    ("help: true", ":1: help: there is no such key", ""),
    ("--listen: x", ":1: --listen: there is no such key", "Write `listen`"),
    ("? [a]\n: b", ":1: ", "one `key: value` a line"),
    ("listen: a:1\nlisten: b:2", "duplicate", "one `key: value` a line"),
    // Not a file of keys.
    ("- listen", ":1: ", "one `key: value` a line"),
    ("listen", ":1: ", "one `key: value` a line"),
    ("listen: [", ":1: ", "one `key: value` a line"),
    ("listen: 'x", "", "one `key: value` a line"),
    ("a: &a [*a]", "", ""),
    ("[listen]\nx = 1", "", "one `key: value` a line"),
    // Forms.
    ("listen: 8080", ":1: listen: it is of another form", "Write a text"),
    ("listen: true", ":1: listen: it is of another form", "Write a text"),
    ("listen: [a, b]", ":1: listen: it is of another form", "Write a text"),
    ("listen: {host: a}", ":1: listen: it is a table", "only `authentication` is a table"),
    ("listen:", ":1: listen: there is no value", "Give one, or leave the key out"),
    ("listen: ~", ":1: listen: there is no value", ""),
    ("max-connections: '10'", ":1: max-connections: it is of another form", "Write a whole number, without quotes"),
    ("max-connections: many", ":1: max-connections: it is of another form", "Write a whole number"),
    ("max-connections: 1.5", ":1: max-connections: 1.5 is no number from 0 on", "Give a whole number"),
    ("max-connections: -1", ":1: max-connections: -1 is no number from 0 on", "Give a whole number"),
    ("max-connections: true", ":1: max-connections: it is of another form", "Write a whole number"),
    ("strict-audience: 'true'", ":1: strict-audience: it is of another form", "Write `true` or `false`"),
    ("strict-audience: yes", ":1: strict-audience: it is of another form", "Write `true` or `false`"),
    ("strict-manifests: 1", ":1: strict-manifests: it is of another form", "Write `true` or `false`"),
    ("manifests: []", ":1: manifests: it is of another form", "a list of at least one"),
    ("manifests: [1]", ":1: manifests: an item of the list is no text", "Put items into quotes"),
    ("manifests: [[a]]", ":1: manifests: an item of the list is no text", ""),
    ("manifests: {a: b}", ":1: manifests: it is a table", ""),
    // Ranges and grammars.
    ("max-connections: 0", ":1: max-connections: 0 is not in 1..", "Mend that"),
    ("max-connections: 4294967296", ":1: max-connections: 4294967296 is not in", ""),
    ("max-manifest-bytes: 99999999999999999999", ":1: max-manifest-bytes: ", ""),
    ("max-staleness: soon", ":1: max-staleness: ", "such as `1h` or `90s`"),
    ("max-staleness: -1h", ":1: max-staleness: ", "such as `1h` or `90s`"),
    ("max-staleness: '60'", ":1: max-staleness: ", "such as `1h` or `90s`"),
    ("token-cache: 1 fortnight", ":1: token-cache: ", "such as `1h` or `90s`"),
    ("token-cache: 1h", "token-cache is at FILE:1", "Give at most 5m"),
    ("audience: ''", ":1: audience: it is empty", ""),
    ("log-format: xml", ":1: log-format: it is none of text, json", ""),
    ("listen: 127.0.0.1:0\nlog: a=b=c", "log is at FILE:2", "Give a level such as"),
    ("listen: nowhere", "listen is at FILE:1", "Give an address and a port"),
    ("listen: 127.0.0.1:99999", "listen is at FILE:1", "Give an address and a port"),
    ("admin-listen: ':'", "admin-listen is at FILE:1", "Give an address and a port"),
    (
        "default-namespace: A\nmanifests: FOLDER\ndev-token: true",
        "default-namespace is at FILE:1",
        "Use lower case letters",
    ),
    ("backstage-label: a b", "backstage-label is at FILE:1", "Use a key such as"),
    ("backstage-label: '!a'", "backstage-label is at FILE:1", "Use a key such as"),
    // What contradicts itself, or is of no use.
    ("manifests: FOLDER\nkubeconfig: x", "kubeconfig is at FILE:2, manifests is at FILE:1", "Leave one of them out"),
    ("manifests: FOLDER\n\ncontext: x", "context is at FILE:3, manifests is at FILE:1", "Leave one of them out"),
    ("tokens-file: x\ndev-token: true", "dev-token is at FILE:2, tokens-file is at FILE:1", "Leave one of them out"),
    ("manifests: FOLDER", "Nobody could ask", "--tokens-file FILE"),
    (
        "manifests: FOLDER\ndev-token: true\nlisten: 0.0.0.0:80",
        "dev-token is at FILE:2, listen is at FILE:3",
        "127.0.0.1",
    ),
    ("manifests: FOLDER\ndev-token: true\naudience: x", "audience is at FILE:3", "Leave that out"),
    ("dev-token: true\nstrict-audience: true", "strict-audience is at FILE:2", "Leave that out"),
    ("dev-token: true\ntoken-cache: 1s", "dev-token is at FILE:1, token-cache is at FILE:2", "Leave that out"),
    (
        "dev-token: true\nauthentication: {jwt: []}",
        "the key `authentication` of the configuration file",
        "Leave that out",
    ),
    ("tls-cert: FOLDER/c", "tls-cert is at FILE:1", "Give both"),
    ("tls-key: FOLDER/k", "tls-key is at FILE:1", "Give both"),
    ("tls-client-ca: FOLDER/c", "tls-client-ca is at FILE:1", "Give both"),
    // What is named and is not there.
    ("manifests: FOLDER/none\ndev-token: true", "manifests is at FILE:1", "Name a folder or file that is there"),
    ("authentication-config: FOLDER/none", "authentication-config is at FILE:1", "Mend the file"),
    // Tables.
    ("authentication: issuers", ":1: authentication: ", "Give `jwt`, the list of issuers"),
    ("authentication: {}", ":1: authentication: missing field `jwt`", "Give `jwt`"),
    ("authentication: {jwt: [], kind: x}", ":1: authentication: unknown field `kind`", "and nothing else"),
    ("authentication: {jwt: [{}]}", "FILE:1: authentication: missing field `issuer`.", "Mend the table"),
    ("log: info\nauthentication:\n  jwt:\n", "authentication: invalid type: null", "Give `jwt`"),
    ("authentication: {jwt: [x]}", "authentication: invalid type: string", "Give `jwt`"),
    (
        "listen: 127.0.0.1:5\nadmin-listen: 127.0.0.1:5",
        "admin-listen is at FILE:2, listen is at FILE:1",
        "different ports",
    ),
    ("tls-cert: FOLDER/c\ntls-key: FOLDER/k", "FOLDER/", ""),
    ("tokens-file: FOLDER/none\nmanifests: FOLDER", "FOLDER/none", "Mend the file"),
    ("authentication: {jwt: []}\nauthentication-config: x", "authentication-config is at FILE:2", ""),
    // What everybody may write; `FOLDER/open` is such a file.
    ("authentication-config: FOLDER/open", "--authentication-config FOLDER/open: everybody may write it", "`chmod o-w"),
    ("tls-cert: FOLDER/open\ntls-key: FOLDER/open", "--tls-cert FOLDER/open: everybody may write it", "`chmod o-w"),
    ("tls-cert: FOLDER/closed\ntls-key: FOLDER/open", "--tls-key FOLDER/open: everybody may write it", "`chmod o-w"),
    ("tokens-file: FOLDER/open", "tokens file FOLDER/open has mode 666", "`chmod o="),
];

/// Each variable with a value, what is told of it, and what to do.
const REFUSED_VARIABLES: &[(&str, &str, &str, &str)] = &[
    ("CONFIG", "", "EVENTMESH_CONFIG: it is empty", "unset the variable"),
    ("MANIFESTS", "", "EVENTMESH_MANIFESTS: it is empty", "unset the variable"),
    ("MAX_CONNECTIONS", "", "EVENTMESH_MAX_CONNECTIONS: cannot parse integer from empty string", "unset the variable"),
    ("MAX_CONNECTIONS", "0", "EVENTMESH_MAX_CONNECTIONS: 0 is not in 1..", "Mend that"),
    ("STRICT_AUDIENCE", "", "EVENTMESH_STRICT_AUDIENCE: ", "unset the variable"),
    ("LOG_FORMAT", "xml", "EVENTMESH_LOG_FORMAT: it is none of text, json", "Mend that"),
    ("MAX_STALENESS", "soon", "EVENTMESH_MAX_STALENESS: ", "such as `1h` or `90s`"),
    ("AUDIENCE", "", "EVENTMESH_AUDIENCE: it is empty", "unset the variable"),
    ("LISTEN", "", "listen is what EVENTMESH_LISTEN says", "Give an address and a port"),
    ("TLS_KEY", "x", "tls-key is what EVENTMESH_TLS_KEY says", "Give both"),
];

#[test]
fn what_the_environment_says_is_told_by_the_name_of_the_variable() {
    for (variable, value, what, remedy) in REFUSED_VARIABLES {
        let mut check = command(&["config", "check"]);
        let output = check.env(format!("EVENTMESH_{variable}"), value).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{variable}: {told}");
        assert!(told.contains(what) && told.contains(remedy), "{variable}: {told}");
    }
    // A flag that counts for more is told as a flag.
    let mut check = command(&["config", "check", "--max-connections=many"]);
    let told = text(&check.env("EVENTMESH_MAX_CONNECTIONS", "").output().unwrap().stderr);
    assert!(told.contains("invalid value 'many' for '--max-connections"), "{told}");
}

#[test]
fn the_schema_has_the_range_of_every_number() {
    let folder = TempDir::new().unwrap();
    let schema = reference::schema();
    let numbers = schema["properties"].as_object().unwrap().iter().filter(|(_, it)| it["type"] == "integer");
    // Some are of use only where traces are made.
    let traces = "otlp-endpoint: http://localhost:4318\n";
    let mut count = 0;
    for (key, property) in numbers {
        let [least, most] = ["minimum", "maximum"].map(|it| property[it].as_u64().unwrap());
        let beyond = [least.checked_sub(1), most.checked_add(1)].into_iter().flatten();
        for (value, is_fine) in [(least, true), (most, true)].into_iter().chain(beyond.map(|it| (it, false))) {
            let output = said("check", &written(&folder, &format!("{key}: {value}\n{traces}")), &[]);
            let told = text(&output.stderr);
            assert_eq!(output.status.success(), is_fine, "{key}: {value}: {told}");
            assert!(is_fine || told.contains(&format!("{key}: {value} is not in ")), "{told}");
        }
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn as_a_plugin_of_kubectl_it_is_one() {
    let folder = TempDir::new().unwrap();
    let name = folder.path().join("kubectl-eventmesh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_eventmesh-catalog"), &name).unwrap();
    let plugin = |arguments: &[&str]| {
        let output = std::process::Command::new(&name).args(arguments).env_clear().output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, told) = plugin(&["--help"]);
    assert!(code == Some(0) && told.contains("Usage: kubectl eventmesh [OPTIONS] <COMMAND>\n"), "{told}");
    let commands = told.split("Commands:\n").nth(1).and_then(|it| it.split("\n\n").next()).unwrap_or_default();
    let commands: Vec<_> = commands.lines().filter_map(|it| it.split_whitespace().next()).collect();
    assert_eq!(commands, ["check", "export", "doctor", "help"]);
    let (_, told) = plugin(&["export", "--help"]);
    for what in ["Usage: kubectl eventmesh export [OPTIONS]\n", "--context", "--kubeconfig", "-n, --namespace"] {
        assert!(told.contains(what), "{what}: {told}");
    }
    let nothing = folder.path().to_str().unwrap();
    for (arguments, what, remedy) in [
        (&["serve"][..], "unrecognized subcommand 'serve'", "Usage: kubectl eventmesh"),
        (&["export"], "no cluster is configured", "Give --kubeconfig FILE or --context NAME"),
        (&["export", "--context", "none"], "the kubeconfig cannot be used", "Give --kubeconfig FILE"),
        (&["export", "--manifests", nothing, "--context", "a"], "--manifests and --context", "Leave one of them out"),
        (&["export", "--manifests", nothing, "--within", "a"], "--within says how a cluster is read", "Leave one"),
        (&["export", "--within", "A"], "--within: `A` is not the name of a namespace", "Use lower case letters"),
    ] {
        let (code, told) = plugin(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {told}");
        assert!(told.contains(what) && told.contains(remedy), "{arguments:?}: {told}");
    }
}

#[test]
fn what_cannot_work_is_told_with_its_place_and_its_remedy() {
    assert!(REFUSED.len() >= 60);
    let folder = TempDir::new().unwrap();
    for (name, mode) in [("open", 0o666), ("closed", 0o600)] {
        fs::write(folder.path().join(name), "").unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let named = |text: &str| text.replace("FOLDER", folder.path().to_str().unwrap());
    for (yaml, what, remedy) in REFUSED {
        let file = written(&folder, &named(yaml));
        let output = said("check", &file, &[]);
        let told = text(&output.stderr);
        let what = named(&what.replace("FILE", file.to_str().unwrap()));
        assert_eq!(output.status.code(), Some(2), "{yaml}: {told}");
        assert!(told.contains(&what) && told.contains(remedy), "{yaml}: {told}");
        assert!(told.starts_with("error: ") && !told.contains("panicked"), "{yaml}: {told}");
    }
}

#[test]
fn a_file_that_cannot_be_trusted_is_not_read() {
    let folder = TempDir::new().unwrap();
    let file = written(&folder, "listen: 127.0.0.1:0\n");
    let refused = |path: &Path, what: &str| {
        let output = said("check", path, &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(what) && told.contains("Name a file of YAML"), "{told}");
    };
    assert!(said("check", &file, &[]).status.success());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    refused(&file, "everybody may write it");
    refused(folder.path(), "it is no file");
    refused(&folder.path().join("none"), "No such file");
    let large = folder.path().join("large.yaml");
    fs::write(&large, "#".repeat((1 << 20) + 1)).unwrap();
    refused(&large, "it is larger than 1048576 bytes");
    let binary = folder.path().join("binary.yaml");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    refused(&binary, "UTF-8");
}

#[test]
fn flags_count_for_more_than_the_environment_and_that_for_more_than_the_file() {
    let folder = TempDir::new().unwrap();
    let file = written(
        &folder,
        "listen: 127.0.0.1:1\nadmin-listen: 127.0.0.1:2\nmax-connections: 3\nstrict-audience: true\naudience: 'true'\n\
         log: debug\nauthentication: {jwt: []}\nbackstage-label: x\n",
    );
    let path = file.to_str().unwrap();
    let mut show = command(&["config", "show", "--max-connections", "30", "--strict-audience=false"]);
    show.env("EVENTMESH_CONFIG", path)
        .env("EVENTMESH_MAX_CONNECTIONS", "20")
        .env("EVENTMESH_ADMIN_LISTEN", "127.0.0.1:20");
    let shown = text(&show.output().unwrap().stdout);
    let line = |key: &str| shown.lines().find(|it| it.starts_with(&format!("{key}: "))).unwrap_or_default().to_owned();
    assert_eq!(line("listen"), format!("listen: \"127.0.0.1:1\" # {path}:1"));
    assert_eq!(line("admin-listen"), "admin-listen: \"127.0.0.1:20\" # environment EVENTMESH_ADMIN_LISTEN");
    assert_eq!(line("max-connections"), "max-connections: 30 # flag --max-connections");
    assert_eq!(line("strict-audience"), "strict-audience: false # flag --strict-audience");
    assert_eq!(line("log"), format!("log: debug # {path}:6"));
    assert_eq!(line("authentication"), format!("authentication: {{\"jwt\":[]}} # {path}:7"));
    assert!(shown.contains("\n# tokens-file: not given\n"), "{shown}");
    assert_eq!(line("max-staleness"), "max-staleness: \"1h\" # default");
    // What is shown is a file that says the same.
    let again = written(&folder, &shown);
    let same = text(&said("show", &again, &[]).stdout);
    let values = |shown: &str| shown.lines().map(|it| it.split(" # ").next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(values(&same), values(&shown));
}

#[test]
fn a_service_starts_with_a_file() {
    let folder = TempDir::new().unwrap();
    let mesh = folder.path().join("mesh");
    fs::create_dir(&mesh).unwrap();
    let file = written(&folder, &format!("manifests: {}\nmax-connections: 7\nlog-format: json\n", mesh.display()));
    let service = Service::start(&["--config", file.to_str().unwrap(), "--dev-token"]);
    assert_eq!(get(&service.address, "/v1/getEventMesh", &[]).status, 401);
    assert!(service.mesh().brokers.is_empty());
    assert!(service.log().starts_with('{'), "{}", service.log());
}

#[test]
fn issuers_can_be_in_the_file() {
    let folder = TempDir::new().unwrap();
    let file = written(
        &folder,
        r#"
authentication:
  jwt:
  - issuer: { url: "https://dex.example.com", audiences: [eventmesh-catalog] }
    claimMappings: { username: { claim: email, prefix: "dex:" } }
"#,
    );
    let output = said("check", &file, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn schema_and_page_are_those_that_are_committed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    assert!(committed("docs/configuration.md") == reference::page(), "run `make docs`");
    let schema = serde_json::to_string_pretty(&reference::schema()).unwrap() + "\n";
    assert!(committed("config/schema.json") == schema, "run `make docs`");
    assert_eq!(text(&run(&["config", "schema"]).stdout), schema);
    let properties = reference::schema()["properties"].as_object().unwrap().clone();
    assert!(["listen", "max-staleness", "authentication"].iter().all(|it| properties.contains_key(*it)));
}

#[test]
fn commands_are_completed_and_described() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = text(&run(&["completions", shell]).stdout);
        assert!(script.contains("eventmesh-catalog") && script.contains("max-staleness"), "{shell}");
    }
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, run(&["completions", "bash"]).stdout).unwrap();
    assert!(std::process::Command::new("bash").arg("-n").arg(&script).status().unwrap().success());
    let page = text(&run(&["man"]).stdout);
    assert!(page.contains(".TH eventmesh-catalog 1") && page.contains("serve"), "{page}");
}
