//! elver.
fn main() {}
