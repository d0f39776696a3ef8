//! elver: the Linux Virtual Server in Rust and eBPF.

use std::process::ExitCode;

fn main() -> ExitCode {
    elver::main()
}
