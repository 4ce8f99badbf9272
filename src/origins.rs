//! Where the facts come from. An origin holds only a [`crate::index::Feed`] and says three words: upsert, remove, replace.

pub mod kubernetes;
pub mod manifests;
