//! A cluster, read once: what there is, and what may not be read of it.
//!
//! What is read is decided as for keeping up with it (`plan`). What must stay true: what is told is whole, but for what is
//! told to be missing. So a question that is not answered is asked again until time is up, and then all of it has failed.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use super::cluster::PATIENCE_WITH_DISCOVERY;
use super::convert::Converter;
use super::discover::discover;
use super::kinds::{definition_kind, definitions_endpoint, known_definitions};
use super::named::Named;
use super::object::{Object, read as read_object};
use super::plan::{Defined, Definitions, Discovered, Wanted, plan};
use super::reflect::{MANY, PATIENCE_WITH_MANY, small_page};
use crate::kubernetes::backoff::Backoff;
use crate::kubernetes::endpoint::Endpoint;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::list::{Progress, Scope, list};
use crate::kubernetes::server::Server;
use crate::mesh::{GroupKind, Key, Resource, Update};

/// How many kinds, or objects of a kind, are asked for at a time.
const AT_A_TIME: usize = 4;
/// How often it is told how far a long list has got.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// How much is read, and how long that may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Nothing but these namespaces, as if there were no others; without any, all.
    pub namespaces: BTreeSet<String>,
    pub time: Duration,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Reading {
    pub updates: Vec<Update>,
    /// What a whole mesh would have beside that, by kind.
    pub missing: BTreeSet<Missing>,
}

/// Something that may not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    pub of: GroupKind,
    /// Of this namespace, where it is not all of them.
    pub namespace: Option<String>,
    pub why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, namespace, why } = self;
        match namespace {
            Some(namespace) => write!(f, "{of} in {namespace}: {why}"),
            None => write!(f, "{of}: {why}"),
        }
    }
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Away(Failure),
    #[error("{of}: {failure}")]
    Failed { of: GroupKind, failure: Failure },
    #[error("{of} was not read within {} s: {why}; give it more time with --timeout", .time.as_secs_f64())]
    Late { of: GroupKind, time: Duration, why: String },
}

/// An answer, or a refusal, which is one as well: asking again would not change it.
type Answer<T> = Result<T, Failure>;

/// Reads a cluster.
///
/// # Errors
/// When it cannot be asked, or does not answer in time. What may not be read is no error.
pub async fn read(server: &Server, converter: &Converter, limits: &Limits) -> Result<Reading, ReadError> {
    let deadline = Instant::now() + limits.time;
    // Nobody waits for a server that is not there, or that does not know who asks.
    if let Err(failure @ (Failure::Unreachable(_) | Failure::Unauthorized(_))) = server.version().await {
        return Err(ReadError::Away(failure));
    }
    let reader = Reader { server, converter, limits, deadline };
    let mut reading = Reading::default();
    let definitions = reader.definitions(&mut reading).await?;
    let (mut named, mut discovered, mut done) = (Named::default(), Discovered::new(), BTreeSet::new());
    loop {
        let wanted = plan(&definitions, named.kinds(), &discovered, converter.backstage_label());
        let unplaced = wanted.iter().filter(|(of, it)| it.scope.is_none() && !discovered.contains_key(*of));
        let unplaced: Vec<_> = unplaced.map(|(of, it)| (of.clone(), it.defined)).collect();
        if !unplaced.is_empty() {
            discovered.extend(reader.places(unplaced, &mut reading).await?);
            continue;
        }
        let next: BTreeMap<_, _> = wanted.into_iter().filter(|(of, _)| !done.contains(of)).collect();
        if next.is_empty() {
            return Ok(reading);
        }
        done.extend(next.keys().cloned());
        for (of, resources) in reader.kinds(next, &named, &mut reading).await? {
            named.replace(&of, resources.iter().map(|it| &**it));
            reading.updates.push(Update::Replace(of, resources));
        }
    }
}

impl Reading {
    fn miss(&mut self, of: &GroupKind, namespace: Option<&String>, why: impl fmt::Display) {
        self.missing.insert(Missing { of: of.clone(), namespace: namespace.cloned(), why: why.to_string() });
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    server: &'a Server,
    converter: &'a Converter,
    limits: &'a Limits,
    deadline: Instant,
}

impl Reader<'_> {
    /// Which kinds there are. Where that may not be read, those of Knative that are known are looked for.
    async fn definitions(&self, reading: &mut Reading) -> Result<Definitions, ReadError> {
        let (definitions, resources) = match self.list(&Scope::all(definitions_endpoint())).await? {
            Ok(objects) => {
                let defined: BTreeMap<_, _> = objects.into_iter().map(Defined::from_object).collect();
                let resources = defined.values().filter(|it| it.matters()).map(|it| it.resource.clone()).collect();
                (Definitions::Read(defined), resources)
            }
            Err(refusal) => {
                reading.miss(&definition_kind(), None, refusal);
                (Definitions::Refused, known_definitions())
            }
        };
        reading.updates.push(Update::Replace(definition_kind(), resources));
        Ok(definitions)
    }

    /// Where kinds are served. Where that may not be looked up, they are missing; and so are those that are only named where
    /// it cannot: whoever writes a trigger may name what a broken extension of the API server would serve.
    async fn places(&self, kinds: Vec<(GroupKind, bool)>, reading: &mut Reading) -> Result<Discovered, ReadError> {
        let soon = self.deadline.min(Instant::now() + PATIENCE_WITH_DISCOVERY);
        let place = async |(of, is_defined): (GroupKind, bool)| {
            let reader = if is_defined { *self } else { Self { deadline: soon, ..*self } };
            let found: Result<Answer<Option<Endpoint>>, _> =
                reader.insist(&of, async |_| discover(self.server, &of).await).await;
            match found {
                Err(ReadError::Late { why, .. }) if !is_defined && soon < self.deadline => Ok((of, Err(why))),
                found => found.map(|it| (of, it.map_err(|refusal| refusal.to_string()))),
            }
        };
        let found: Vec<_> = stream::iter(kinds.into_iter().map(place)).buffered(AT_A_TIME).try_collect().await?;
        let mut places = Discovered::new();
        for (of, endpoint) in found {
            let endpoint = endpoint.unwrap_or_else(|why| {
                reading.miss(&of, None, format!("where it is served cannot be looked up: {why}"));
                None
            });
            places.insert(of, endpoint);
        }
        Ok(places)
    }

    /// The objects of kinds.
    async fn kinds(
        &self,
        wanted: BTreeMap<GroupKind, Wanted>,
        named: &Named,
        reading: &mut Reading,
    ) -> Result<Vec<(GroupKind, Vec<Arc<Resource>>)>, ReadError> {
        let scopes = wanted.into_iter().flat_map(|(of, wanted)| {
            let subscribers = (!wanted.defined).then(|| named.of_kind(&of));
            let scopes = wanted.scope.map(|it| self.scopes(&it)).unwrap_or_default();
            scopes.into_iter().map(move |scope| (scope, subscribers.clone()))
        });
        let objects = async |(scope, subscribers): (Scope, Option<BTreeSet<Key>>)| {
            let (objects, missing) = self.objects(&scope, subscribers.as_ref()).await?;
            Ok((scope, objects, missing))
        };
        let answers: Vec<_> = stream::iter(scopes.map(objects)).buffered(AT_A_TIME).try_collect().await?;
        let mut kinds: BTreeMap<GroupKind, Vec<_>> = BTreeMap::new();
        for (Scope { endpoint, namespace, .. }, objects, missing) in answers {
            if let Some(why) = missing {
                reading.miss(&endpoint.of, namespace.as_ref(), why);
            }
            kinds.entry(endpoint.of).or_default().extend(objects.into_iter().map(|it| it.resource));
        }
        Ok(kinds.into_iter().collect())
    }

    /// What of a kind is read at once: all, or a namespace. What has no namespace is in none.
    fn scopes(&self, scope: &Scope) -> Vec<Scope> {
        let in_namespace = |it: &String| Scope { namespace: Some(it.clone()), ..scope.clone() };
        match &self.limits.namespaces {
            all if all.is_empty() => vec![scope.clone()],
            _ if !scope.endpoint.namespaced => vec![],
            namespaces => namespaces.iter().map(in_namespace).collect(),
        }
    }

    /// The objects of a scope, and why some are missing. Of a kind that is only named, these matter: they are asked for one
    /// by one where they may not be listed (`semantics.md` 7.3).
    async fn objects(
        &self,
        scope: &Scope,
        names: Option<&BTreeSet<Key>>,
    ) -> Result<(Vec<Object>, Option<String>), ReadError> {
        match (self.list(scope).await?, names) {
            (Ok(objects), _) => Ok((objects, None)),
            (Err(refusal), None) => Ok((vec![], Some(refusal.to_string()))),
            (Err(refusal), Some(names)) => {
                let is_in = |it: &&Key| scope.namespace.as_ref().is_none_or(|namespace| *it.namespace == **namespace);
                let names: Vec<_> = names.iter().filter(is_in).collect();
                let answers = stream::iter(names.iter().map(|it| self.object(scope, it))).buffered(AT_A_TIME);
                let answers: Vec<_> = answers.try_collect().await?;
                let refused = answers.iter().filter(|it| matches!(it, Err(Failure::Refused(_)))).count();
                let missing = (refused > 0).then(|| {
                    format!("{refusal}, and {refused} of {} objects that are named may not be read", answers.len())
                });
                Ok((answers.into_iter().filter_map(Result::ok).collect(), missing))
            }
        }
    }

    async fn object(&self, scope: &Scope, key: &Key) -> Result<Answer<Object>, ReadError> {
        let path = scope.endpoint.path_of(key);
        let ask = async |_| {
            let object: Box<RawValue> = self.server.json(&path, scope.form.of_one()).await?;
            read_object(self.converter, scope, object.get())
        };
        self.insist(&scope.endpoint.of, ask).await
    }

    async fn list(&self, scope: &Scope) -> Result<Answer<Vec<Object>>, ReadError> {
        let of = &scope.endpoint.of;
        let patient = self.server.with_patience(PATIENCE_WITH_MANY);
        let told = Cell::new(Instant::now());
        let ask = async |attempt| {
            let (server, page) = if attempt == 0 { (&patient, MANY) } else { (self.server, small_page(scope)) };
            let on_progress = |progress: Progress| {
                if told.get().elapsed() >= TOLD_EVERY {
                    told.set(Instant::now());
                    info!(kind = %of, "Reading {of}: {} objects, {} more", progress.seen, progress.remaining);
                }
            };
            let listed = list(server, scope, page, |it| read_object(self.converter, scope, it), on_progress).await?;
            Ok(listed.objects)
        };
        self.insist(of, ask).await
    }

    /// Asks until there is an answer. The first attempt may be one that asks for too much.
    async fn insist<T>(
        &self,
        of: &GroupKind,
        ask: impl AsyncFn(usize) -> Result<T, Failure>,
    ) -> Result<Answer<T>, ReadError> {
        let mut backoff = Backoff::default();
        let (mut attempt, mut why) = (0, "nothing has come yet".to_owned());
        let time = self.limits.time;
        loop {
            let Ok(answer) = timeout_at(self.deadline, ask(attempt)).await else {
                return Err(ReadError::Late { of: of.clone(), time, why });
            };
            let failure = match answer {
                Ok(answer) => return Ok(Ok(answer)),
                Err(refusal @ (Failure::Refused(_) | Failure::Absent)) => return Ok(Err(refusal)),
                Err(failure) => failure,
            };
            if !passes(&failure, attempt) {
                return Err(ReadError::Failed { of: of.clone(), failure });
            }
            let wait = backoff.next(Some(&failure));
            warn!(kind = %of, reason = %failure, "{of} cannot be read, and is asked for again: {failure}");
            (attempt, why) = (attempt + 1, failure.to_string());
            sleep_until(self.deadline.min(Instant::now() + wait)).await;
        }
    }
}

/// Whether another attempt may do better.
fn passes(failure: &Failure, attempt: usize) -> bool {
    match failure {
        Failure::Busy { .. } | Failure::Unreachable(_) | Failure::Expired => true,
        Failure::TooLarge | Failure::Garbled(_) => attempt == 0,
        Failure::Unauthorized(_) | Failure::Refused(_) | Failure::Absent => false,
    }
}
