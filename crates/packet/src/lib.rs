//! The packet function of elver: what a director does with a packet, decided once.
//!
//! [`process`](process::process) takes a frame that can be rewritten and the tables of the data plane, and
//! answers with a verdict. The same source is built for the kernel (eBPF, by the
//! crate `elver-bpf`) and for the host, where it is tested, fuzzed and simulated, and
//! where the controller uses it to read and sweep the tables.
//!
//! | module | what it holds |
//! |---|---|
//! | [`wire`] | the headers on the wire |
//! | [`checksum`], [`crc32c`] | the checksums, and how they change when the data does |
//! | [`icmp`] | what differs between ICMP of both families |
//! | [`frame`] | what the function needs of a packet and of the network around it |
//! | [`table`] | the layout of the maps, and the connection table |
//! | [`flow`] | states of a connection |
//! | [`schedule`] | the choice of a destination |
//! | [`forward`] | the forwarding methods |
//! | [`process`] | the pipeline |
//! | [`real_server`] | what a real server of direct routing and tunnels does with packets |
//! | [`reason`] | why a packet was passed, dropped or forwarded |
#![cfg_attr(not(any(test, feature = "host")), no_std)]
#![forbid(unsafe_code)]

pub mod checksum;
pub mod crc32c;
pub mod family;
pub mod flow;
pub mod forward;
pub mod frame;
#[cfg(feature = "host")]
pub mod host;
pub mod icmp;
pub mod process;
pub mod real_server;
pub mod reason;
pub mod schedule;
pub mod table;
pub mod wire;
