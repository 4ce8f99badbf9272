//! What is wrong with a mesh, for those who run it: dangling references, filters that match nothing and the like.
//!
//! Computed from a whole snapshot when somebody asks. None of this is an error of ours, and none of it changes an
//! answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::object::{Key, ObjectRef};
use super::resource::{EventType, Flaw, Resource, Subscriber, Subscription};
use super::snapshot::{Entry, Snapshot};
use crate::cesql::{ParseError, Verdict};

/// Something wrong with one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    pub subject: Key,
    pub finding: Finding,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// A field that could not be read.
    Flaw(Flaw),
    /// A CESQL expression that does not parse: nothing can be concluded from it, and Knative rejects it.
    UnparsableFilter { text: Arc<str>, error: ParseError },
    /// An object that is named is not there.
    Dangling { what: &'static str, to: Key },
    /// A trigger on a broker with event types, none of which can pass.
    MatchesNothing(Box<Mismatch>),
    /// A subscriber that is there, but is not known to Backstage.
    SubscriberWithoutId { subscriber: Key },
    /// A subscriber given only by URI.
    SubscriberUnknown,
    /// A trigger or subscription that names no broker or channel.
    NoConduit,
    /// An event type that declares no type.
    NoType,
}

/// A trigger, and the event type that is most like what passes it. Why not even that one does is found out when it is told:
/// an explanation repeats both, part by part.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    trigger: Arc<Resource>,
    closest: Arc<Resource>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Relations may be missing that are meant to be there.
    Warning,
    /// The object itself is wrong.
    Error,
}

impl Severity {
    /// As people and programs are told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Finding {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Flaw(_) => "unreadable-field",
            Self::UnparsableFilter { .. } => "unparsable-filter",
            Self::Dangling { .. } => "dangling-reference",
            Self::MatchesNothing(_) => "filter-matches-nothing",
            Self::SubscriberWithoutId { .. } => "subscriber-without-id",
            Self::SubscriberUnknown => "subscriber-unknown",
            Self::NoConduit => "no-conduit",
            Self::NoType => "no-type",
        }
    }

    pub fn severity(&self) -> Severity {
        match self {
            Self::Flaw(_) | Self::UnparsableFilter { .. } | Self::NoConduit | Self::NoType => Severity::Error,
            _ => Severity::Warning,
        }
    }
}

/// The names of all findings.
pub const CODES: [(&str, Severity); 8] = [
    ("unreadable-field", Severity::Error),
    ("unparsable-filter", Severity::Error),
    ("dangling-reference", Severity::Warning),
    ("filter-matches-nothing", Severity::Warning),
    ("subscriber-without-id", Severity::Warning),
    ("subscriber-unknown", Severity::Warning),
    ("no-conduit", Severity::Error),
    ("no-type", Severity::Error),
];

impl fmt::Display for Finding {
    /// One sentence that names the thing and, where there is one, the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flaw(Flaw { field, problem }) if field.is_empty() => f.write_str(problem),
            Self::Flaw(Flaw { field, problem }) => write!(f, "{field}: {problem}"),
            Self::UnparsableFilter { text, error } => {
                write!(f, "the CESQL filter `{text}` does not parse: {error}")
            }
            Self::Dangling { what, to } => write!(f, "its {what} is {to}, which does not exist"),
            Self::MatchesNothing(mismatch) => {
                write!(f, "the filter matches no event type of its broker")?;
                let explained = mismatch.trigger.subscription().zip(mismatch.closest.event_type());
                let Some((subscription, event_type)) = explained else { return Ok(()) };
                write!(f, "; for {} it is {}", mismatch.closest.key, subscription.explain(event_type))
            }
            Self::SubscriberWithoutId { subscriber } => {
                write!(f, "{subscriber} has no Backstage label, so that nobody is shown as the consumer; label it")
            }
            Self::SubscriberUnknown => {
                f.write_str("the subscriber is given only by uri, so that nobody is shown as the consumer; give a ref")
            }
            Self::NoConduit => f.write_str("names no broker or channel to listen to"),
            Self::NoType => f.write_str("declares no type"),
        }
    }
}

/// All that is wrong, sorted by object.
pub fn diagnose(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let about = |entry| findings(snapshot, entry).into_iter().map(move |finding| (entry, finding));
    let diagnostic = |(entry, finding): (&Entry, _)| Diagnostic { subject: entry.resource.key.clone(), finding };
    snapshot.entries().flat_map(about).map(diagnostic).collect()
}

/// How often each finding is made; those that are not made are there with 0.
pub fn count(snapshot: &Snapshot) -> BTreeMap<(&'static str, Severity), u64> {
    let mut counts: BTreeMap<_, _> = CODES.into_iter().map(|it| (it, 0)).collect();
    for finding in snapshot.entries().flat_map(|entry| findings(snapshot, entry)) {
        *counts.entry((finding.code(), finding.severity())).or_default() += 1;
    }
    counts
}

fn findings(snapshot: &Snapshot, entry: &Entry) -> Vec<Finding> {
    let resource = &entry.resource;
    let mut findings: Vec<_> = resource.flaws.iter().cloned().map(Finding::Flaw).collect();
    let mut dangling = |what, to: Option<&Key>| {
        let missing = to.filter(|to| snapshot.get(to).is_none());
        findings.extend(missing.map(|to| Finding::Dangling { what, to: to.clone() }));
    };
    if let Some(event_type) = resource.event_type() {
        dangling("reference", event_type.reference.as_ref());
        findings.extend(event_type.declared.is_empty().then_some(Finding::NoType));
    } else if let Some(subscription) = resource.subscription() {
        let on_trigger = resource.key.of.kind.as_ref() == "Trigger";
        dangling(if on_trigger { "broker" } else { "channel" }, subscription.conduit.as_ref());
        dangling("subscriber", subscription.subscriber());
        dangling("reply", subscription.reply.as_ref());
        findings.extend(subscription.conduit.is_none().then_some(Finding::NoConduit));
        findings.extend(subscriber(snapshot, subscription));
        let unparsable = subscription.filter.unparsable().into_iter();
        findings.extend(
            unparsable.map(|(text, error)| Finding::UnparsableFilter { text: text.clone(), error: error.clone() }),
        );
        findings.extend(matches_nothing(snapshot, resource));
    } else if entry.links.source.is_some() {
        dangling("sink", resource.duck().and_then(|it| it.sink.as_ref()));
    }
    findings
}

fn subscriber(snapshot: &Snapshot, subscription: &Subscription) -> Option<Finding> {
    match &subscription.subscriber {
        Subscriber::Absent => None,
        Subscriber::Uri => Some(Finding::SubscriberUnknown),
        Subscriber::Object(key) => {
            let entry = snapshot.get(key)?;
            // A conduit passes events on; who consumes them there is said there.
            let consumes = entry.links.conduit.is_none() && entry.resource.backstage_id.is_none();
            consumes.then(|| Finding::SubscriberWithoutId { subscriber: key.clone() })
        }
    }
}

fn matches_nothing(snapshot: &Snapshot, trigger: &Arc<Resource>) -> Option<Finding> {
    let subscription = trigger.subscription()?;
    let conduit = snapshot.get(subscription.conduit.as_ref()?)?.links.conduit.as_deref()?;
    let types = || conduit.provides.iter().filter_map(|it| declared(snapshot, &it.event_type));
    if types().any(|(_, it)| subscription.verdict(it) != Verdict::Never) {
        return None;
    }
    let wanted = subscription.filter.wanted_type().unwrap_or_default();
    let (closest, _) = types().max_by_key(|(_, it)| likeness(&it.declared, wanted))?;
    Some(Finding::MatchesNothing(Box::new(Mismatch { trigger: trigger.clone(), closest: closest.clone() })))
}

fn declared<'a>(snapshot: &'a Snapshot, key: &ObjectRef) -> Option<(&'a Arc<Resource>, &'a EventType)> {
    let resource = &snapshot.get(key)?.resource;
    Some((resource, resource.event_type()?))
}

/// How much two texts have in common at their ends: enough to find the type that a typo was meant to be.
fn likeness(a: &str, b: &str) -> usize {
    let common = |pairs: &mut dyn Iterator<Item = (char, char)>| pairs.take_while(|(a, b)| a == b).count();
    common(&mut a.chars().zip(b.chars())) + common(&mut a.chars().rev().zip(b.chars().rev()))
}
