//! The configuration language: `keepalived.conf`.

pub mod model;
