//! The protocols, the configuration language and the plans of elver.
//!
//! Everything here is pure: no clock, no socket, no thread, no global state.
//! Protocol machines take inputs and give back effects as data; the processes
//! in the `elver` crate carry those out.
#![forbid(unsafe_code)]

pub mod api;
pub mod config;
pub mod edit_rules;
pub mod ipvsadm;
pub mod service;
