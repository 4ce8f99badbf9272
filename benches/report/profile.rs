//! Where time and bytes go: `cargo bench --bench report -- profile` writes `benches/PROFILE.md`, which the report shows.
//!
//! It is not a part of the report, as looking so closely slows down what is looked at.

mod bytes;
mod time;

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::time::sampled;
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

/// What is to be known of how bytes are counted.
const ABOUT_BYTES: &str = "Bytes are those that were asked of the allocator and not given back, by heaptrack, with the \
    function of the service that asked for them, itself or through libraries. What the allocator takes beside them, and \
    what is mapped of the binary, is not in them.";

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
    let _ = writeln!(text, "\n{ABOUT_BYTES}");
    let started = bytes::live_after(folder.path(), &arguments, await_ready);
    section(&mut text, "Bytes: held after the start", started);
    let viewed = bytes::live_after(folder.path(), &arguments, |service| {
        await_ready(service);
        view(service, "zstd");
    });
    section(&mut text, "Bytes: held after a full view in zstd", viewed);
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
