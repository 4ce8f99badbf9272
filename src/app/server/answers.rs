//! What a connection is at: the requests under way, and how the client takes their answers.
//!
//! A client of HTTP/2 says how much of each answer it is ready for. One that reads all that it is sent, but is ready for
//! nothing, is not found out by looking at the socket; so the data of an answer tell themselves when they go. Nor is one that
//! is ready for a byte now and then; so all of an answer has to be taken in time, in relation to how much it is.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use hyper::body::{Body as HttpBody, Buf, Bytes, Frame, SizeHint};
use tokio::time::Instant;

use super::Limits;
use crate::api::caller::Known;

/// The requests and answers of one connection.
#[derive(Clone)]
pub struct Answers(Arc<Inner>);

struct Inner {
    /// For how long an answer may lie.
    stall: Duration,
    /// How many bytes of it have to be taken in a second.
    rate: u32,
    /// For how long there may be no request.
    idle: Duration,
    /// The same for a client that was told to go, and at most so long for one that has never had a good token.
    hurried: Duration,
    known: Known,
    state: Mutex<State>,
}

struct State {
    /// Never many: a client may ask for only so much at once.
    open: Vec<Open>,
    count: u64,
    /// When a connection without requests has been so for too long.
    quiet_until: Instant,
    leaving: bool,
}

/// A request that is under way.
struct Open {
    id: u64,
    /// Until when something has to be taken of its answer, and until when all; none while that is being made.
    until: Option<(Instant, Instant)>,
}

/// Why a connection is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing has been asked for a while.
    Idle,
    /// An answer is not taken, or not in time.
    Stalled,
}

impl Answers {
    pub fn new(limits: &Limits) -> Self {
        let quiet_until = Instant::now() + limits.head;
        let state = State { open: vec![], count: 0, quiet_until, leaving: false };
        Self(Arc::new(Inner {
            stall: limits.stall,
            rate: limits.rate.max(1),
            idle: limits.idle,
            hurried: limits.head,
            known: Known::default(),
            state: Mutex::new(state),
        }))
    }

    /// Goes with each request, so that whoever looks at its token can tell.
    pub fn known(&self) -> Known {
        self.0.known.clone()
    }

    /// A request has come. It is under way until the answer, and all that was made of it, is dropped.
    pub fn begin(&self) -> Answer {
        let mut state = self.state();
        let id = state.count;
        state.count += 1;
        state.open.push(Open { id, until: None });
        Answer { id, of: self.clone() }
    }

    /// The client was told to go: it has less time to do so than to be silent.
    pub fn leave(&self) {
        let mut state = self.state();
        state.leaving = true;
        state.quiet_until = Instant::now() + self.0.hurried;
    }

    /// Waits until there is a reason not to keep the connection.
    pub async fn overdue(&self) -> Overdue {
        loop {
            match self.look(Instant::now()) {
                Ok(next) => tokio::time::sleep_until(next).await,
                Err(overdue) => return overdue,
            }
        }
    }

    /// When to look again. What begins after a look cannot be overdue before.
    fn look(&self, now: Instant) -> Result<Instant, Overdue> {
        let state = self.state();
        let soonest = now + self.0.stall.min(self.0.idle).min(self.0.hurried);
        if state.open.is_empty() {
            return if state.quiet_until <= now { Err(Overdue::Idle) } else { Ok(soonest.min(state.quiet_until)) };
        }
        match state.open.iter().filter_map(|it| it.until).map(|(some, all)| some.min(all)).min() {
            Some(until) if until <= now => Err(Overdue::Stalled),
            Some(until) => Ok(soonest.min(until)),
            None => Ok(soonest),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request and its answer.
pub struct Answer {
    id: u64,
    of: Answers,
}

impl Answer {
    /// The answer is there, and from now on it is up to the client.
    pub fn given(self, body: Body) -> Given {
        // Nothing has to be taken of what is empty.
        if !body.is_end_stream() {
            let Inner { stall, hurried, rate, known, .. } = &*self.of.0;
            // Strangers have no large answers, and no right to keep small ones lying.
            let patience = if known.get() { *stall } else { *hurried.min(stall) };
            let seconds = body.size_hint().lower() / u64::from(*rate);
            let now = Instant::now();
            let until = (now + *stall, now + patience + Duration::from_secs(seconds));
            self.note(|open| open.until = Some(until));
        }
        Given { body, answer: Arc::new(self) }
    }

    fn taken(&self) {
        let next = Instant::now() + self.of.0.stall;
        self.note(|open| open.until = open.until.map(|(_, all)| (next, all)));
    }

    fn note(&self, note: impl FnOnce(&mut Open)) {
        let mut state = self.of.state();
        if let Some(open) = state.open.iter_mut().find(|it| it.id == self.id) {
            note(open);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut state = self.of.state();
        state.open.retain(|it| it.id != self.id);
        let Inner { idle, hurried, known, .. } = &*self.of.0;
        // Places are for those who may have an answer: a refusal now and then must not keep one.
        let patience = match (state.leaving, known.get()) {
            (true, _) => *hurried,
            (false, false) => *hurried.min(idle),
            (false, true) => *idle,
        };
        state.quiet_until = Instant::now() + patience;
    }
}

/// The body of an answer. It is all there when it is given: whoever waits waits for the client.
pub struct Given {
    body: Body,
    answer: Arc<Answer>,
}

impl HttpBody for Given {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_ok(|frame| frame.map_data(|bytes| Piece { bytes, answer: self.answer.clone() }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes on their way to the client.
pub struct Piece {
    bytes: Bytes,
    answer: Arc<Answer>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.answer.taken();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::time::sleep;

    use super::*;

    fn limits() -> Limits {
        let seconds = Duration::from_secs;
        Limits { head: seconds(10), stall: seconds(30), rate: 1, idle: seconds(90), ..Limits::default() }
    }

    async fn piece(given: &mut Given) -> Piece {
        given.frame().await.unwrap().unwrap().into_data().ok().unwrap()
    }

    /// When it becomes overdue, and why.
    async fn overdue(answers: &Answers) -> (u64, Overdue) {
        let (began, reason) = (Instant::now(), answers.overdue().await);
        (began.elapsed().as_secs(), reason)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_has_an_end() {
        let answers = Answers::new(&limits());
        assert_eq!(overdue(&answers).await, (10, Overdue::Idle), "nothing was ever asked");
        drop(answers.begin());
        assert_eq!(overdue(&answers).await, (10, Overdue::Idle), "nobody with a good token has asked");
        answers.known().set();
        drop(answers.begin());
        assert_eq!(overdue(&answers).await, (90, Overdue::Idle));
        answers.leave();
        assert_eq!(overdue(&answers).await, (10, Overdue::Idle), "to go takes less time");
        drop(answers.begin());
        assert_eq!(overdue(&answers).await, (10, Overdue::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_to_be_taken_once_it_is_there() {
        let answers = Answers::new(&limits());
        answers.known().set();
        let (first, second) = (answers.begin(), answers.begin());
        let making = async { sleep(Duration::from_secs(1000)).await };
        tokio::select! {
            () = making => {}
            it = answers.overdue() => panic!("{it:?} while it is being made"),
        }
        let mut given = first.given(vec![0; 100].into());
        assert_eq!(overdue(&answers).await, (30, Overdue::Stalled), "nobody is ready for it");
        let mut taken = piece(&mut given).await;
        for _ in 0..3 {
            taken.advance(1);
            sleep(Duration::from_secs(20)).await;
            assert_eq!(overdue(&answers).await, (10, Overdue::Stalled));
        }
        // What is not yet taken counts, whether or not the body has ended.
        drop(given);
        assert_eq!(overdue(&answers).await, (0, Overdue::Stalled));
        drop((taken, second));
        assert_eq!(overdue(&answers).await, (90, Overdue::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_to_be_taken_in_time_however_often_something_is() {
        for (is_known, seconds) in [(true, 30 + 100), (false, 10 + 100)] {
            let answers = Answers::new(&limits());
            if is_known {
                answers.known().set();
            }
            let mut given = answers.begin().given(vec![0; 100].into());
            let mut taken = piece(&mut given).await;
            let began = Instant::now();
            let nibbling = async {
                loop {
                    sleep(Duration::from_secs(10)).await;
                    taken.advance(1);
                }
            };
            tokio::select! {
                () = nibbling => {}
                it = answers.overdue() => assert_eq!((began.elapsed().as_secs(), it), (seconds, Overdue::Stalled)),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn others_do_not_make_up_for_one_who_stalls() {
        let answers = Answers::new(&limits());
        let _stalled = answers.begin().given("abc".into());
        let others = async {
            loop {
                sleep(Duration::from_secs(1)).await;
                drop(answers.begin().given("abc".into()));
            }
        };
        tokio::select! {
            () = others => {}
            it = overdue(&answers) => assert_eq!(it, (13, Overdue::Stalled), "who is not known has less time"),
        }
    }
}
