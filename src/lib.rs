//! The event catalog.
pub mod cesql;
pub mod index;
pub mod mesh;
pub mod origins;
pub mod api;
pub mod access;
