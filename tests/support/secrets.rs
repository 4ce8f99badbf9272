//! Tokens that were used, which nobody may read anywhere.

use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;

use kube::config::Kubeconfig;

/// So many bytes of a token are too many. Shorter texts are words that a log may have anyway.
const PIECE: usize = 20;

/// The tokens of a test.
#[derive(Default)]
pub struct Secrets(Mutex<BTreeSet<String>>);

impl Secrets {
    /// Those of the kubeconfigs among the arguments of a command.
    pub fn of_kubeconfigs(arguments: &[&str]) -> Self {
        let secrets = Self::default();
        for file in arguments.windows(2).filter(|it| it[0] == "--kubeconfig").map(|it| it[1]) {
            // The type hides them, except where it is written.
            let content = Kubeconfig::read_from(file).ok().and_then(|it| serde_json::to_value(it).ok());
            for user in content.iter().filter_map(|it| it["users"].as_array()).flatten() {
                secrets.remember(user["user"]["token"].as_str().unwrap_or_default());
            }
        }
        secrets
    }

    pub fn remember(&self, token: &str) {
        let mut tokens = self.0.lock().unwrap();
        if token.len() >= PIECE && !tokens.contains(token) {
            tokens.insert(token.to_owned());
        }
    }

    /// Fails where a text has a piece of one, and does not say which.
    pub fn are_not_in(&self, what: &str, text: &str) {
        let tokens = self.0.lock().unwrap();
        let pieces: HashSet<_> = tokens.iter().flat_map(|it| it.as_bytes().windows(PIECE)).collect();
        let found = text.as_bytes().windows(PIECE).position(|it| pieces.contains(it));
        if let Some(place) = found {
            let before = String::from_utf8_lossy(&text.as_bytes()[place.saturating_sub(200)..place]);
            panic!("there is a piece of a token in {what}, after `{before}`");
        }
    }
}
