//! A kind that may not be listed: the objects that are named, asked for one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::sync::watch;

use super::backoff::Backoff;
use super::convert::Converter;
use super::list::{Scope, current_version};
use super::reflect::{Object, Report, Teller, Unwanted, read};
use super::server::{Failure, Server};
use crate::mesh::Key;

/// How often all are asked for again.
const REFRESH: Duration = Duration::from_mins(1);
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

impl Fetcher {
    /// Goes on until nobody listens, or until the kind may be listed after all.
    pub async fn run(mut self) -> Result<(), Unwanted> {
        let mut backoff = Backoff::default();
        let mut known = BTreeMap::new();
        loop {
            let names = self.names.borrow_and_update().clone();
            match self.fetch(&names, &known).await {
                Ok(found) => {
                    backoff = Backoff::default();
                    let refused = names.len() - found.len();
                    known = found.into_iter().filter_map(|(key, object)| Some((key, object?))).collect();
                    self.teller.tell(Report::Listed(known.values().cloned().collect())).await?;
                    if refused > 0 {
                        let of = names.len();
                        let why = format!("it may not be listed, and {refused} of {of} named objects may not be read");
                        self.teller.tell(Report::LeftOut(why)).await?;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(REFRESH) => (),
                        Ok(()) = self.names.changed() => (),
                        Ok(()) = self.woken.changed() => (),
                    }
                }
                Err(failure) => {
                    self.teller.tell(Report::Failed(failure.clone())).await?;
                    backoff.wait(Some(&failure), &mut self.woken).await;
                }
            }
            if current_version(&self.server, &self.scope).await.is_ok() {
                return self.teller.tell(Report::MayBeListed).await;
            }
        }
    }

    /// The objects that are there, `None` for those that are not; what may not be read is left out. What could be read
    /// before and may not any more is an outage (`semantics.md` 7.4).
    async fn fetch(
        &self,
        names: &BTreeSet<Key>,
        known: &BTreeMap<Key, Object>,
    ) -> Result<BTreeMap<Key, Option<Object>>, Failure> {
        let fetch = async |key: &Key| (key.clone(), self.fetch_one(key).await);
        let mut answers = futures_util::stream::iter(names.iter().map(fetch)).buffer_unordered(AT_A_TIME);
        let mut found = BTreeMap::new();
        while let Some((key, answer)) = answers.next().await {
            match answer {
                Ok(object) => found.insert(key, Some(object)),
                Err(Failure::Absent) => found.insert(key, None),
                Err(Failure::Refused(_)) if !known.contains_key(&key) => None,
                Err(failure) => return Err(failure),
            };
        }
        Ok(found)
    }

    async fn fetch_one(&self, key: &Key) -> Result<Object, Failure> {
        let path = self.scope.endpoint.path_of(key);
        let object: Value = self.server.json(&path, self.scope.form.accept()).await?;
        Ok(read(&self.converter, &self.scope, &object)?)
    }
}
