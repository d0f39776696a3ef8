//! Linux for elver.

pub mod names;
