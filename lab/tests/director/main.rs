//! elver as a director between real hosts: forwarding, checks, VRRP, and its own death.
//!
//! The program under test is the one that the variable `ELVER` names, or else the one
//! that `cargo build -p elver` put beside the tests.

mod checks;
mod configuration;
mod death;
mod firewall;
mod forwarding;
mod leaving;
mod package;
mod peers;
mod refusals;
mod reload;
mod silence;
mod site;
mod upgrade;
