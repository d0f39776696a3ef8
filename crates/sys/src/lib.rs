//! Linux for elver.

pub mod privilege;
pub mod process;
