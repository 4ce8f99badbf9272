//! How long to wait before trying again.

use std::time::Duration;

use tokio::sync::watch;

use super::failure::Failure;

/// Waits longer with each failure in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(3);
/// What is refused is so until somebody changes it.
const LAST_OF_REFUSALS: Duration = Duration::from_secs(4);

impl Backoff {
    /// How long to wait: as asked for, or else twice as long each time. Some of it is left to chance, so that those who
    /// failed together do not come back together.
    pub fn next(&mut self, failure: Option<&Failure>) -> Duration {
        let last = match failure {
            Some(Failure::Refused(_) | Failure::Absent) => LAST_OF_REFUSALS,
            _ => LAST,
        };
        let wait = FIRST.saturating_mul(1 << self.failures.min(10)).min(last);
        self.failures += 1;
        let chance = |most: Duration| most * u32::try_from(random() % 512).unwrap_or_default() / 512;
        match failure.and_then(Failure::retry_after) {
            Some(asked) => asked + chance(FIRST),
            None => wait / 2 + chance(wait / 2),
        }
    }

    /// Waits. Being woken is a reason to try again at once and to begin anew, but not where the server asked to be left
    /// alone.
    pub async fn wait(&mut self, failure: Option<&Failure>, woken: &mut watch::Receiver<()>) {
        let over = tokio::time::sleep(self.next(failure));
        if failure.and_then(Failure::retry_after).is_some() {
            return over.await;
        }
        tokio::select! {
            () = over => (),
            Ok(()) = woken.changed() => *self = Self::default(),
        }
    }
}

/// Where the system has no random numbers, everybody waits alike.
pub fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit_unless_the_server_says_how_long() {
        let waits = |failure: Option<Failure>| {
            let mut backoff = Backoff::default();
            (0..20).map(|_| backoff.next(failure.as_ref())).collect::<Vec<_>>()
        };
        let cases = [
            (None, LAST),
            (Some(Failure::Unreachable(String::new())), LAST),
            (Some(Failure::Refused(String::new())), LAST_OF_REFUSALS),
            (Some(Failure::Absent), LAST_OF_REFUSALS),
        ];
        for (failure, last) in cases {
            let waits = waits(failure);
            assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{waits:?}");
            assert!(waits[19] >= last / 2 && waits[19] <= last, "{waits:?}");
        }
        let retry_after = Some(Duration::from_secs(7));
        for wait in waits(Some(Failure::Busy { status: 429, words: String::new(), retry_after })) {
            assert!((7..8).contains(&wait.as_secs()), "{wait:?}");
        }
    }
}
