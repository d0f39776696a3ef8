//! States of a connection, as IPVS keeps them.

pub mod tcp;
