//! Who was let in and what for, and who was not: a line each, when that is news, and not with every poll. Never a token.
//!
//! What must stay true: whoever makes up tokens gets few lines, and those who do not go on being told of.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::{info, warn};

use super::Authenticator;
use super::limits::{Limits, network};
use super::user::User;
use crate::mesh::Grant;
use crate::mesh::grant::Scope;

/// Where these lines can be told from others.
const TARGET: &str = "eventmesh_catalog::audit";
/// How long a refusal is no news after it was told.
const NEWS_AFTER: Duration = Duration::from_mins(10);
/// How long it is remembered what somebody who does not ask any more was granted.
const REMEMBERED: Duration = Duration::from_hours(6);
/// How many grants and refusals are remembered.
const MAX_REMEMBERED: u64 = 10_000;

/// Remembers what was told.
pub struct Audit {
    /// What those of this name, uid and groups were granted.
    granted: moka::sync::Cache<Digest, Granted>,
    refused: moka::sync::Cache<[u8; 32], ()>,
    limited: moka::sync::Cache<IpAddr, ()>,
    refusals: Lines,
    failures: Lines,
}

/// Lines of one kind, of which each client may cause so many.
struct Lines {
    limits: Limits,
    /// How many were not told since the last that was.
    left_out: AtomicU64,
}

impl Default for Lines {
    fn default() -> Self {
        Self { limits: Limits::of_lines(), left_out: AtomicU64::new(0) }
    }
}

impl Lines {
    /// How many were left out before this one; `None` where it is left out as well.
    fn next(&self, from: IpAddr) -> Option<u64> {
        if self.limits.allow(from) {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// What is added to a line where others were left out before it.
fn beside(left_out: u64) -> String {
    if left_out == 0 { String::new() } else { format!("; {left_out} lines like this were left out") }
}

type Digest = [u8; 16];

/// As much of a grant as it takes to know it again: grants are large, and remembered for longer than they count.
#[derive(Clone)]
struct Granted {
    digest: Digest,
    /// For as long as it is in use, it is known at a glance.
    grant: Weak<Grant>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            granted: moka::sync::Cache::builder().max_capacity(MAX_REMEMBERED).time_to_idle(REMEMBERED).build(),
            refused: moka::sync::Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(NEWS_AFTER).build(),
            limited: moka::sync::Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(NEWS_AFTER).build(),
            refusals: Lines::default(),
            failures: Lines::default(),
        }
    }
}

impl Audit {
    /// Somebody may see this, which may be something else than before.
    pub fn granted(&self, user: &Arc<User>, from: IpAddr, authenticator: &Authenticator, grant: &Arc<Grant>) {
        if !self.is_news(user, grant) {
            return;
        }
        let (list, get) = (granted(grant), grant.get.kinds.len() + grant.get.objects.len());
        info!(
            target: TARGET,
            event = "grant",
            user = user.name.as_str(),
            uid = user.uid.as_str(),
            groups = ?user.groups,
            %from,
            %authenticator,
            list,
            get,
            "Granted to {:?}: {list}",
            user.name
        );
    }

    /// A token is not accepted. `token` is a keyed hash of it, to know it again.
    pub fn refused(&self, token: [u8; 32], from: IpAddr, reason: &str) {
        let Some(left_out) = self.refusal(token, from) else { return };
        let more = beside(left_out);
        warn!(target: TARGET, event = "refusal", %from, reason, left_out, "A token is refused: {reason}{more}");
    }

    /// Who somebody is, or what they may see, could not be found out. Whoever makes up tokens may cause that as well.
    pub fn unanswered(&self, from: IpAddr, reason: &str) {
        let Some(left_out) = self.failures.next(from) else { return };
        let more = beside(left_out);
        warn!(%from, reason, left_out, "A caller cannot be reviewed: {reason}{more}");
    }

    /// Too many tokens come from there.
    pub fn limited(&self, from: IpAddr) {
        if self.is_first(from) {
            warn!(target: TARGET, event = "limit", %from, "Too many tokens that are not known come from {from}");
        }
    }

    fn is_news(&self, user: &User, grant: &Arc<Grant>) -> bool {
        let who = digest(&(&user.name, &user.uid, &user.groups));
        let known = self.granted.get(&who);
        // What is weakly held keeps its place, so that no other one can be there.
        if known.as_ref().is_some_and(|it| it.grant.as_ptr() == Arc::as_ptr(grant)) {
            return false;
        }
        let now = Granted { digest: digest(&**grant), grant: Arc::downgrade(grant) };
        let is_news = known.is_none_or(|it| it.digest != now.digest);
        self.granted.insert(who, now);
        is_news
    }

    /// How many refusals were left out before this one; `None` where it is no news, or left out as well. What is left out
    /// is not remembered either, so that those who are told of are not forgotten for it.
    fn refusal(&self, token: [u8; 32], from: IpAddr) -> Option<u64> {
        if self.refused.contains_key(&token) {
            return None;
        }
        let left_out = self.refusals.next(from)?;
        self.refused.insert(token, ());
        Some(left_out)
    }

    fn is_first(&self, from: IpAddr) -> bool {
        self.limited.entry(network(from)).or_insert(()).is_fresh()
    }
}

/// A hash that does not depend on anything but the value, and that nobody finds another value for.
fn digest(value: &impl Hash) -> Digest {
    #[derive(Default)]
    struct Writer(blake3::Hasher);
    impl Hasher for Writer {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        // Nobody asks for it.
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut writer = Writer::default();
    value.hash(&mut writer);
    let mut digest = [0; 16];
    writer.0.finalize_xof().fill(&mut digest);
    digest
}

/// What may be listed, in short.
fn granted(grant: &Grant) -> String {
    if grant.is_everything() {
        return "everything".into();
    }
    let kinds = grant.list.kinds.iter().map(|(of, scope)| match scope {
        Scope::Everywhere => format!("{of}"),
        Scope::Namespaces(namespaces) => format!("{of} in {} namespaces", namespaces.len()),
    });
    let kinds: Vec<_> = kinds.collect();
    if kinds.is_empty() { "nothing".into() } else { kinds.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn token(n: u32) -> [u8; 32] {
        *blake3::hash(&n.to_le_bytes()).as_bytes()
    }

    #[test]
    fn whoever_makes_up_tokens_gets_few_lines_and_others_are_not_forgotten() {
        let audit = Audit::default();
        let (honest, flood) = (address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(audit.refusal(token(0), honest), Some(0));
        let told = (1..30_001).filter(|n| audit.refusal(token(*n), flood).is_some()).count();
        assert!((10..60).contains(&told), "{told}");
        // It is no news, even after so many others; what is left out is counted.
        assert_eq!(audit.refusal(token(0), honest), None);
        assert_eq!(audit.refusal(token(40_000), honest), Some(30_000 - told as u64));
        assert_eq!(audit.refusal(token(40_001), honest), Some(0));
    }

    #[test]
    fn what_cannot_be_found_out_is_told_so_often_for_a_client() {
        let audit = Audit::default();
        let told = (0..10_000).filter(|_| audit.failures.next(address("192.0.2.1")).is_some()).count();
        assert!((10..60).contains(&told), "{told}");
        assert!(audit.failures.next(address("192.0.2.2")).is_some_and(|it| it > 9_000));
        assert_eq!(audit.refusal(token(0), address("192.0.2.1")), Some(0), "refusals are another matter");
    }

    #[test]
    fn that_a_network_is_held_up_is_told_once() {
        let audit = Audit::default();
        for (from, expected) in [
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
        ] {
            assert_eq!(audit.is_first(address(from)), expected, "{from}");
        }
    }

    #[test]
    fn what_is_granted_is_news_when_it_is_something_else() {
        let audit = Audit::default();
        let user = |name: &str, uid: &str, groups: &[&str]| User {
            name: name.into(),
            uid: uid.into(),
            groups: groups.iter().map(|it| (*it).to_owned()).collect(),
            ..User::default()
        };
        let within = |namespaces: &[&str]| {
            let namespaces = namespaces.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();
            Arc::new(Grant::scoped(Scope::Namespaces(namespaces)))
        };
        let jane = user("jane", "1", &["a"]);
        let first = within(&["shop"]);
        assert!(audit.is_news(&jane, &first) && !audit.is_news(&jane, &first));
        assert_eq!((Arc::strong_count(&first), Arc::weak_count(&first)), (1, 1), "it is not kept");
        drop(first);
        let cases = [
            (user("jane", "1", &["a"]), within(&["shop"]), false),
            (User { extra: [("x".into(), vec!["1".into()])].into(), ..jane.clone() }, within(&["shop"]), false),
            (user("jane", "1", &["a"]), within(&["sh", "op"]), true),
            (user("jane", "1", &["a"]), Arc::new(Grant::everything()), true),
            (user("jane", "1", &["a"]), Arc::new(Grant::everything()), false),
            (user("jane", "1", &["a", "b"]), Arc::new(Grant::everything()), true),
            (user("jane", "1", &["ab"]), Arc::new(Grant::everything()), true),
            (user("jane", "2", &["a"]), Arc::new(Grant::everything()), true),
            (user("jane1", "", &["a"]), Arc::new(Grant::everything()), true),
        ];
        for (n, (user, grant, expected)) in cases.into_iter().enumerate() {
            assert_eq!(audit.is_news(&user, &grant), expected, "case {n}");
        }
    }
}
