//! Keys that were looked for in vain. Pure: the time is passed in.
//!
//! Whoever makes up names of keys could have an issuer asked without end. One that is found keeps nobody from looking for
//! the next, so that this limits only those who make them up.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long no key is looked for after one was in vain.
const ANY: Duration = Duration::from_secs(5);
/// How long the same key is not looked for again.
const SAME: Duration = Duration::from_secs(10);
/// How many are remembered.
const MAX: usize = 1000;

/// What was looked for in vain, and when.
#[derive(Default)]
pub struct Misses {
    last: Option<Instant>,
    by_name: HashMap<String, Instant>,
}

impl Misses {
    /// How long a key may not be looked for yet. `None` as its name is one without a name.
    pub fn wait(&self, name: Option<&str>, now: Instant) -> Option<Duration> {
        let same = name.and_then(|it| self.by_name.get(it)).map(|it| *it + SAME);
        let until = self.last.map(|it| it + ANY).max(same)?;
        Some(until.saturating_duration_since(now)).filter(|it| !it.is_zero())
    }

    pub fn add(&mut self, name: Option<&str>, now: Instant) {
        self.last = Some(now);
        if self.by_name.len() >= MAX {
            self.by_name.retain(|_, at| now < *at + SAME);
        }
        if let Some(name) = name
            && self.by_name.len() < MAX
        {
            self.by_name.insert(name.to_owned(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let mut misses = Misses::default();
        let begin = Instant::now();
        for n in 0..3000_u32 {
            misses.add(Some(&n.to_string()), begin + Duration::from_millis(n.into()));
            assert!(misses.by_name.len() <= MAX);
        }
        let later = begin + Duration::from_secs(8);
        assert_eq!(misses.wait(Some("0"), later), Some(SAME.checked_sub(Duration::from_secs(8)).unwrap()));
        assert_eq!((misses.wait(Some("2999"), later), misses.wait(None, later)), (None, None));
        let soon = begin + Duration::from_secs(4);
        assert_eq!(misses.wait(Some("2999"), soon), Some(Duration::from_millis(3999)), "another one was looked for");
        let later = begin + Duration::from_secs(20);
        assert_eq!(misses.wait(Some("0"), later), None);
        misses.add(Some("new"), later);
        assert_eq!(misses.by_name.len(), 1);
    }
}
