//! Where bytes go, as heaptrack sees it, from Debian.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
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
    let by_function = read(&raw)?.by_function();
    let all: u64 = by_function.values().sum();
    if all == 0 {
        return Err("heaptrack saw nothing".into());
    }
    let mut lines: Vec<_> = by_function.into_iter().collect();
    lines.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let told = lines.into_iter().take(TOP).map(|(function, bytes)| (mebibytes(bytes), function));
    Ok([(mebibytes(all), "all".to_owned())].into_iter().chain(told).collect())
}

fn read(raw: &Path) -> Result<Heap, String> {
    let told = |error: std::io::Error| format!("{}: {error}", raw.display());
    let mut interpret = Command::new(INTERPRETER);
    interpret.stdin(File::open(raw).map_err(told)?).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut interpret = interpret.spawn().map_err(|error| format!("{INTERPRETER}: {error}"))?;
    let mut heap = Heap::default();
    for line in BufReader::new(interpret.stdout.take().expect("what it says")).lines() {
        let line = line.map_err(told)?;
        heap.note(&line).ok_or_else(|| format!("heaptrack says {line}"))?;
    }
    let status = interpret.wait().map_err(told)?;
    if status.success() { Ok(heap) } else { Err(format!("{INTERPRETER}: {status}")) }
}

/// What heaptrack wrote: numbers in hexadecimal, that are places in what came before.
#[derive(Default)]
struct Heap {
    /// Places are counted from one here and in the next two; zero is none.
    strings: Vec<String>,
    /// Function and file of each, the innermost first: what was inlined there, and where.
    instructions: Vec<Vec<(usize, usize)>>,
    /// The instruction, and what called it.
    traces: Vec<(usize, usize)>,
    /// The size, the trace, and how many there are.
    allocations: Vec<(u64, usize, u64)>,
}

impl Heap {
    /// Takes up a line; nothing where it is not one of heaptrack.
    fn note(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        if kind == "s" {
            let (_, text) = rest.split_once(' ').unwrap_or_default();
            self.strings.push(text.to_owned());
            return Some(());
        }
        if !matches!(kind, "i" | "t" | "a" | "+" | "-") {
            return Some(());
        }
        let numbers: Option<Vec<_>> = rest.split(' ').map(|it| u64::from_str_radix(it, 16).ok()).collect();
        let numbers = numbers?;
        let place = |at: usize| numbers.get(at).and_then(|it| usize::try_from(*it).ok());
        match kind {
            "i" => {
                // Behind the address and the module: function, file and line of each.
                let frames = (2..numbers.len()).step_by(3).map_while(|at| Some((place(at)?, place(at + 1)?)));
                self.instructions.push(frames.collect());
            }
            "t" => self.traces.push((place(0)?, place(1)?)),
            "a" => self.allocations.push((*numbers.first()?, place(1)?, 0)),
            "+" => self.allocations.get_mut(place(0)?)?.2 += 1,
            _ => self.allocations.get_mut(place(0)?)?.2 -= 1,
        }
        Some(())
    }

    /// What is held, by the innermost function of ours that asked for it.
    fn by_function(&self) -> BTreeMap<String, u64> {
        let mut by_function = BTreeMap::new();
        let mut known = HashMap::new();
        for (size, trace, count) in self.allocations.iter().filter(|it| it.2 > 0) {
            let function = known.entry(*trace).or_insert_with(|| self.function(*trace));
            *by_function.entry(function.clone()).or_default() += size * count;
        }
        by_function
    }

    fn function(&self, mut trace: usize) -> String {
        while let Some((instruction, caller)) = at(&self.traces, trace) {
            for (function, file) in at(&self.instructions, *instruction).into_iter().flatten() {
                let text = |place: &usize| at(&self.strings, *place).map_or("", String::as_str);
                if let Some(file) = own(text(file)) {
                    return format!("{} ({file})", named(text(function)));
                }
            }
            trace = *caller;
        }
        "what is not ours".to_owned()
    }
}

/// What is at a place that is counted from one.
fn at<T>(all: &[T], place: usize) -> Option<&T> {
    all.get(place.checked_sub(1)?)
}

/// A file of the service, as it is called in its repository. Those of libraries may have such names, too.
fn own(file: &str) -> Option<&str> {
    let root = env!("CARGO_MANIFEST_DIR");
    let file = file.strip_prefix(root).map_or(file, |it| it.trim_start_matches('/'));
    (file.starts_with("src/") && Path::new(root).join(file).exists()).then_some(file)
}

/// Without what it was made for.
fn named(function: &str) -> String {
    let name = if function.starts_with('<') { function } else { function.split('<').next().unwrap_or(function) };
    name.replace("eventmesh_catalog::", "")
}

#[expect(clippy::cast_precision_loss, reason = "no more than tebibytes")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
