//! What a run was like, a row at a time, and whether it stayed so.

use std::time::{Duration, Instant};

use super::polls::Samples;

/// What warms up does not count: one in so many rows.
const WARM_UP: usize = 6;
/// With fewer rows than this nothing is said of a trend.
const ENOUGH: usize = 8;
/// How much more than the first third the last one may take.
const MEMORY: f64 = 1.1;
/// The same for times, each in proportion to that of a bare route; what else the machine does is not the service's.
const TIMES: f64 = 1.5;
/// How many threads and files more.
const MORE: f64 = 10.0;

/// What the service takes of the machine.
#[derive(Clone, Copy)]
pub struct Usage {
    /// MiB.
    pub memory: f64,
    pub threads: f64,
    pub files: f64,
}

impl Usage {
    /// As Linux tells it.
    pub fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
        let number = |name: &str| -> f64 {
            let line = status.lines().find_map(|it| it.strip_prefix(name)).expect("a line");
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Self { memory: number("VmRSS") / 1024.0, threads: number("Threads"), files: float(files) }
    }
}

/// What it took, once a second, in the two parts of a row. A median of both together would tell how long each of them was.
pub struct Phases {
    /// While the mesh changed.
    pub busy: Vec<Usage>,
    /// From then on, until it had rested.
    pub resting: Vec<Usage>,
}

/// What else there was.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub checked: usize,
    pub writes: usize,
    pub newcomers: usize,
    pub lists: usize,
    pub restarts: usize,
}

pub struct Row {
    at: Duration,
    usage: Phases,
    samples: Samples,
    counts: Counts,
    load: String,
}

pub struct Report {
    began: Instant,
    rows: Vec<Row>,
}

const HEAD: &str = "
| at s | RSS MiB: changing, at rest, max | 304 P50 / P99 ms | 200 P50 / P99 ms | bare P50 / P99 ms | bare body P50 / P99 ms | answers | 503 away | other | wrong | checked | writes | newcomers | lists | restarts | threads | files | load |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

impl Report {
    pub fn begin() -> Self {
        println!("{HEAD}");
        Self { began: Instant::now(), rows: vec![] }
    }

    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn add(&mut self, usage: Phases, samples: Samples, counts: Counts) {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default().to_owned();
        let row = Row { at: self.age(), usage, samples, counts, load };
        println!("{}", row.line());
        self.rows.push(row);
    }

    /// Whether nothing was wrong and nothing grew; what it was is told.
    pub fn is_good(&self) -> bool {
        let sum = |of: fn(&Row) -> usize| self.rows.iter().map(of).sum::<usize>();
        let (wrong, other) = (sum(|it| it.samples.wrong.len()), sum(|it| it.samples.unexpected.len()));
        println!("{HEAD}");
        self.rows.iter().for_each(|it| println!("{}", it.line()));
        println!(
            "\n{} answers, {} of them held against the oracle: {wrong} wrong; {other} neither 200 nor 304, and {} 503 while the API \
             server was away; {} writes, {} newcomers, {} restarts of the API server, {} lists; {} connections ended at rest",
            sum(|it| it.samples.answers),
            sum(|it| it.counts.checked),
            sum(|it| it.samples.away),
            sum(|it| it.counts.writes),
            sum(|it| it.counts.newcomers),
            sum(|it| it.counts.restarts),
            sum(|it| it.counts.lists),
            sum(|it| it.samples.reconnected),
        );
        let told = self.rows.iter().flat_map(|it| it.samples.wrong.iter().chain(&it.samples.unexpected));
        told.take(20).for_each(|it| println!("  {it}"));
        let steady = self.is_steady();
        wrong + other == 0 && steady
    }

    /// Compares the last third with the first, once it is warm.
    fn is_steady(&self) -> bool {
        if self.rows.len() < ENOUGH {
            println!("{} rows are too few to tell a trend from", self.rows.len());
            return true;
        }
        let rows = &self.rows[self.rows.len() / WARM_UP..];
        let third = rows.len() / 3;
        let (first, last) = (&rows[..third], &rows[rows.len() - third..]);
        let of = |rows: &[Row], value: fn(&Row) -> f64| median(&rows.iter().map(value).collect::<Vec<_>>());
        let mut good = true;
        let mut held = |what: &str, value: fn(&Row) -> f64, limit: &dyn Fn(f64) -> f64| {
            let (before, after) = (of(first, value), of(last, value));
            let met = after <= limit(before);
            good &= met;
            let (limit, met) = (limit(before), if met { "met" } else { "MISSED" });
            println!(
                "{what}: median of the first third {before:.2}, of the last {after:.2}, at most {limit:.2}: {met}"
            );
        };
        held("memory while it changes, MiB", Row::memory, &|it| it * MEMORY);
        held("memory at rest, MiB", Row::least_memory, &|it| it * MEMORY);
        held("304 / bare route, P50", |it| it.samples.ratio(), &|it| it * TIMES);
        held("200 / bare body, P50", |it| it.samples.ratio_of_bodies(), &|it| it * TIMES);
        held("threads", |it| it.typical(|it| it.threads), &|it| it + MORE);
        held("open files", |it| it.typical(|it| it.files), &|it| it + MORE);
        // The trend of two thirds, as far as it would go in the time of all of them.
        let (late, all) = (&rows[third..], of(rows, Row::least_memory));
        let slope = slope(&late.iter().map(|it| (it.at.as_secs_f64(), it.least_memory())).collect::<Vec<_>>());
        let growth = slope * late.last().map_or(0.0, |it| it.at.as_secs_f64());
        let met = growth <= (MEMORY - 1.0) * all;
        let told = if met { "met" } else { "MISSED" };
        println!(
            "trend of memory at rest: {:+.1} MiB an hour, {growth:+.1} MiB in such a run, of {all:.1}: {told}",
            slope * 3600.0
        );
        good && met
    }
}

impl Samples {
    fn ratio(&self) -> f64 {
        percentile(&self.unchanged, 50) / percentile(&self.bare, 50)
    }

    fn ratio_of_bodies(&self) -> f64 {
        percentile(&self.whole, 50) / percentile(&self.bare_whole, 50)
    }
}

impl Row {
    fn typical(&self, of: fn(&Usage) -> f64) -> f64 {
        median(&self.usage.busy.iter().map(of).collect::<Vec<_>>())
    }

    fn memory(&self) -> f64 {
        self.typical(|it| it.memory)
    }

    /// What is held when nothing is done.
    fn least_memory(&self) -> f64 {
        self.usage.resting.iter().map(|it| it.memory).fold(f64::INFINITY, f64::min)
    }

    fn line(&self) -> String {
        let Self { usage, samples, counts, .. } = self;
        let peak = usage.busy.iter().chain(&usage.resting).map(|it| it.memory).fold(0.0, f64::max);
        let times = |of: &[f64]| format!("{:.2} / {:.1}", percentile(of, 50) * 1000.0, percentile(of, 99) * 1000.0);
        let cells = [
            self.at.as_secs().to_string(),
            format!("{:.1}, {:.1}, {peak:.1}", self.memory(), self.least_memory()),
            times(&samples.unchanged),
            times(&samples.whole),
            times(&samples.bare),
            times(&samples.bare_whole),
            samples.answers.to_string(),
            samples.away.to_string(),
            samples.unexpected.len().to_string(),
            samples.wrong.len().to_string(),
            counts.checked.to_string(),
            counts.writes.to_string(),
            counts.newcomers.to_string(),
            counts.lists.to_string(),
            counts.restarts.to_string(),
            self.typical(|it| it.threads).to_string(),
            self.typical(|it| it.files).to_string(),
            self.load.clone(),
        ];
        format!("| {} |", cells.join(" | "))
    }
}

/// The median of the slopes between all pairs: a row that stands out does not count for much.
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(n, one)| points[n + 1..].iter().map(move |other| (one, other)));
    median(&pairs.map(|(one, other)| (other.1 - one.1) / (other.0 - one.0)).collect::<Vec<_>>())
}

fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// Not a number where there are none.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = (values.len() * percent).div_ceil(100);
    values.get(place.max(1) - 1).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "no more than billions")]
fn float(count: usize) -> f64 {
    count as f64
}
