//! Kubernetes: which kinds there are, how their objects are read, and how a cluster is kept up with.
//!
//! Reading is pure and shared with manifests: `kinds`, `convert` and what they use. A live cluster is read by [`cluster`],
//! which decides from definitions and subscribers what to read (`plan`) and runs a `reflect`or for each kind; [`once`] reads
//! the same a single time. Whether an account may do all that is found out by [`examine`].

pub mod cluster;
pub mod convert;
pub mod discover;
mod event_type;
pub mod examine;
mod fetch;
mod fields;
mod filters;
pub mod kinds;
mod lean;
mod named;
mod object;
pub mod once;
mod plan;
pub mod reference;
mod reflect;
pub mod rights;
