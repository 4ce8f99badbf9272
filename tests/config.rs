//! The files that deploy the service, `doctor`, which says what is missing, and the commands of the documentation: judged by
//! a real API server.
//!
//! Nothing of a role is there that is not needed: for each right, an account without it is told by the service and by
//! `doctor` that it is missing, and what.

mod support;

#[path = "config/chart.rs"]
mod chart;
#[path = "docs/commands.rs"]
mod commands;
#[path = "config/doctor.rs"]
mod doctor;
#[path = "config/kubectl.rs"]
mod kubectl;
#[path = "config/manifests.rs"]
mod manifests;
#[path = "config/mesh.rs"]
mod mesh;
#[path = "config/rights.rs"]
mod rights;
