//! The event catalog of a Knative cluster or repository: which events exist, who sends them, who consumes them.
//!
//! ```text
//! roof     app, config, telemetry    builds, wires, supervises
//! 2nd      api                       HTTP: a token becomes a caller, a view becomes bytes
//! 1st      origins    access         where facts come from; who may see them
//!          index                     one writer, many readers
//!          kubernetes                asking an API server
//! ground   cesql  mesh               what a mesh is; no IO, no clock, no wire
//!          tally                     counts that all floors keep
//! ```
//!
//! An origin reports facts; the one indexer links them and publishes immutable snapshots; a request turns its token into
//! a grant, and `snapshot.view(&grant, …)` is the only way to read. No arrow points up or sideways.

// What others write (manifests, tokens, requests) must never end the process.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod cesql;
pub mod mesh;
pub mod tally;

pub mod index;
pub mod kubernetes;

pub mod access;
pub mod origins;

pub mod api;

pub mod app;
pub mod config;
pub mod telemetry;
