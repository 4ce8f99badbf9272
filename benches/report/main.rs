//! What the service takes and gives, beside what is possible on the same machine in the same run.
//!
//! `make bench-report` measures everything and writes `benches/REPORT.md`, `benches/report.json` and `benches/charts/`.
//! `cargo bench --bench report -- WORD…` measures only the parts and the sizes that are named, and writes the same below
//! `target/bench-report`. `profile` finds out where time and bytes go, for a section of the report.

mod access;
mod answers;
mod asking;
mod changes;
mod chart;
mod churn;
mod client;
mod cluster;
mod double;
mod figures;
mod freshness;
mod machine;
mod measure;
mod memory;
mod nginx;
mod polls;
mod process;
mod profile;
mod raw;
#[path = "../../tests/support/mod.rs"]
mod support;
mod write;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use self::double::Double;
use self::figures::float;
use self::measure::{Measures, Target};
use self::support::generate::{Arguments, L, M, S, X, generate};
use self::write::Run;

/// As the service has it.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LABEL: &str = "backstage.io/kubernetes-id";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// A size of a mesh.
pub struct Size {
    pub name: &'static str,
    pub arguments: Arguments,
}

impl Size {
    /// How many objects it has.
    pub fn objects(&self) -> f64 {
        let Arguments { namespaces, brokers, event_types, triggers, .. } = self.arguments;
        let Arguments { subscribers, channels, subscriptions, sources, .. } = self.arguments;
        float(namespaces + brokers + event_types + triggers + subscribers + channels + subscriptions + sources)
    }
}

const SIZES: [Size; 4] = [
    Size { name: "S", arguments: S },
    Size { name: "M", arguments: M },
    Size { name: "L", arguments: L },
    Size { name: "X", arguments: X },
];

/// A part of the report.
pub struct Part {
    name: &'static str,
    about: &'static str,
    measure: fn(&[&Size], &mut Measures),
}

const PARTS: [Part; 6] = [
    Part {
        name: "changes",
        about: "What linking and publishing cost, in this process.",
        measure: |sizes, measures| sizes.iter().for_each(|size| changes::measure(size, measures)),
    },
    Part {
        name: "answers",
        about: "How many answers come, over loopback, from servers with one thread each: ours, a constant route behind the same \
                layers, one that axum serves alone, and nginx with the same bytes as a file.",
        measure: answers::measure,
    },
    Part {
        name: "memory",
        about: "What the process of the service holds, which reads from an API server in the process of the benchmark.",
        measure: memory::measure,
    },
    Part {
        name: "polls",
        about: "A thousand connections, each of which asks once a second for a mesh that stays the same.",
        measure: |sizes, measures| {
            on_double(sizes, &["L"], measures, |double, _, size, measures| {
                polls::measure(double, size, measures);
            });
        },
    },
    Part {
        name: "cluster",
        about: "On a real API server. Raw lists are read by curl, all kinds at once, in turns with starts of the service.",
        measure: |sizes, measures| {
            for size in sizes.iter().filter(|it| it.name != "X") {
                cluster::measure(size, measures);
            }
        },
    },
    Part {
        name: "churn",
        about: "5,000 changes a second for a minute, from an API server in the process of the benchmark: it, those who read, and \
                the service share the processors.",
        measure: |sizes, measures| on_double(sizes, &["L"], measures, churn::measure),
    },
];

fn main() {
    // `cargo test --all-targets` runs benchmarks too, and means something else by it.
    if !std::env::args().any(|it| it == "--bench") {
        return;
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    let is_named = |name: &str| words.iter().any(|it| it == name);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if is_named("profile") {
        let size = SIZES.iter().rfind(|it| is_named(it.name)).unwrap_or(&SIZES[3]);
        profile::write(&here.join("benches/PROFILE.md"), size);
        return;
    }
    let named_sizes: Vec<_> = SIZES.iter().filter(|it| is_named(it.name)).collect();
    let sizes = if named_sizes.is_empty() { SIZES.iter().collect() } else { named_sizes };
    let named_parts: Vec<_> = PARTS.iter().filter(|it| is_named(it.name)).collect();
    let parts = if named_parts.is_empty() { PARTS.iter().collect() } else { named_parts };
    let folder = here.join(if words.is_empty() { "benches" } else { "target/bench-report" });
    let (began, date, load) = (Instant::now(), machine::date(), machine::load());
    let mut measures = Measures::default();
    for part in parts {
        println!("\n{} ({} s, load {})", part.name, began.elapsed().as_secs(), machine::load());
        measures.begin(part.name, "");
        // What went wrong in one part is told in its place, and the others go on.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (part.measure)(&sizes, &mut measures))) {
            measures.miss("the rest of this part", "", Target::AtLeast(1.0), &words_of(panic.as_ref()));
        }
        let minutes = began.elapsed().as_secs().div_ceil(60);
        write::write(&folder, &measures, &Run { began: date.clone(), load: [load.clone(), machine::load()], minutes });
    }
    println!("\nwritten to {}, after {} s", folder.display(), began.elapsed().as_secs());
}

fn words_of(panic: &dyn Any) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    words.unwrap_or("it ended early").lines().next().unwrap_or_default().to_owned()
}

/// Measures at those of the sizes that count, on a server of this process; where none of them is named, at all that are.
fn on_double(
    sizes: &[&Size],
    counting: &[&str],
    measures: &mut Measures,
    measure: impl Fn(&Double, &[serde_json::Value], &Size, &mut Measures),
) {
    let wanted: Vec<_> = sizes.iter().filter(|it| counting.contains(&it.name)).collect();
    let wanted = if wanted.is_empty() { sizes.iter().collect() } else { wanted };
    for size in wanted {
        let documents = generate(&size.arguments);
        let double = Double::start(documents.clone());
        measure(&double, &documents, size, measures);
    }
}
