//! api
pub mod dto;
