//! The protocols, the configuration language and the plans of elver.
//!
//! Everything here is pure: no clock, no socket, no thread, no global state.
//! Protocol machines take inputs and give back effects as data; the processes
//! in the `elver` crate carry those out.
#![forbid(unsafe_code)]
// What clippy.toml forbids with its reasons; tests have to begin at some instant.
#![cfg_attr(
    not(test),
    warn(
        clippy::disallowed_methods,
        clippy::disallowed_macros,
        clippy::disallowed_types
    )
)]

pub mod api;
pub mod bfd;
pub mod check;
pub mod config;
pub mod discovery;
pub mod edit_rules;
pub mod estimator;
pub mod firewall;
pub mod fragment;
pub mod ipvsadm;
pub mod lb;
pub mod metrics;
pub mod notification;
mod random;
pub mod reload;
pub mod reload_time;
pub mod service;
pub mod topology;
pub mod vrrp;
