//! Which questions it takes to know what somebody may see, and what the answers come to: pure, so that the asking can be
//! done elsewhere.
//!
//! What must stay true: a grant has nothing in it that was not answered with yes for just that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::mesh::grant::{Rights, Scope};
use crate::mesh::{Grant, GroupKind, Key, Snapshot};

/// What is done with objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    List,
    Get,
}

impl Verb {
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
        }
    }
}

/// May somebody do this with the objects of a kind?
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    pub verb: Verb,
    pub of: GroupKind,
    /// `None`: in all of them.
    pub namespace: Option<Arc<str>>,
    /// `None`: with all of them.
    pub name: Option<Arc<str>>,
}

impl Question {
    fn everywhere(verb: Verb, of: &GroupKind) -> Self {
        Self { verb, of: of.clone(), namespace: None, name: None }
    }

    fn within(verb: Verb, of: &GroupKind, namespace: &Arc<str>) -> Self {
        Self { namespace: Some(namespace.clone()), ..Self::everywhere(verb, of) }
    }

    fn about(verb: Verb, object: &Key) -> Self {
        Self { name: Some(object.name.clone()), ..Self::within(verb, &object.of, &object.namespace) }
    }
}

/// What was answered.
pub type Answers = HashMap<Question, bool>;

/// What the answers come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It takes these answers to go on.
    Ask(Vec<Question>),
    Granted(Grant),
}

/// What somebody may see of a snapshot (`semantics.md` 7.2), or what has to be asked to know.
///
/// A kind is asked for as a whole, then, where that is refused, by the namespaces that hold objects of it. Subscribers
/// that may not be listed but are named by something visible are asked for in the same way, and one by one in the end.
pub fn decide(snapshot: &Snapshot, answers: &Answers) -> Outcome {
    let mut asking = Asking { answers, missing: vec![] };
    let list = asking.listed(snapshot);
    if !asking.missing.is_empty() {
        return Outcome::Ask(asking.missing);
    }
    let is_whole = sees_all(snapshot, &list);
    let mut grant = Grant { list, is_whole, ..Grant::default() };
    grant.get = asking.gotten(unseen_subscribers(snapshot, &grant));
    if asking.missing.is_empty() { Outcome::Granted(grant) } else { Outcome::Ask(asking.missing) }
}

/// Looks up answers and notes those that are missing.
struct Asking<'a> {
    answers: &'a Answers,
    missing: Vec<Question>,
}

impl Asking<'_> {
    /// `None`, and noted, where it is not known.
    fn answer(&mut self, question: Question) -> Option<bool> {
        let answer = self.answers.get(&question).copied();
        if answer.is_none() {
            self.missing.push(question);
        }
        answer
    }

    /// Unknown is never yes.
    fn may(&mut self, question: Question) -> bool {
        self.answer(question) == Some(true)
    }

    fn listed(&mut self, snapshot: &Snapshot) -> Rights {
        let mut rights = Rights::default();
        // What is served nowhere, nobody can list; and everybody sees definitions.
        let is_asked_for = |of: &GroupKind| snapshot.places().contains_key(of) && !is_defining(of);
        for (of, namespaces) in snapshot.extent().iter().filter(|(of, _)| is_asked_for(of)) {
            let scope = match self.answer(Question::everywhere(Verb::List, of)) {
                Some(true) => Scope::Everywhere,
                Some(false) => {
                    // Where there are no namespaces, that was the whole question.
                    let may = |it: &&Arc<str>| !it.is_empty() && self.may(Question::within(Verb::List, of, it));
                    Scope::Namespaces(namespaces.iter().filter(may).map(ToString::to_string).collect())
                }
                None => Scope::default(),
            };
            rights.allow(of.clone(), scope);
        }
        rights
    }

    fn gotten(&mut self, subscribers: Subscribers) -> Rights {
        let mut rights = Rights::default();
        for (of, by_namespace) in subscribers {
            let scope = match self.answer(Question::everywhere(Verb::Get, &of)) {
                Some(true) => Scope::Everywhere,
                Some(false) => {
                    let mut whole = BTreeSet::new();
                    for (namespace, objects) in by_namespace {
                        // Of a single one nothing is saved by asking for all.
                        let all = objects.len() > 1;
                        match all.then(|| self.answer(Question::within(Verb::Get, &of, &namespace))) {
                            Some(Some(true)) => _ = whole.insert(namespace.to_string()),
                            Some(None) => (),
                            Some(Some(false)) | None => {
                                let may = |it: &Key| self.may(Question::about(Verb::Get, it));
                                rights.objects.extend(objects.into_iter().filter(may));
                            }
                        }
                    }
                    Scope::Namespaces(whole)
                }
                None => Scope::default(),
            };
            rights.allow(of, scope);
        }
        rights
    }
}

/// By kind and namespace.
type Subscribers = BTreeMap<GroupKind, BTreeMap<Arc<str>, BTreeSet<Key>>>;

/// The subscribers of visible triggers and subscriptions that are not seen otherwise. Those without a Backstage id are
/// of no consequence.
fn unseen_subscribers(snapshot: &Snapshot, grant: &Grant) -> Subscribers {
    let mut unseen = Subscribers::new();
    for (subscription, subscriber) in snapshot.subscribers() {
        if grant.sees(subscriber) || !grant.sees(subscription) || !snapshot.places().contains_key(&subscriber.of) {
            continue;
        }
        let Some(entry) = snapshot.get(subscriber) else { continue };
        if entry.resource.backstage_id.is_some() {
            let by_namespace = unseen.entry(subscriber.of.clone()).or_default();
            by_namespace.entry(subscriber.namespace.clone()).or_default().insert(subscriber.clone());
        }
    }
    unseen
}

/// Whether nothing of a snapshot is left out.
fn sees_all(snapshot: &Snapshot, list: &Rights) -> bool {
    snapshot.extent().keys().all(|of| is_defining(of) || list.kinds.get(of) == Some(&Scope::Everywhere))
}

/// Definitions of kinds count as seen by everybody, and are in no list.
fn is_defining(of: &GroupKind) -> bool {
    of.is("apiextensions.k8s.io", "CustomResourceDefinition")
}

#[cfg(test)]
mod tests;
