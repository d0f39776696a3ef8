//! Linux for elver.

pub mod gratuitous_arp;
pub mod netlink;
pub mod timer;
pub mod vrrp_socket;
