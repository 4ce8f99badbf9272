//! What the service tells those who run it: logs, metrics, traces, and the admin server.

pub mod admin;
pub mod build;
pub mod logs;
pub mod metrics;
pub mod traces;
