//! Asking an API server: where things are served, one question, one list, one watch, and what can go wrong.
//!
//! What the answers mean is somebody else's business. Two ask: the origin that reads a cluster, and access, which has
//! callers and their rights reviewed.

pub mod backoff;
pub mod endpoint;
pub mod failure;
pub mod list;
pub mod paths;
pub mod server;
pub mod split;
pub mod watch;
