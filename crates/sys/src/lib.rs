//! Linux for elver.

pub mod clock;
pub mod netlink;
pub mod privilege;
pub mod process;
