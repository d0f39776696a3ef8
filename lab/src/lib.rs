//! Networks of namespaces in which elver is shown and tested.
//!
//! A [`Lab`] owns [`Host`]s (network namespaces) and the links between them. Programs,
//! TCP services and captures live in a host; all of it goes away with the lab, also when
//! a test panics or the terminal interrupts. Needs root, and no network of the machine.
//!
//! ```no_run
//! use elver_lab::Lab;
//!
//! let lab = Lab::new("sketch")?;
//! let (client, server) = (lab.host("client")?, lab.host("server")?);
//! lab.link((&client, "eth0"), (&server, "eth0"))?;
//! client.add_address("eth0", "172.17.42.110/16")?;
//! server.add_address("eth0", "172.17.42.111/16")?;
//! # Ok::<(), elver_lab::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod capture;
pub mod client;
pub mod decode;
pub mod direct_routing;
pub mod director;
pub mod docker;
pub mod engine;
mod error;
mod host;
mod interrupt;
mod lab;
mod leftovers;
pub mod nat;
mod program;
pub mod real_servers;
pub mod rehearsal;
pub mod service;
pub mod traffic;
pub mod tun;
pub mod wait;

pub use error::{Error, Result};
pub use host::Host;
pub use lab::Lab;
pub use program::{Output, Program};
