//! The kernel shell.
fn main() {}
