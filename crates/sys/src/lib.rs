//! Linux for elver.

pub mod capture;
pub mod namespace;
