//! How often things happen, and how long they take: plain counts that any floor may keep, for telemetry to read. Nothing
//! here knows what becomes of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Looks at what is kept: how often it was there.
#[derive(Debug, Default)]
pub struct Lookups {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Lookups {
    /// Counts a look.
    pub fn note(&self, is_there: bool) {
        let count = if is_there { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}

/// What is kept somewhere, as it is now, about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// What it is called among the others.
    pub name: &'static str,
    pub entries: u64,
    /// What they take, where that is what bounds them.
    pub bytes: Option<Bytes>,
    pub hits: u64,
    pub misses: u64,
}

impl Cached {
    pub fn new(name: &'static str, entries: u64, bytes: Option<Bytes>, lookups: &Lookups) -> Self {
        Self { name, entries, bytes, hits: lookups.hits(), misses: lookups.misses() }
    }
}

/// So many bytes, of so many that there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    pub held: u64,
    pub limit: u64,
}

/// Up to which times durations are told apart, in seconds: from what is at hand to what somebody gives up on.
pub const BOUNDS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0];

/// How long something took, each time.
#[derive(Debug, Default)]
pub struct Durations {
    /// How many took no longer than the bound of the same place, and longer than the one before; the last is for all others.
    counts: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Durations {
    pub fn note(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// How many there were up to each bound and above the one before; the bound of the last is infinite.
    pub fn counts(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        bounds.zip(&self.counts).map(|(bound, count)| (bound, count.load(Ordering::Relaxed))).collect()
    }

    /// All together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_at_the_first_bound_that_it_keeps_to() {
        let durations = Durations::default();
        for micros in [0, 1000, 1001, 5_000_000, 5_000_001, 60_000_000] {
            durations.note(Duration::from_micros(micros));
        }
        let counts: Vec<_> = durations.counts().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [(0.001, 2), (0.002_5, 1), (5.0, 1), (f64::INFINITY, 2)]);
        assert_eq!(durations.sum(), Duration::from_micros(70_002_002));
    }
}
