//! Where time and bytes go: `cargo bench --bench report -- profile` writes `benches/PROFILE.md`, which the report shows.
//!
//! Time is sampled by perf, bytes are counted by heaptrack, both from Debian. It is not a part of the report, as both slow
//! down what they look at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::asking::{self, Client};
use super::double::{Double, Edit};
use super::process::{await_ready, start, view};
use super::support::generate::generate;
use super::support::process::{Service, command, get};
use super::{Size, machine};

/// How many functions are told of.
const TOP: usize = 15;
/// How long each is looked at, but for the start.
const LASTS: Duration = Duration::from_secs(5);
/// Where Debian has what heaptrack has programs load, and what reads what that writes.
const HEAPTRACK: &str = "/usr/lib/heaptrack";
/// How often in a second.
const FREQUENCY: &str = "997";

/// Writes the section.
pub fn write(file: &Path, size: &Size) {
    let documents = generate(&size.arguments);
    let double = Double::start(documents.clone());
    let types: Vec<_> = documents.into_iter().filter(|it| it["kind"] == "EventType").collect();
    let mut text = format!(
        "## Where time and bytes go\n\nAt {}, by `cargo bench --bench report -- profile`, on {}, with a load of {}, {}. The \
         service reads from an API server in another process; of that nothing is here.\n",
        size.name,
        machine::kind(),
        machine::load(),
        machine::date(),
    );
    let folder = TempDir::new().expect("a folder");
    let arguments = ["--kubeconfig", double.kubeconfig.to_str().expect("text"), "--dev-token"];
    let started = sampled(folder.path(), || Service::start(&arguments), await_ready);
    section(&mut text, "Time: from the start until complete", started);
    let (service, _) = start(&double.kubeconfig, &["--dev-token"]);
    view(&service, "zstd");
    section(&mut text, "Time: 304", sampled(folder.path(), || &service, unchanged));
    let mut changes = types.iter().cycle().step_by(101).enumerate();
    let mut change = || {
        let (n, document) = changes.next().expect("there is no end");
        changed(n, document)
    };
    let views = sampled(
        folder.path(),
        || &service,
        |service| {
            until_over(|| {
                double.make(vec![change()]);
                view(service, "zstd");
            });
        },
    );
    section(&mut text, "Time: one change, then a full view in zstd, again and again", views);
    let linked = sampled(
        folder.path(),
        || &service,
        |_| {
            until_over(|| {
                double.make(vec![change()]);
                thread::sleep(Duration::from_millis(1));
            });
        },
    );
    section(&mut text, "Time: a change a millisecond, with nobody who reads", linked);
    drop(service);
    section(
        &mut text,
        "Bytes: at the most held from the start until complete, by who allocated them",
        counted(folder.path(), &double),
    );
    fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

fn section(text: &mut String, title: &str, lines: Result<Vec<(String, String)>, String>) {
    let _ = writeln!(text, "\n### {title}\n");
    match lines {
        Ok(lines) => {
            let _ = writeln!(text, "| | |\n| ---: | --- |");
            for (share, what) in lines {
                let _ = writeln!(text, "| {share} | `{}` |", what.replace('|', "\\|"));
            }
        }
        Err(why) => _ = writeln!(text, "NOT MEASURED: {why}"),
    }
}

/// A function's name without what the compiler adds, which heaptrack leaves as it is.
fn readable(symbol: &str) -> String {
    let name = symbol.trim().rsplit_once("::h").map_or(symbol.trim(), |(name, _)| name);
    let written =
        [("$LT$", "<"), ("$GT$", ">"), ("$u7b$", "{"), ("$u7d$", "}"), ("$u20$", " "), ("$RF$", "&"), ("..", "::")];
    written.into_iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

fn changed(n: usize, document: &Value) -> Edit {
    let mut changed = document.clone();
    changed["spec"]["description"] = json!(format!("Profiled {n}."));
    Edit::Put(changed)
}

fn until_over(mut work: impl FnMut()) {
    let began = Instant::now();
    while began.elapsed() < LASTS {
        work();
    }
}

fn unchanged(service: &Service) {
    let address: SocketAddr = service.address.parse().expect("an address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let etag = asking::ask(address, &service.token, "").await.etag().to_owned();
        let request = asking::request(&service.token, &format!("if-none-match: {etag}\r\n"));
        let mut clients = vec![];
        for _ in 0..16 {
            clients.push(Client::connect_small(address).await);
        }
        let end = Instant::now() + LASTS;
        futures_util::future::join_all(clients.iter_mut().map(|it| it.exchange_until(end, &request))).await;
    });
}

/// The functions in which a service is found most often during some work, with their share.
fn sampled<S: std::borrow::Borrow<Service>>(
    folder: &Path,
    service: impl FnOnce() -> S,
    work: impl FnOnce(&Service),
) -> Result<Vec<(String, String)>, String> {
    let data = folder.join("perf.data");
    let service = service();
    let mut record = Command::new("perf");
    record.args(["record", "--event", "cpu-clock", "--freq", FREQUENCY, "--output"]).arg(&data);
    record.arg("--pid").arg(service.borrow().pid().to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut record =
        record.spawn().map_err(|error| format!("perf cannot be started: {error} (apt-get install linux-perf)"))?;
    work(service.borrow());
    // It writes what it has when it is asked to end.
    let _ = Command::new("kill").args(["-INT", &record.id().to_string()]).status();
    let _ = record.wait();
    let mut report = Command::new("perf");
    report
        .args(["report", "--stdio", "--no-children", "--sort", "symbol", "--fields", "overhead,symbol", "--input"])
        .arg(&data);
    let told = report.output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let line = |it: &str| {
        let (share, rest) = it.trim().split_once("  ")?;
        // `[.]` is the program, `[k]` is Linux.
        let (where_, symbol) = rest.trim().split_at_checked(3)?;
        let place = if where_ == "[k]" { "(Linux) " } else { "" };
        // What follows a symbol are columns of its own.
        let symbol = symbol.trim_end_matches([' ', '-']);
        Some((share.strip_suffix('%')?.parse::<f64>().ok()?, format!("{place}{symbol}")))
    };
    let mut lines: Vec<_> = told.lines().filter(|it| !it.starts_with('#')).filter_map(line).collect();
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    let lines: Vec<_> = lines.into_iter().take(TOP).map(|(share, what)| (format!("{share:.1} %"), what)).collect();
    if lines.is_empty() { Err("perf saw nothing; kernel.perf_event_paranoid may forbid it".into()) } else { Ok(lines) }
}

/// Who has allocated most of what a start holds at its peak: the first function of ours above each allocation.
fn counted(folder: &Path, double: &Double) -> Result<Vec<(String, String)>, String> {
    let (raw, heap) = (folder.join("raw"), folder.join("heap"));
    let library = Path::new(HEAPTRACK).join("libheaptrack_preload.so");
    if !library.exists() {
        return Err("heaptrack is missing (apt-get install heaptrack)".into());
    }
    let free = || TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr()).map_err(|it| it.to_string());
    let (listen, admin) = (free()?.to_string(), free()?.to_string());
    let kubeconfig = double.kubeconfig.to_str().expect("text");
    let mut service =
        command(&["serve", "--listen", &listen, "--admin-listen", &admin, "--kubeconfig", kubeconfig, "--dev-token"]);
    service.env("LD_PRELOAD", library).env("DUMP_HEAPTRACK_OUTPUT", &raw).stdout(Stdio::null()).stderr(Stdio::null());
    let mut service = service.spawn().map_err(|it| it.to_string())?;
    while TcpStream::connect(&admin).is_err() || get(&admin, "/readyz", &[]).status != 200 {
        thread::sleep(Duration::from_millis(50));
    }
    let _ = Command::new("kill").arg(service.id().to_string()).status();
    let _ = service.wait();
    let shell = format!(
        "{HEAPTRACK}/libexec/heaptrack_interpret < {} > {} && heaptrack_print --file {} --print-peaks 1 --print-allocators 0 --print-temporary 0 --peak-limit 60 --sub-peak-limit 60",
        raw.display(),
        heap.display(),
        heap.display(),
    );
    let told = Command::new("sh").args(["-c", &shell]).output().map_err(|it| it.to_string())?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let (_, peaks) = told.split_once("PEAK MEMORY CONSUMERS").ok_or("heaptrack tells no peaks")?;
    let mut held: BTreeMap<String, f64> = BTreeMap::new();
    let mut bytes = None;
    for line in peaks.lines() {
        if let Some((size, _)) = line.split_once(" consumed over") {
            bytes = bytes_of(size.trim());
        } else if line.contains("eventmesh_catalog::")
            && let Some(bytes) = bytes.take()
        {
            *held.entry(readable(line)).or_default() += bytes;
        }
    }
    let mut held: Vec<_> = held.into_iter().collect();
    held.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(held.into_iter().take(TOP).map(|(what, bytes)| (format!("{:.1} MB", bytes / 1e6), what)).collect())
}

/// As heaptrack writes them, such as `72.70K`.
fn bytes_of(size: &str) -> Option<f64> {
    let (number, unit) = size.split_at_checked(size.len().checked_sub(1)?)?;
    let factor = match unit {
        "B" => 1.0,
        "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}
