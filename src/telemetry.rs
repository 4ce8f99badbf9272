//! What the service tells those who run it: logs, metrics, and the admin server.

pub mod admin;
pub mod build;
pub mod logs;
pub mod metrics;
