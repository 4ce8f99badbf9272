//! Where time goes: `cargo bench --bench report -- profile` writes `benches/PROFILE.md`, which the report shows.
//!
//! Time is sampled by perf, from Debian. It is not a part of the report, as that slows down what it looks at.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
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
use super::support::process::Service;
use super::{Size, machine};

/// How many functions are told of.
const TOP: usize = 15;
/// How long each is looked at, but for the start.
const LASTS: Duration = Duration::from_secs(5);
/// How often in a second.
const FREQUENCY: &str = "997";

/// Writes the section.
pub fn write(file: &Path, size: &Size) {
    let documents = generate(&size.arguments);
    let double = Double::start(documents.clone());
    let types: Vec<_> = documents.into_iter().filter(|it| it["kind"] == "EventType").collect();
    let mut text = format!(
        "## Where time goes\n\nAt {}, by `cargo bench --bench report -- profile`, on {}, with a load of {}, {}. The \
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
        let symbol = symbol.trim().trim_end_matches([' ', '-']);
        Some((share.strip_suffix('%')?.parse::<f64>().ok()?, format!("{place}{symbol}")))
    };
    let mut lines: Vec<_> = told.lines().filter(|it| !it.starts_with('#')).filter_map(line).collect();
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    let lines: Vec<_> = lines.into_iter().take(TOP).map(|(share, what)| (format!("{share:.1} %"), what)).collect();
    if lines.is_empty() { Err("perf saw nothing; kernel.perf_event_paranoid may forbid it".into()) } else { Ok(lines) }
}
