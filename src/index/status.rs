//! How far an origin has got, and how old what it told may be: what readiness, a 503 and the age of an answer are made of
//! (`semantics.md` 7.4).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::mesh::GroupKind;
use crate::mesh::place::{Place, Places};

/// The state of an origin.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What is read apart from each other, in order.
    pub kinds: Vec<KindStatus>,
    /// Since when some of it could not be kept up to date.
    pub stale_since: Option<Instant>,
    /// Since when nobody there answers, so that none of it is known to be up to date.
    pub away_since: Option<Instant>,
    /// What is wrong with what is read, for those who run the service.
    pub problems: Vec<String>,
}

/// How reading the objects of one kind goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindStatus {
    pub of: GroupKind,
    /// It is read because its definition says what it is, and not because some object names it as a subscriber.
    pub defined: bool,
    /// Where it is served, as far as that is known.
    pub place: Option<Place>,
    pub state: State,
    pub reads: Reads,
}

/// How often a kind was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// How often all its objects were listed.
    pub lists: u64,
    restarts: [u64; Cause::ALL.len()],
}

impl Reads {
    /// Counts that reading had to begin again.
    pub fn note(&mut self, cause: Cause) {
        for (_, count) in Cause::ALL.iter().zip(&mut self.restarts).filter(|(it, _)| **it == cause) {
            *count += 1;
        }
    }

    /// How often reading had to begin again, by cause; all causes are there.
    pub fn restarts(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().zip(self.restarts)
    }
}

/// Why reading a kind had to begin again, be it from where it was or from nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The server has ended a watch, as it does with all of them after some minutes.
    Closed,
    /// The server does not know any more what happened since.
    Expired,
    /// The server cannot be reached, or the connection broke or fell silent.
    Unreachable,
    /// The server cannot answer now.
    Busy,
    /// The account may not, or is not known.
    Refused,
    /// The kind is not served.
    Absent,
    /// What came cannot be understood.
    Invalid,
    /// A fault of ours.
    Died,
}

impl Cause {
    pub const ALL: [Self; 8] = [
        Self::Closed,
        Self::Expired,
        Self::Unreachable,
        Self::Busy,
        Self::Refused,
        Self::Absent,
        Self::Invalid,
        Self::Died,
    ];

    /// A stable name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Expired => "expired",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Absent => "absent",
            Self::Invalid => "invalid",
            Self::Died => "died",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Being listed for the first time: so many objects have come, of so many where that is known.
    Listing { seen: usize, expected: Option<usize> },
    /// It cannot be listed for the first time, and the catalog is not complete without it.
    Missing { why: Arc<str> },
    /// It cannot be listed, and the catalog is complete without it.
    LeftOut { why: Arc<str> },
    /// Listed, and kept up to date.
    Live,
    /// Listed, and not kept up to date any more.
    Stale { since: Instant, why: Arc<str> },
}

impl State {
    /// A stable name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Listing { .. } => "listing",
            Self::Missing { .. } => "missing",
            Self::LeftOut { .. } => "left-out",
            Self::Live => "live",
            Self::Stale { .. } => "stale",
        }
    }

    /// The catalog is not complete before this has changed.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Self::Listing { .. } | Self::Missing { .. })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listing { seen, expected: Some(expected) } => write!(f, "listing, {seen} of {expected} objects"),
            Self::Listing { seen, expected: None } => write!(f, "listing, {seen} objects"),
            Self::Missing { why } => write!(f, "cannot be listed: {why}"),
            Self::LeftOut { why } => write!(f, "left out: {why}"),
            Self::Live => f.write_str("live"),
            Self::Stale { since, why } => write!(f, "not up to date for {} s: {why}", since.elapsed().as_secs()),
        }
    }
}

impl Status {
    /// How old an answer may be, where it is not up to date.
    pub fn age(&self) -> Option<Duration> {
        self.stale_since.map(|since| since.elapsed())
    }

    /// How long a kind has not been up to date; `None` where it was never read.
    pub fn age_of(&self, kind: &KindStatus) -> Option<Duration> {
        let since = match kind.state {
            State::Live => None,
            State::Stale { since, .. } => Some(since),
            State::Listing { .. } | State::Missing { .. } | State::LeftOut { .. } => return None,
        };
        let since = since.into_iter().chain(self.away_since).min();
        Some(since.map(|it| it.elapsed()).unwrap_or_default())
    }

    /// Where the kinds are served.
    pub fn places(&self) -> Places {
        self.kinds.iter().filter_map(|it| Some((it.of.clone(), it.place.clone()?))).collect()
    }

    /// What is still waited for, in a sentence for callers. Kinds that are read only because an object names them are
    /// neither told apart nor counted: who may not see that object need not know of it.
    pub fn awaited(&self) -> String {
        let (defined, named): (Vec<_>, Vec<_>) = self.kinds.iter().partition(|it| it.defined);
        let awaited = |kinds: &[&KindStatus]| {
            kinds.iter().filter(|it| it.state.is_awaited()).map(|it| it.of.to_string()).collect::<Vec<_>>()
        };
        let mut waiting = awaited(&defined);
        let listed = defined.len() - waiting.len();
        waiting.extend((!awaited(&named).is_empty()).then(|| "kinds of subscribers".to_owned()));
        match &*waiting {
            [] => "nothing has been read yet".to_owned(),
            waiting => format!("{listed} of {} kinds read, waiting for {}", defined.len(), waiting.join(", ")),
        }
    }
}
