//! Linux for elver: BPF, netlink, sockets, namespaces. All userspace `unsafe` is here.

pub mod bfd_socket;
pub mod bpf;
pub mod calendar;
pub mod capture;
pub mod driver;
pub mod dump_file;
pub mod file_watch;
pub mod frame_sender;
pub mod gratuitous_arp;
pub mod local_time;
pub mod names;
pub mod namespace;
pub mod netlink;
pub mod notify_fifo;
pub mod privilege;
pub mod process;
pub mod process_watch;
mod received_message;
pub mod scheduling;
pub mod script;
pub mod socket_passing;
pub mod timer;
pub mod vrrp_socket;
