//! Asking for a review, which takes milliseconds or else is in trouble.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use crate::kubernetes::failure::Failure;

/// After how long the question is put once more, beside those that hang: what hangs may do so long after the server can
/// answer again.
const AGAIN: Duration = Duration::from_millis(700);
/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Asks until there is an answer: what comes first counts. A connection that breaks is no answer, once.
///
/// # Errors
/// When there is none, or it is a failure.
pub async fn hedged<T, F: Future<Output = Result<T, Failure>>>(ask: impl Fn() -> F) -> Result<T, Failure> {
    let began = Instant::now();
    let mut attempts = FuturesUnordered::from_iter([ask()]);
    let mut has_broken = false;
    let mut again = began + AGAIN;
    loop {
        tokio::select! {
            Some(answer) = attempts.next() => match answer {
                // A connection at rest that the server closed meanwhile breaks when it is used.
                Err(Failure::Unreachable(_)) if !has_broken => {
                    has_broken = true;
                    attempts.push(ask());
                }
                answer => return answer,
            },
            () = sleep_until(again) => {
                if began.elapsed() >= PATIENCE {
                    return Err(Failure::Unreachable(format!("no answer came for {} s", PATIENCE.as_secs())));
                }
                attempts.push(ask());
                again = (again + AGAIN).min(began + PATIENCE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::*;

    /// What comes of attempts that go like this, one after the other; and how many there were.
    async fn check(attempts: &[Option<Result<u8, Failure>>], expected: &str, count: usize) {
        let asked = Cell::new(0);
        let ask = || {
            let attempt = attempts.get(asked.get()).cloned().flatten();
            asked.set(asked.get() + 1);
            async move {
                match attempt {
                    Some(answer) => answer,
                    None => pending().await,
                }
            }
        };
        let answer = hedged(ask).await.map_or_else(|failure| failure.to_string(), |it| it.to_string());
        assert_eq!((answer.as_str(), asked.get()), (expected, count), "{attempts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_asked_again_and_what_breaks_once() {
        let broken = || Some(Err(Failure::Unreachable("cut".into())));
        let busy = || Some(Err(Failure::Busy { status: 503, words: "no".into(), retry_after: None }));
        check(&[Some(Ok(1))], "1", 1).await;
        check(&[None, Some(Ok(2))], "2", 2).await;
        check(&[None, None, None, Some(Ok(4))], "4", 4).await;
        check(&[broken(), Some(Ok(2))], "2", 2).await;
        check(&[broken(), broken()], "the API server cannot be reached: cut", 2).await;
        check(&[busy(), Some(Ok(2))], "the API server answers 503: no", 1).await;
        check(&[], "the API server cannot be reached: no answer came for 3 s", 5).await;
    }
}
