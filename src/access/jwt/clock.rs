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

    /// What ours says when the issuer's says `there`, where it says `now` at present. `None` where that is no time.
    pub fn ours(&self, there: SystemTime, now: SystemTime, at: Instant) -> Option<SystemTime> {
        match now.duration_since(self.now_there(now, at)) {
            Ok(ahead) => there.checked_add(ahead),
            Err(error) => there.checked_sub(error.duration()),
        }
    }

    /// By how much the clocks differ at least.
    pub fn difference(&self, now: SystemTime, at: Instant) -> Duration {
        let there = self.now_there(now, at);
        there.duration_since(now).unwrap_or_else(|error| error.duration())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const SECONDS: u64 = 784_111_777;

    fn time(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1000 * SECONDS + millis)
    }

    #[test]
    fn a_date_is_known_within_a_second_and_the_time_it_took() {
        let asked = Instant::now();
        let answered = asked + Duration::from_millis(200);
        let measured = Measured::of(Some(DATE), None, asked, answered).unwrap();
        let at = asked + Duration::from_millis(1200);
        // Then it was somewhere from 1.0 s to 2.2 s behind the date.
        for (ours, there) in [(500, 1000), (1000, 1000), (1600, 1600), (2200, 2200), (9000, 2200)] {
            assert_eq!(measured.now_there(time(ours), at), time(there));
            assert_eq!(measured.difference(time(ours), at), Duration::from_millis(ours.abs_diff(there)));
            assert_eq!(measured.ours(time(there + 5000), time(ours), at), Some(time(ours + 5000)));
        }
    }

    #[test]
    fn a_date_that_was_kept_or_is_none_says_nothing() {
        let now = Instant::now();
        assert!(Measured::of(Some(DATE), None, now, now).is_some());
        for (date, age) in [(None, None), (Some(DATE), Some("0")), (Some("yesterday"), None), (Some(""), None)] {
            assert_eq!(Measured::of(date, age, now, now), None);
        }
    }
}
