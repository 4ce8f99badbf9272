//! What this was measured on, and with.

use std::process::Command;
use std::thread;

use super::nginx::Nginx;

/// What is known before anything runs.
pub fn versions() -> Vec<(&'static str, String)> {
    let service = format!("{} ({})", env!("CARGO_PKG_VERSION"), commit().unwrap_or_else(|| "no commit".into()));
    let unknown = || "not there".to_owned();
    vec![
        ("eventmesh-catalog", service),
        ("rustc", first_line("rustc", &["--version"]).unwrap_or_else(unknown)),
        ("kernel", first_line("uname", &["-sr"]).unwrap_or_else(unknown)),
        ("nginx", Nginx::version().unwrap_or_else(unknown)),
        ("curl", first_line("curl", &["--version"]).unwrap_or_else(unknown)),
        ("etcd", etcd().unwrap_or_else(unknown)),
    ]
}

/// The commit, and whether anything differs from it beside the report, which is being written.
fn commit() -> Option<String> {
    let commit = first_line("git", &["rev-parse", "--short=12", "HEAD"])?;
    let written = [":!benches/REPORT.md", ":!benches/report.json", ":!benches/charts"];
    let differs = first_line("git", &[&["status", "--porcelain", "--", "."], &written[..]].concat()).is_some();
    Some(commit + if differs { "-dirty" } else { "" })
}

/// Processors and memory.
pub fn kind() -> String {
    let processors = thread::available_parallelism().map_or(0, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|it| it.trim_end_matches(" kB").parse::<usize>().ok());
    let memory = memory.map_or_else(String::new, |it| format!(", {} GiB of memory", it >> 20));
    let is_virtual = std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|it| it.contains(" hypervisor"));
    let place = if is_virtual { " of a virtual machine" } else { "" };
    format!("{processors} processors ({model}){place}{memory}")
}

/// How many wanted to compute, in the last one, five and fifteen minutes.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

pub fn date() -> String {
    first_line("date", &["--utc", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default()
}

/// The version that the API server of the tests is built with, or that of the program of a folder.
fn etcd() -> Option<String> {
    if let Ok(folder) = std::env::var("KUBEBUILDER_ASSETS") {
        return first_line(&format!("{folder}/etcd"), &["--version"]);
    }
    let modules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kube-apiserver/go.mod")).ok()?;
    let line = modules.lines().find(|it| it.contains("go.etcd.io/etcd/server/v3 "))?;
    Some(line.split_whitespace().nth(1)?.to_owned())
}

fn field(file: &str, name: &str) -> Option<String> {
    let content = std::fs::read_to_string(file).ok()?;
    let value = content.lines().find_map(|it| it.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let told = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    told.lines().next().map(ToOwned::to_owned)
}
