//! Hears when roles or their bindings change, and whom that concerns, so that nothing is granted by what they were.
//!
//! What is allowed is not looked at. What must stay true: what changed while nobody listened counts as a change for
//! everybody as soon as somebody listens again, and until then what was decided counts for a short time only.

mod bindings;
mod changes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

pub use self::bindings::Subjects;
use self::bindings::{Bindings, Named, Whom, binds};
use self::changes::Changes;
use crate::kubernetes::backoff::{Backoff, random};
use crate::kubernetes::endpoint::Endpoint;
use crate::kubernetes::failure::Failure;
use crate::kubernetes::list::{PAGE, ResourceVersion, Scope, current_version, list};
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

/// A kind and its plural.
type Kind = (&'static str, &'static str);

/// The state of what rights are made of.
#[derive(Debug)]
pub struct Rbac {
    state: Mutex<State>,
    /// Only those who watch look at them: there may be many, and nobody who is answered waits for a look at all.
    bindings: Mutex<Bindings>,
}

/// What is looked at for each request.
#[derive(Debug)]
struct State {
    changes: Changes,
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
        let state = State { changes: Changes::default(), unheard, heard: BTreeMap::new() };
        Self { state: Mutex::new(state), bindings: Mutex::default() }
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
        let mut position = None;
        loop {
            let Err(failure) = self.hear(&server, &scope, (kind, plural), &mut position, &mut backoff).await;
            self.note_unheard((kind, plural), &failure);
            if let Failure::Expired | Failure::Absent | Failure::TooLarge | Failure::Garbled(_) = failure {
                position = None;
            }
            backoff.wait(Some(&failure), &mut woken).await;
        }
    }

    /// Goes on as long as all changes are heard of.
    async fn hear(
        &self,
        server: &Server,
        scope: &Scope,
        kind: Kind,
        position: &mut Option<ResourceVersion>,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, Failure> {
        loop {
            // Of a server that was restored from a backup, what is known may never have been.
            if let Some(known) = position
                && current_version(server, scope).await?.is_before(known)
            {
                *position = None;
            }
            let version = match position {
                Some(known) => known,
                None => position.insert(self.know(server, scope, kind).await?),
            };
            let mut watch = Watch::open(server, scope, version, random()).await?;
            let opened = Instant::now();
            self.note_opened(kind);
            while let Some(event) = watch.next().await? {
                self.note_event(kind, &event)?;
                version.clone_from(watch.version());
            }
            self.bindings().note_current(kind.0, false);
            if opened.elapsed() < GOOD {
                return Err(Failure::Unreachable("the watch ended as soon as it began".into()));
            }
            *backoff = Backoff::default();
        }
    }

    /// Begins anew with a kind, and says from which state on: what happened before was not heard.
    async fn know(&self, server: &Server, scope: &Scope, (kind, _): Kind) -> Result<ResourceVersion, Failure> {
        let version = if binds(kind) {
            let listed = list(server, scope, PAGE, Named::read, |_| ()).await?;
            self.bindings().know(kind, listed.objects);
            listed.version
        } else {
            // Whom a role concerns is told by bindings.
            current_version(server, scope).await?
        };
        self.state().changes.note(&Whom::Everybody);
        Ok(version)
    }

    fn note_opened(&self, (kind, plural): Kind) {
        self.bindings().note_current(kind, true);
        self.state().note_heard(plural);
    }

    fn note_event(&self, (kind, plural): Kind, event: &Event) -> Result<(), Failure> {
        let whom = match event {
            Event::Bookmark => None,
            Event::Changed(object) => Some(self.bindings().changed(kind, object.get())?),
            Event::Deleted(object) => Some(self.bindings().deleted(kind, object.get())?),
        };
        let mut state = self.state();
        state.note_heard(plural);
        if let Some(whom) = whom {
            state.changes.note(&whom);
        }
        Ok(())
    }

    fn note_unheard(&self, (kind, plural): Kind, failure: &Failure) {
        self.bindings().note_current(kind, false);
        if self.state().note_unheard(plural, failure) {
            warn!(
                resource = plural,
                reason = %failure,
                "Changes of {plural} are not heard of, so that rights are asked for every {} s: {failure}",
                UNWATCHED.as_secs()
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bindings(&self) -> MutexGuard<'_, Bindings> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note_heard(&mut self, plural: &'static str) {
        self.heard.insert(plural, Instant::now());
        if self.unheard.remove(plural).is_some() && self.unheard.is_empty() {
            info!("Changes of roles and bindings are heard of, and count at once");
        }
    }

    /// Whether that is news.
    fn note_unheard(&mut self, plural: &'static str, failure: &Failure) -> bool {
        let why = failure.to_string();
        self.heard.remove(plural);
        self.unheard.insert(plural, why.clone()).is_none_or(|it| it != why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::user::User;

    const ROLE: Kind = ("Role", "roles");
    const ROLE_BINDING: Kind = ("RoleBinding", "rolebindings");

    fn somebody(name: &str) -> Subjects {
        Subjects::of(&User { name: name.into(), ..User::default() })
    }

    #[test]
    fn nothing_is_settled_right_after_a_change_and_what_is_unheard_of_counts_for_less() {
        let rbac = Rbac::default();
        let jane = somebody("jane");
        let moment = || rbac.moment(&jane);
        assert_eq!(moment(), Moment { epoch: 0, is_settled: true, lifetime: UNWATCHED });
        assert_eq!(rbac.problems().len(), KINDS.len());
        for kind in KINDS {
            rbac.note_opened(kind);
        }
        assert_eq!(moment().lifetime, WATCHED);
        assert_eq!(rbac.problems(), [""; 0]);
        rbac.state().changes.note(&Whom::Everybody);
        assert_eq!(moment(), Moment { epoch: 1, is_settled: false, lifetime: WATCHED });
        rbac.state().changes.grow_older(LAG);
        assert_eq!(moment(), Moment { epoch: 1, is_settled: true, lifetime: WATCHED });
        rbac.state().heard.insert("roles", Instant::now().checked_sub(SILENCE).unwrap());
        assert_eq!(moment().lifetime, UNWATCHED, "who is silent may be cut off");
        rbac.note_event(ROLE, &Event::Bookmark).unwrap();
        assert_eq!(moment(), Moment { epoch: 1, is_settled: true, lifetime: WATCHED });
        rbac.note_unheard(ROLE, &Failure::Refused("no".into()));
        assert_eq!(moment().lifetime, UNWATCHED);
        assert_eq!(rbac.problems(), ["changes of roles are not heard of: refused: no"]);
    }

    #[test]
    fn a_change_of_a_role_counts_for_those_who_are_bound_to_it_while_bindings_are_heard_of() {
        let rbac = Rbac::default();
        let epochs = || ["jane", "john"].map(|it| rbac.moment(&somebody(it)).epoch);
        let binding = r#"{"metadata": {"namespace": "shop", "name": "a"}, "subjects": [{"kind": "User", "name": "jane"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}}"#;
        let role = r#"{"metadata": {"namespace": "shop", "name": "reader"}}"#;
        let changed = |text: &str| Event::Changed(serde_json::from_str(text).unwrap());
        rbac.bindings().know("RoleBinding", vec![]);
        rbac.bindings().know("ClusterRoleBinding", vec![]);
        for kind in KINDS {
            rbac.note_opened(kind);
        }
        rbac.note_event(ROLE, &changed(role)).unwrap();
        assert_eq!(epochs(), [0, 0], "nobody is bound to it");
        rbac.note_event(ROLE_BINDING, &changed(binding)).unwrap();
        rbac.note_event(ROLE, &changed(role)).unwrap();
        assert_eq!(epochs(), [3, 0]);
        rbac.note_unheard(ROLE_BINDING, &Failure::Refused("no".into()));
        rbac.note_event(ROLE, &changed(role)).unwrap();
        assert_eq!(epochs(), [4, 4], "there may be other bindings");
        rbac.note_opened(ROLE_BINDING);
        rbac.note_event(ROLE, &changed(role)).unwrap();
        assert_eq!(epochs(), [5, 4], "those that there were are told of after the others");
    }
}
