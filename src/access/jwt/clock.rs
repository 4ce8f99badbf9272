//! How an issuer's clock and ours differ. Pure: both times are passed in.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// What an issuer's clock said once. `Date` counts whole seconds, so that it is only known between which two it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    date: SystemTime,
    asked: Instant,
    answered: Instant,
}

impl Measured {
    /// From the `Date` of an answer (RFC 9110, 6.6.1). One that comes with an `Age` was kept by somebody: it says nothing.
    pub fn of(date: Option<&str>, age: Option<&str>, asked: Instant, answered: Instant) -> Option<Self> {
        let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date?).ok()?;
        age.is_none().then(|| Self { date: parsed.into(), asked, answered })
    }

    /// What the issuer's clock says, where ours says `now`: of all that is possible the nearest to it. Time that passed
    /// since is counted by a clock that nobody sets.
    pub fn now_there(&self, now: SystemTime, at: Instant) -> SystemTime {
        let earliest = self.date + at.saturating_duration_since(self.answered);
        let latest = self.date + Duration::from_secs(1) + at.saturating_duration_since(self.asked);
        now.clamp(earliest, latest.max(earliest))
    }

    /// By how much the clocks differ at least.
    pub fn difference(&self, now: SystemTime, at: Instant) -> Duration {
        let there = self.now_there(now, at);
        there.duration_since(now).unwrap_or_else(|error| error.duration())
    }
}
