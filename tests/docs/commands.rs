//! The commands of the documentation, run as a reader runs them.
//!
//! Each block of `sh` of a page is run, in order and in one shell, in a folder that holds `config` as the repository does,
//! with a kubeconfig of a cluster of the test's own. The word after `sh` in a fence says otherwise: `by-hand` is not run,
//! as it takes what a test does not have, and `exit=N` ends with N. A block `text output` or `json output` says what the
//! block before it prints: lines in this order, with any others between; a value within the JSON. `…` is anything.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use serde_json::Value;

use super::chart;
use crate::support::cluster::Cluster;
use crate::support::cluster::server::free_port;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// What parts the blocks in what a page prints.
const MARK: &str = "\u{1e}";
/// What pages use beside `kubectl` and `helm`.
const TOOLS: [&str; 3] = ["curl", "jq", "openssl"];
/// What pages listen on, and nobody can rely on while other tests run.
const PORTS: [&str; 2] = ["8080", "8081"];

/// What a reader runs, and what is promised of it.
#[derive(Debug)]
struct Step {
    line: usize,
    commands: String,
    code: i32,
    output: Option<Output>,
}

#[derive(Debug)]
enum Output {
    Text(String),
    Json(String),
}

impl Output {
    /// What is promised and not printed.
    fn missing_in(&self, printed: &str, with_ports: impl Fn(&str) -> String) -> Option<String> {
        match self {
            Self::Text(expected) => missing(&with_ports(expected), printed).map(str::to_owned),
            Self::Json(expected) => {
                let expected: Value = serde_json::from_str(&with_ports(expected)).unwrap();
                let values = serde_json::Deserializer::from_str(printed).into_iter::<Value>();
                let is_there = values.map_while(Result::ok).any(|it| contains(&it, &expected));
                (!is_there).then(|| format!("{expected:#}"))
            }
        }
    }
}

/// The steps of a page.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = vec![];
    let mut fence: Option<(String, usize)> = None;
    let mut text = String::new();
    for (event, range) in Parser::new(page).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let line = page[..range.start].lines().count() + 1;
                fence = Some((info.to_string(), line));
                text.clear();
            }
            Event::Text(more) if fence.is_some() => text.push_str(&more),
            Event::End(TagEnd::CodeBlock) => {
                let Some((info, line)) = fence.take() else { continue };
                let commands = text.clone();
                match info.split([' ', ',']).collect::<Vec<_>>()[..] {
                    ["sh"] => steps.push(Step { line, commands, code: 0, output: None }),
                    ["sh", "by-hand"] => (),
                    ["sh", exit] => {
                        let code = exit.strip_prefix("exit=").and_then(|it| it.parse().ok());
                        let code = code.unwrap_or_else(|| panic!("line {line}: what is `{info}`?"));
                        steps.push(Step { line, commands, code, output: None });
                    }
                    [language, "output"] => {
                        let step = steps.last_mut().filter(|it| it.output.is_none());
                        let step = step.unwrap_or_else(|| panic!("line {line}: output of nothing"));
                        step.output =
                            Some(if language == "json" { Output::Json(commands) } else { Output::Text(commands) });
                    }
                    _ => (),
                }
            }
            _ => (),
        }
    }
    steps
}

/// All of a page as one script.
fn script(steps: &[Step]) -> String {
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n");
    for Step { line, commands, code, .. } in steps {
        let commands = commands.trim_end();
        let _ = match code {
            0 => writeln!(script, "{commands}"),
            code => writeln!(
                script,
                "code=0; {{ {commands}\n}} || code=$?; [ $code = {code} ] || {{ echo \"it ended with $code\"; exit 1; }}"
            ),
        };
        let _ = writeln!(script, "printf '\\n{MARK}{line}\\n'");
    }
    script
}

/// Whether a line is as it is expected, where `…` is anything.
fn is_like(line: &str, expected: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// The first line that is expected and does not come.
fn missing<'a>(expected: &'a str, output: &str) -> Option<&'a str> {
    let mut lines = output.lines().map(str::trim_end);
    let mut expected = expected.lines().map(str::trim_end).filter(|it| !it.is_empty() && *it != "…");
    expected.find(|it| !lines.any(|line| is_like(line, it)))
}

/// Whether a value says all that is expected.
fn says(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Object(fields), Value::Object(expected)) => {
            expected.iter().all(|(key, expected)| fields.get(key).is_some_and(|it| says(it, expected)))
        }
        (Value::Array(items), Value::Array(expected)) => {
            items.len() == expected.len() && items.iter().zip(expected).all(|(it, expected)| says(it, expected))
        }
        (Value::String(text), Value::String(expected)) => is_like(text, expected),
        _ => value == expected,
    }
}

/// Whether a value, or one within it, does.
fn contains(value: &Value, expected: &Value) -> bool {
    let within = match value {
        Value::Object(fields) => fields.values().any(|it| contains(it, expected)),
        Value::Array(items) => items.iter().any(|it| contains(it, expected)),
        _ => false,
    };
    within || says(value, expected)
}

/// A shell as a reader has it, but for where things listen.
fn shell(folder: &Path, ports: &[String; 2], cluster: &Cluster) -> Command {
    let programs = [Path::new(env!("CARGO_BIN_EXE_eventmesh-catalog")), chart::program()];
    let programs = programs.into_iter().filter_map(Path::parent).map(Path::to_owned);
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(programs.chain(std::env::split_paths(&others))).unwrap();
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("EVENTMESH_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).env("PATH", path).env("HOME", folder).env("KUBECONFIG", cluster.kubeconfig());
    let [listen, admin] = ports;
    command.env("EVENTMESH_LISTEN", format!("127.0.0.1:{listen}"));
    command.env("EVENTMESH_ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
    // The log of a server would be between what its callers print.
    command.env("EVENTMESH_LOG", "off");
    command
}

/// Runs a page, and says what is not as it is written there.
fn run(page: &Path, cluster: &Cluster) -> Result<(), String> {
    let steps = steps(&fs::read_to_string(page).unwrap());
    if steps.is_empty() {
        return Ok(());
    }
    let folder = tempfile::TempDir::new().unwrap();
    let within = |name: &str| folder.path().join(name);
    symlink(Path::new(REPOSITORY).join("config"), within("config")).unwrap();
    let ports = PORTS.map(|_| free_port().to_string());
    let with_ports = |text: &str| PORTS.iter().zip(&ports).fold(text.to_owned(), |text, (of, is)| text.replace(of, is));
    fs::write(within("script"), with_ports(&script(&steps))).unwrap();
    let printed = fs::File::create(within("printed")).unwrap();
    let mut shell = shell(folder.path(), &ports, cluster);
    shell.arg("script").stdin(Stdio::null()).stdout(printed.try_clone().unwrap()).stderr(printed);
    let status = shell.status().expect("this test needs bash");

    let printed = fs::read_to_string(within("printed")).unwrap();
    let mut rest = &*printed;
    for Step { line, commands, output, .. } in &steps {
        let mark = format!("\n{MARK}{line}\n");
        let (printed, after) = rest.split_once(&mark).unwrap_or((rest, ""));
        let fault = if printed.len() == rest.len() {
            Some(format!("the shell ended with {status}"))
        } else {
            output
                .as_ref()
                .and_then(|it| it.missing_in(printed, with_ports))
                .map(|it| format!("this is not printed: {it}"))
        };
        if let Some(fault) = fault {
            let place = format!("{}:{line}", page.display());
            return Err(format!("{place}: {fault}\n--- run:\n{commands}--- printed:\n{printed}"));
        }
        rest = after;
    }
    if status.success() { Ok(()) } else { Err(format!("{}: the shell ended with {status}:\n{rest}", page.display())) }
}

#[test]
fn what_is_promised_is_looked_for() {
    for (line, expected, is_it) in [
        ("a b c", "a b c", true),
        ("a b c", "a b", false),
        ("a b c", "a…", true),
        ("a b c", "…c", true),
        ("a b c", "a…c", true),
        ("a b c", "a…b", false),
        ("a b c", "…b…", true),
        ("a b c", "…d…", false),
        ("a", "a…a", false),
    ] {
        assert_eq!(is_like(line, expected), is_it, "{line} as {expected}");
    }
    assert_eq!(missing("b\n…\nd\n", "a\nb\nc\nd\n"), None);
    assert_eq!(missing("d\nb\n", "a\nb\nc\nd\n"), Some("b"), "in this order");
    let printed = serde_json::json!({"list": [{"name": "a", "of": {"kind": "B", "uid": "1"}}]});
    for (expected, is_it) in [
        (serde_json::json!({"of": {"kind": "B"}}), true),
        (serde_json::json!({"of": {"kind": "C"}}), false),
        (serde_json::json!({"kind": "…", "uid": "1"}), true),
        (serde_json::json!([{"name": "a"}]), true),
        (serde_json::json!([]), false),
    ] {
        assert_eq!(contains(&printed, &expected), is_it, "{expected}");
    }
}

#[test]
fn a_page_is_taken_apart() {
    let page = "```sh\na\n```\n\n```text output\nb\n```\n\n```sh by-hand\nc\n```\n\n```sh exit=2\nd\n```\n";
    let steps = steps(page);
    let told: Vec<_> = steps.iter().map(|it| (it.line, &*it.commands, it.code, it.output.is_some())).collect();
    assert_eq!(told, [(1, "a\n", 0, true), (13, "d\n", 2, false)]);
}

/// Tools that are not there. What did not run must be seen, past the capture of the test runner.
fn lacks_tools() -> bool {
    let is_there = |tool: &&str| {
        let look = format!("command -v {tool}");
        Command::new("bash").args(["-c", &look]).stdout(Stdio::null()).status().is_ok_and(|it| it.success())
    };
    let missing: Vec<_> = TOOLS.into_iter().filter(|it| !is_there(it)).collect();
    if !missing.is_empty() {
        let lack = format!("the commands of the documentation need {}", missing.join(", "));
        assert!(std::env::var_os("CI").is_none_or(|it| it != "true"), "{lack}");
        let _ = writeln!(std::io::stderr(), "NOT RUN: {lack}");
    }
    !missing.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pages_say_can_be_run() {
    if lacks_tools() {
        return;
    }
    let cluster = Cluster::start().await;
    if cluster.is_external() {
        let _ = writeln!(
            std::io::stderr(),
            "NOT RUN: the commands of the documentation, which want a cluster of their own"
        );
        return;
    }
    // In the order of the book, so that it can be followed from its beginning; that all pages are in it is tested elsewhere.
    let docs = Path::new(REPOSITORY).join("docs");
    let contents = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let pages = Parser::new(&contents).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => Some(docs.join(&*dest_url)),
        _ => None,
    });
    let pages = pages.chain([Path::new(REPOSITORY).join("README.md")]);
    let failures: Vec<_> = pages.filter_map(|page| run(&page, &cluster).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
