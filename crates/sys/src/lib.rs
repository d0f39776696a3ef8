//! Linux for elver: BPF, netlink, sockets, namespaces. All userspace `unsafe` is here.

pub mod bpf;
