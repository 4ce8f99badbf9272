//! Who was let in and what for, and who was not: a line each, when that is news, and not with every poll. Never a token.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::Authenticator;
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
    granted: moka::sync::Cache<Arc<User>, Arc<Grant>>,
    refused: moka::sync::Cache<[u8; 32], ()>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            granted: moka::sync::Cache::builder().max_capacity(MAX_REMEMBERED).time_to_idle(REMEMBERED).build(),
            refused: moka::sync::Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(NEWS_AFTER).build(),
        }
    }
}

impl Audit {
    /// Somebody may see this, which may be something else than before.
    pub fn granted(&self, user: &Arc<User>, from: IpAddr, authenticator: &Authenticator, grant: &Arc<Grant>) {
        if self.granted.get(user).is_some_and(|it| it == *grant) {
            return;
        }
        self.granted.insert(user.clone(), grant.clone());
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
    pub fn refused(&self, token: [u8; 32], from: IpAddr, why: &str) {
        if self.refused.contains_key(&token) {
            return;
        }
        self.refused.insert(token, ());
        warn!(target: TARGET, event = "refusal", %from, why, "A token is refused: {why}");
    }
}

/// What may be listed, in short.
fn granted(grant: &Grant) -> String {
    if grant.is_everything() {
        return "everything".into();
    }
    let kinds = grant.list.kinds.iter().filter_map(|(of, scope)| match scope {
        Scope::Everywhere => Some(format!("{of}")),
        Scope::Namespaces(namespaces) if namespaces.is_empty() => None,
        Scope::Namespaces(namespaces) => Some(format!("{of} in {} namespaces", namespaces.len())),
    });
    let kinds: Vec<_> = kinds.collect();
    if kinds.is_empty() { "nothing".into() } else { kinds.join(", ") }
}
