//! Objects in the form of Kubernetes: which kinds there are and how they are read.

pub mod convert;
mod event_type;
mod fields;
mod filters;
pub mod kinds;
pub mod reference;
