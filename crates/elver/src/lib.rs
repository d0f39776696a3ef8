//! The processes of elver: what the binary is made of, and what its tests drive.

pub mod vrrp_process;
