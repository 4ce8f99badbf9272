//! A kind that may not be listed: the objects that are named, asked for one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::convert::Converter;
use super::object::{Object, read};
use super::reflect::{Report, Teller, Unwanted};
use crate::kubernetes::backoff::Backoff;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::list::{Scope, current_version};
use crate::kubernetes::server::Server;
use crate::mesh::Key;

/// How often all are asked for again.
const REFRESH: Duration = Duration::from_mins(1);
/// How often to look whether more is allowed by now.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How many are asked for at the most: whoever writes triggers names as many as he likes.
const MAX_NAMES: usize = 1000;
/// How many are asked for at a time.
const AT_A_TIME: usize = 8;

/// Reads the named objects of one kind.
pub struct Fetcher {
    pub server: Server,
    pub scope: Scope,
    pub converter: Arc<Converter>,
    pub teller: Teller,
    pub names: watch::Receiver<BTreeSet<Key>>,
    pub woken: watch::Receiver<()>,
}

/// What the server said of an object.
#[derive(Debug, Clone)]
enum Answer {
    Found(Object),
    Absent,
    Refused,
}

type Answers = BTreeMap<Key, Answer>;

/// Which objects to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    All,
    New,
    Refused,
}

impl Fetcher {
    /// Goes on until nobody listens, or until the kind may be listed after all.
    pub async fn run(mut self) -> Result<(), Unwanted> {
        let mut backoff = Backoff::default();
        let (mut known, mut ask, mut refreshed) = (Answers::new(), Ask::All, Instant::now());
        loop {
            let mut names = self.names.borrow_and_update().clone();
            let too_many = names.len().saturating_sub(MAX_NAMES);
            while names.len() > MAX_NAMES {
                names.pop_last();
            }
            known.retain(|key, _| names.contains(key));
            match self.ask(ask, &names, &known).await {
                Ok(answers) => known.extend(answers),
                Err(failure) => {
                    self.teller.tell(Report::Failed(failure.clone())).await?;
                    backoff.wait(Some(&failure), &mut self.woken).await;
                    ask = Ask::All;
                    continue;
                }
            }
            backoff = Backoff::default();
            if ask == Ask::All {
                refreshed = Instant::now();
            }
            self.tell(&known, too_many).await?;
            ask = tokio::select! {
                () = sleep_until(refreshed + REFRESH) => Ask::All,
                () = sleep(LOOK_AGAIN) => Ask::Refused,
                Ok(()) = self.names.changed() => Ask::New,
                Ok(()) = self.woken.changed() => Ask::All,
            };
            if ask != Ask::New && self.may_be_listed().await {
                return self.teller.tell(Report::MayBeListed).await;
            }
        }
    }

    /// Whether it may be read as other kinds are. Some can be listed, and not watched.
    async fn may_be_listed(&self) -> bool {
        self.scope.endpoint.is_watchable && current_version(&self.server, &self.scope).await.is_ok()
    }

    /// Tells what is known, and how many objects may not be read.
    async fn tell(&self, known: &Answers, too_many: usize) -> Result<(), Unwanted> {
        let found =
            known.values().filter_map(|it| if let Answer::Found(object) = it { Some(object.clone()) } else { None });
        self.teller.tell(Report::Listed(found.collect())).await?;
        let refused = known.values().filter(|it| matches!(it, Answer::Refused)).count();
        if refused + too_many > 0 {
            let of = known.len() + too_many;
            let mut why = format!("it may not be listed, and {refused} of {of} named objects may not be read");
            if too_many > 0 {
                let _ = write!(why, "; {too_many} more are too many to be asked for one by one");
            }
            self.teller.tell(Report::LeftOut(why)).await?;
        }
        Ok(())
    }

    async fn ask(&self, ask: Ask, names: &BTreeSet<Key>, known: &Answers) -> Result<Answers, Failure> {
        match ask {
            Ask::All => self.fetch(names.iter(), known).await,
            Ask::New => self.fetch(names.iter().filter(|it| !known.contains_key(*it)), known).await,
            Ask::Refused => {
                let refused = || known.iter().filter(|(_, it)| matches!(it, Answer::Refused)).map(|(key, _)| key);
                // As long as one is refused, the others hardly are allowed; at the latest a refresh finds out.
                let first = self.fetch(refused().take(1), known).await?;
                let is_refused = first.values().any(|it| matches!(it, Answer::Refused));
                if is_refused { Ok(first) } else { self.fetch(refused(), known).await }
            }
        }
    }

    /// Asks for objects. What could be read before and may not any more is an outage (`semantics.md` 7.4).
    async fn fetch(&self, keys: impl Iterator<Item = &Key>, known: &Answers) -> Result<Answers, Failure> {
        let keys: Vec<_> = keys.cloned().collect();
        let fetch = async |key: Key| (key.clone(), self.fetch_one(&key).await);
        let mut answers = futures_util::stream::iter(keys.into_iter().map(fetch)).buffer_unordered(AT_A_TIME);
        let mut found = Answers::new();
        while let Some((key, answer)) = answers.next().await {
            let answer = match answer {
                Ok(object) => Answer::Found(object),
                Err(Failure::Absent) => Answer::Absent,
                Err(Failure::Refused(_)) if !matches!(known.get(&key), Some(Answer::Found(_))) => Answer::Refused,
                Err(failure) => return Err(failure),
            };
            found.insert(key, answer);
        }
        Ok(found)
    }

    async fn fetch_one(&self, key: &Key) -> Result<Object, Failure> {
        let path = self.scope.endpoint.path_of(key);
        let object: Box<RawValue> = self.server.json(&path, self.scope.form.of_one()).await?;
        read(&self.converter, &self.scope, object.get())
    }
}
