//! `make oracle`: elver beside the real IPVS, on the kernel of Debian 12.
//!
//! To be run as root in the virtual machine of `tools/oracle-vm`:
//!
//! ```text
//! oracle ELVER LOAD-TEST
//! oracle cost ELVER
//! ```
//!
//! The second prints what a packet costs, where the clock counts instructions (`make
//! bench-oracle`).
//!
//! ELVER is the program, LOAD-TEST the test `load` of elver-sys. A seed in `ORACLE_SEED`
//! replays a generated run, and `ORACLE_ONLY` is what the names of the only steps to run begin
//! with, several of them with commas between them.
//! Ends with 0 only if every step passed.

mod attachment;
mod balanced;
mod checks;
mod commands;
mod differential;
mod kernel_table;
mod listing;
mod migration;
mod packets;
mod random;
mod side;
mod steps;
mod systemd;
mod vrrp;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::steps::Steps;

/// Where the kernel shows its own table, once it has IPVS.
const KERNEL_TABLE: &str = "/proc/net/ip_vs";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(elver), Some(load_test)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: oracle ELVER LOAD-TEST; `make oracle` runs it");
        return ExitCode::from(2);
    };
    if elver == Path::new("cost") {
        let elver = load_test;
        kernel_has_ipvs();
        packets::cost::print(&elver);
        return ExitCode::SUCCESS;
    }
    let only = std::env::var("ORACLE_ONLY").unwrap_or_default();
    let mut steps = Steps::new((!only.is_empty()).then_some(&*only));
    let seed = seed();
    println!("kernel {}, seed {seed}", kernel());
    // Without IPVS all of it would be about elver alone.
    kernel_has_ipvs();
    steps.step("every program passes the verifier", || run(&load_test, &[]));
    steps.step("the lab of the NAT director holds", || {
        run(&elver, &["lab", "nat", "--once"]);
    });
    attachment::steps(&mut steps, &elver);
    migration::steps(&mut steps, &elver);
    systemd::steps(&mut steps);
    vrrp::steps(&mut steps, &elver);
    checks::steps(&mut steps, &elver);
    commands::steps(&mut steps, &elver, seed);
    differential::steps(&mut steps, &elver, seed);
    packets::steps(&mut steps, &elver, seed);
    steps.end()
}

fn kernel() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// The seed of what is generated: as `ORACLE_SEED` says, or a new one.
fn seed() -> u64 {
    match std::env::var("ORACLE_SEED") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("ORACLE_SEED={text}: not a number")),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs()),
    }
}

fn kernel_has_ipvs() {
    run(Path::new("modprobe"), &["ip_vs"]);
    assert!(
        Path::new(KERNEL_TABLE).exists(),
        "there is no {KERNEL_TABLE}: this runs in the machine of `make oracle` alone"
    );
}

/// Runs a program, which has to succeed.
fn run(program: &Path, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .status()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(
        status.success(),
        "{} ended with {status}",
        program.display()
    );
}
