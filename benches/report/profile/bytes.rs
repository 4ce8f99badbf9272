//! Where bytes go, as heaptrack sees it, from Debian.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::TOP;
use crate::support::process::Service;

/// What is loaded before everything else into a program that is looked at, and what finds names for what it wrote.
const PRELOADED: &str = "/usr/lib/heaptrack/libheaptrack_preload.so";
const INTERPRETER: &str = "/usr/lib/heaptrack/libexec/heaptrack_interpret";
/// Names a binary that takes its memory from the allocator of the system.
const BINARY: &str = "EVENTMESH_HEAP_BINARY";
/// How long after the work it is looked.
const SETTLED: Duration = Duration::from_secs(2);
const OURS: &str = "eventmesh_catalog";

/// The functions of a service that asked for the most of the bytes that it holds after some work, with how many.
pub fn live_after(
    folder: &Path,
    arguments: &[&str],
    work: impl FnOnce(&Service),
) -> Result<Vec<(String, String)>, String> {
    if !Path::new(PRELOADED).exists() {
        return Err("heaptrack cannot be started (apt-get install heaptrack)".into());
    }
    let binary = std::env::var_os(BINARY).ok_or_else(|| format!("{BINARY} is not set (see `make bench-profile`)"))?;
    let raw = folder.join("heap");
    let mut command = Command::new(binary);
    command.env_clear().env("LD_PRELOAD", PRELOADED).env("DUMP_HEAPTRACK_OUTPUT", &raw);
    let service = Service::start_by(command, arguments);
    work(&service);
    thread::sleep(SETTLED);
    // It is killed, so what it holds is never given back.
    drop(service);
    let stacks = stacks(folder, &raw)?;
    let mut by_function = BTreeMap::<String, u64>::new();
    for line in stacks.lines() {
        let (stack, bytes) = line.rsplit_once(' ').ok_or_else(|| format!("not a stack: {line}"))?;
        let bytes: u64 = bytes.parse().map_err(|error| format!("{line}: {error}"))?;
        *by_function.entry(function(stack)).or_default() += bytes;
    }
    let all: u64 = by_function.values().sum();
    if all == 0 {
        return Err("heaptrack saw nothing".into());
    }
    let mut lines: Vec<_> = by_function.into_iter().collect();
    lines.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let told = lines.into_iter().take(TOP).map(|(function, bytes)| (mebibytes(bytes), function));
    Ok([(mebibytes(all), "all".to_owned())].into_iter().chain(told).collect())
}

/// One stack a line, outermost function first, with the bytes that are held through it.
fn stacks(folder: &Path, raw: &Path) -> Result<String, String> {
    let [named, stacks] = ["heap.named", "heap.stacks"].map(|it| folder.join(it));
    let open =
        |path: &PathBuf, file: std::io::Result<File>| file.map_err(|error| format!("{}: {error}", path.display()));
    let mut interpret = Command::new(INTERPRETER);
    interpret.stdin(open(&raw.to_owned(), File::open(raw))?).stdout(open(&named, File::create(&named))?);
    run(interpret.stderr(Stdio::null()))?;
    let mut print = Command::new("heaptrack_print");
    print.args(["--flamegraph-cost-type", "leaked", "--disable-builtin-suppressions", "--print-flamegraph"]);
    print.arg(&stacks).arg("--file").arg(&named).stdout(Stdio::null()).stderr(Stdio::null());
    run(&mut print)?;
    fs::read_to_string(&stacks).map_err(|error| format!("{}: {error}", stacks.display()))
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

/// The innermost function of ours, or else the innermost that has a name.
fn function(stack: &str) -> String {
    let frames = || stack.split(';').rev().filter(|it| !it.is_empty() && !it.starts_with("0x"));
    let ours = frames().find(|it| it.starts_with(OURS) || it.starts_with(&format!("<{OURS}")));
    ours.or_else(|| frames().next()).unwrap_or("unknown").replace(&format!("{OURS}::"), "")
}

#[expect(clippy::cast_precision_loss, reason = "no more than tebibytes")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
