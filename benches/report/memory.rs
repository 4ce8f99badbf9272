//! How much memory the service takes: at its start, at rest, and after answers in each encoding.
//!
//! It is the binary of the `bench` profile, which reads from the server of `double.rs` as from any API server. Every round
//! is a process of its own, so that what one encoding leaves does not help another.

use std::thread;
use std::time::Duration;

use super::Size;
use super::double::Double;
use super::measure::{Measures, Target};
use super::process::{memory, start, view};
use super::support::generate::generate;

/// Of the memory that is held after the start.
const PEAK: f64 = 1.3;
/// MiB after a view at X.
const HELD: f64 = 256.0;
/// How long after a start or an answer memory is looked at.
const SETTLED: Duration = Duration::from_secs(2);
const ENCODINGS: [&str; 3] = ["zstd", "gzip", "identity"];

/// How often each is measured.
const ROUNDS: usize = 5;

pub fn measure(sizes: &[&Size], measures: &mut Measures) {
    for size in sizes {
        let double = Double::start(generate(&size.arguments));
        measures.begin("memory", size.name);
        let encodings = if size.name == "X" { &ENCODINGS[..] } else { &ENCODINGS[..1] };
        at(&double, size, encodings, measures);
    }
}

fn at(double: &Double, size: &Size, encodings: &[&str], measures: &mut Measures) {
    let (mut steady, mut peaks, mut starts) = (vec![], vec![], vec![]);
    let mut after: [Vec<f64>; 3] = Default::default();
    let mut highest: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (n, encoding) in encodings.iter().enumerate() {
            let (service, took) = start(&double.kubeconfig, &["--dev-token"]);
            thread::sleep(SETTLED);
            let (held, peak) = (memory(&service, "VmRSS"), memory(&service, "VmHWM"));
            starts.push(took.as_secs_f64());
            steady.push(held);
            peaks.push(peak);
            let size_of_body = view(&service, encoding);
            thread::sleep(SETTLED);
            after[n].push(memory(&service, "VmRSS"));
            highest[n].push(memory(&service, "VmHWM"));
            println!(
                "  {}: start {:.2} s, held {held:.0} MiB, peak {peak:.0} MiB; after {encoding} ({size_of_body} bytes) {:.0} MiB, peak {:.0} MiB",
                size.name,
                took.as_secs_f64(),
                after[n].last().expect("one"),
                highest[n].last().expect("one"),
            );
        }
    }
    let ratios = super::figures::ratios(&peaks, &steady);
    measures.tell("start from the double until ready", "s", starts);
    measures.tell("memory held after the start", "MiB", steady);
    measures.hold("peak of the start / memory held after it", "", Target::AtMost(PEAK), ratios);
    let target = if size.name == "X" { Target::AtMost(HELD) } else { Target::None };
    for ((encoding, after), highest) in encodings.iter().zip(after).zip(highest) {
        measures.hold(format!("memory held after a full view in {encoding}"), "MiB", target, after);
        measures.tell(format!("peak of a full view in {encoding}"), "MiB", highest);
    }
}
