//! Where time goes, as perf sees it, from Debian.

use std::borrow::Borrow;
use std::path::Path;
use std::process::{Command, Stdio};

use super::TOP;
use crate::support::process::Service;

/// How often in a second it is looked.
const FREQUENCY: &str = "997";

/// The functions in which a service is found most often during some work, with their share.
pub fn sampled<S: Borrow<Service>>(
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
