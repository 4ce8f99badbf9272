//! Hears when roles or their bindings change, and whom that concerns, so that nothing is granted by what they were.
//!
//! What is allowed is not looked at. What must stay true: what changed while nobody listened counts as a change for
//! everybody as soon as somebody listens again, and until then what was decided counts for a short time only.

mod bindings;
mod changes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

pub use self::bindings::Subjects;
use self::bindings::{Bindings, Named, Whom, binds};
use self::changes::Changes;
use crate::kubernetes::backoff::{Backoff, random};
use crate::kubernetes::endpoint::Endpoint;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::list::{Listed, Scope, current_version, list};
use crate::kubernetes::paths::{RBAC_GROUP as GROUP, RBAC_KINDS as KINDS};
use crate::kubernetes::server::{Form, Server};
use crate::kubernetes::watch::{Event, Watch};
use crate::mesh::GroupKind;

/// How long a grant counts while changes are heard of.
const WATCHED: Duration = Duration::from_mins(1);
/// How long one counts while they are not.
const UNWATCHED: Duration = Duration::from_secs(10);
/// How long after a change the API server may still decide by what was before.
const LAG: Duration = Duration::from_secs(2);
/// API servers let hear of themselves about every minute; who says nothing for so long may have been cut off.
const SILENCE: Duration = Duration::from_secs(80);
/// A watch that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(5);
/// How many bindings are listed at a time.
const PAGE: usize = 500;

/// A kind and its plural.
type Kind = (&'static str, &'static str);

/// The state of what rights are made of.
#[derive(Debug)]
pub struct Rbac(Mutex<State>);

#[derive(Debug)]
struct State {
    changes: Changes,
    bindings: Bindings,
    /// What is not heard of, and why.
    unheard: BTreeMap<&'static str, String>,
    /// When something was last heard of the others.
    heard: BTreeMap<&'static str, Instant>,
}

/// A moment between two changes of somebody's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Another one after each change.
    pub epoch: u64,
    /// What is decided now is decided by what is now.
    pub is_settled: bool,
    /// How long what is decided now counts.
    pub lifetime: Duration,
}

impl Default for Rbac {
    fn default() -> Self {
        let unheard = KINDS.map(|(_, plural)| (plural, "not watched yet".to_owned())).into();
        let (changes, bindings, heard) = (Changes::default(), Bindings::default(), BTreeMap::new());
        Self(Mutex::new(State { changes, bindings, unheard, heard }))
    }
}

impl Rbac {
    /// The moment that it is for somebody.
    pub fn moment(&self, subjects: &Subjects) -> Moment {
        let state = self.state();
        let is_watched = state.unheard.is_empty() && state.heard.values().all(|it| it.elapsed() < SILENCE);
        let last = state.changes.last_of(subjects);
        Moment {
            epoch: last.epoch,
            is_settled: last.at.is_none_or(|it| it.elapsed() >= LAG),
            lifetime: if is_watched { WATCHED } else { UNWATCHED },
        }
    }

    /// What is wrong, for those who run the service.
    pub fn problems(&self) -> Vec<String> {
        let unheard = &self.state().unheard;
        let problem = |(plural, why): (_, _)| format!("changes of {plural} are not heard of: {why}");
        unheard.iter().map(problem).collect()
    }

    /// Watches for as long as the process lives.
    pub async fn keep_up(self: Arc<Self>, server: Server) {
        let watching = KINDS.map(|kind| self.clone().keep_up_with(server.clone(), kind));
        futures_util::future::join_all(watching).await;
    }

    async fn keep_up_with(self: Arc<Self>, server: Server, (kind, plural): Kind) {
        let endpoint = Endpoint {
            of: GroupKind::new(GROUP, kind),
            version: "v1".into(),
            plural: plural.into(),
            namespaced: !kind.starts_with("Cluster"),
            is_watchable: true,
        };
        let form = if binds(kind) { Form::Whole } else { Form::Metadata };
        let scope = Scope { form, ..Scope::all(endpoint) };
        // Nobody is there to wake it.
        let (_wake, mut woken) = tokio::sync::watch::channel(());
        let mut backoff = Backoff::default();
        loop {
            let Err(failure) = self.hear(&server, &scope, (kind, plural), &mut backoff).await;
            self.note_unheard((kind, plural), &failure);
            backoff.wait(Some(&failure), &mut woken).await;
        }
    }

    /// Goes on as long as all changes are heard of.
    async fn hear(
        &self,
        server: &Server,
        scope: &Scope,
        (kind, plural): Kind,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, Failure> {
        let Listed { objects, mut version } = if binds(kind) {
            list(server, scope, PAGE, Named::read, |_| ()).await?
        } else {
            // Whom a role concerns is told by bindings.
            Listed { objects: vec![], version: current_version(server, scope).await? }
        };
        let mut unheard = Some(objects);
        loop {
            let mut watch = Watch::open(server, scope, &version, random()).await?;
            if let Some(objects) = unheard.take() {
                self.note_all(kind, objects);
            }
            self.note_heard(plural);
            let opened = Instant::now();
            while let Some(event) = watch.next().await? {
                self.note_heard(plural);
                self.note_event(kind, &event)?;
                version.clone_from(watch.version());
            }
            if opened.elapsed() < GOOD {
                return Err(Failure::Unreachable("the watch ended as soon as it began".into()));
            }
            *backoff = Backoff::default();
        }
    }

    /// From here on, changes of a kind are heard of. What happened before was not heard.
    fn note_all(&self, kind: &'static str, objects: Vec<Named>) {
        let mut state = self.state();
        if binds(kind) {
            state.bindings.know(kind, objects);
        }
        state.changes.note(&Whom::Everybody);
    }

    fn note_event(&self, kind: &str, event: &Event) -> Result<(), Failure> {
        let State { changes, bindings, .. } = &mut *self.state();
        let whom = match event {
            Event::Bookmark => return Ok(()),
            Event::Changed(object) => bindings.changed(kind, object.get())?,
            Event::Deleted(object) => bindings.deleted(kind, object.get())?,
        };
        changes.note(&whom);
        Ok(())
    }

    fn note_heard(&self, plural: &'static str) {
        let mut state = self.state();
        state.heard.insert(plural, Instant::now());
        if state.unheard.remove(plural).is_some() && state.unheard.is_empty() {
            info!("Changes of roles and bindings are heard of, and count at once");
        }
    }

    fn note_unheard(&self, (kind, plural): Kind, failure: &Failure) {
        let why = failure.to_string();
        let mut state = self.state();
        state.bindings.forget(kind);
        state.heard.remove(plural);
        let is_news = state.unheard.insert(plural, why.clone()).is_none_or(|it| it != why);
        if is_news {
            warn!(
                resource = plural,
                reason = %failure,
                "Changes of {plural} are not heard of, so that rights are asked for every {} s: {failure}",
                UNWATCHED.as_secs()
            );
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::user::User;

    #[test]
    fn nothing_is_settled_right_after_a_change_and_what_is_unheard_of_counts_for_less() {
        let rbac = Rbac::default();
        let somebody = Subjects::of(&User { name: "somebody".into(), ..User::default() });
        let moment = || rbac.moment(&somebody);
        assert_eq!(moment(), Moment { epoch: 0, is_settled: true, lifetime: UNWATCHED });
        assert_eq!(rbac.problems().len(), KINDS.len());
        for (_, plural) in KINDS {
            rbac.note_heard(plural);
        }
        assert_eq!(moment().lifetime, WATCHED);
        assert_eq!(rbac.problems(), [""; 0]);
        rbac.note_all("Role", vec![]);
        assert_eq!(moment(), Moment { epoch: 1, is_settled: false, lifetime: WATCHED });
        rbac.state().changes.grow_older(LAG);
        assert_eq!(moment(), Moment { epoch: 1, is_settled: true, lifetime: WATCHED });
        rbac.state().heard.insert("roles", Instant::now().checked_sub(SILENCE).unwrap());
        assert_eq!(moment().lifetime, UNWATCHED, "who is silent may be cut off");
        rbac.note_heard("roles");
        assert_eq!(moment().lifetime, WATCHED);
        rbac.note_unheard(("Role", "roles"), &Failure::Refused("no".into()));
        assert_eq!(moment().lifetime, UNWATCHED);
        assert_eq!(rbac.problems(), ["changes of roles are not heard of: refused: no"]);
    }
}
