//! Builds the programs for the kernel and leaves them where the loader embeds them: those of a
//! director, those of a real server, and the one that drives them when they are measured, each
//! an object of its own.
//!
//! `ELVER_BPF_OBJECT` names a prebuilt object instead, or is `none`: then nothing is built
//! and the loader refuses to start, which is enough for clippy and documentation.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that elver loads, and the one that drives them when they are measured.
const OBJECTS: [&str; 3] = ["elver-bpf", "elver-bpf-real-server", "elver-bpf-driver"];

/// What to do where no toolchain is found.
const HOW_TO: &str = "\
elver needs a compiler for BPF with the sources of `core`, and bpf-linker. Run:

    make setup

or, by hand on Debian 12:

    apt-get install rustc-web cargo-web rust-web-src llvm-22-dev
    PATH=/usr/lib/llvm-22/bin:$PATH cargo install bpf-linker --version 0.13.0 --no-default-features --features llvm-22

A rustup nightly with the component rust-src does as well, with a bpf-linker of its LLVM.
ELVER_BPF_OBJECT=FILE takes a prebuilt object, and elver-bpf-real-server beside it;
ELVER_BPF_OBJECT=none builds without one.";

fn main() {
    println!("cargo::rerun-if-env-changed=ELVER_BPF_OBJECT");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let prebuilt = env::var_os("ELVER_BPF_OBJECT");
    if prebuilt.is_none() {
        return build(&out);
    }
    for object in OBJECTS {
        fs::write(out.join(format!("{object}.o")), []).expect("OUT_DIR is writable");
    }
    if let Some(path) = prebuilt.filter(|value| value != "none") {
        let path = Path::new(&path);
        println!("cargo::rerun-if-changed={}", path.display());
        if let Err(error) = fs::copy(path, out.join("elver-bpf.o")) {
            fail(&format!("ELVER_BPF_OBJECT={}: {error}", path.display()));
        }
        // Beside it, as cargo leaves them.
        let real_server = path.with_file_name("elver-bpf-real-server");
        println!("cargo::rerun-if-changed={}", real_server.display());
        if real_server.exists()
            && let Err(error) = fs::copy(&real_server, out.join("elver-bpf-real-server.o"))
        {
            fail(&format!("{}: {error}", real_server.display()));
        }
    }
}

fn build(out: &Path) {
    let root =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    for watched in ["crates/bpf", "crates/packet", "Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let Some(toolchain) = Toolchain::find() else {
        fail(HOW_TO)
    };
    if !runs("bpf-linker", &["--version"]) {
        fail(HOW_TO);
    }
    let target = root.join("target/bpf");
    let mut cargo = Command::new(&toolchain.cargo);
    // The outer build's variables would steer the inner one.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && text != "CARGO_HOME"
            || text.starts_with("RUST") && text != "RUSTUP_HOME"
        {
            cargo.env_remove(&name);
        }
    }
    cargo
        .env_remove("CARGO")
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Ctarget-cpu=v3")
        .current_dir(&root)
        .args([
            "build",
            "--release",
            "--locked",
            "-Zbuild-std=core",
            "--target",
            "bpfel-unknown-none",
        ])
        .args(["--package", "elver-bpf", "--target-dir"])
        .arg(&target);
    match cargo.output() {
        Err(error) => fail(&format!(
            "{}: {error}\n\n{HOW_TO}",
            toolchain.cargo.display()
        )),
        Ok(output) if !output.status.success() => fail(&format!(
            "the programs for the kernel do not build:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )),
        Ok(_) => {}
    }
    for object in OBJECTS {
        let built = target.join("bpfel-unknown-none/release").join(object);
        fs::copy(&built, out.join(format!("{object}.o"))).expect("the build left an object");
    }
}

/// A compiler that can build `core` for BPF.
struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
}

impl Toolchain {
    fn find() -> Option<Toolchain> {
        let debian = Toolchain {
            cargo: "/usr/bin/cargo".into(),
            rustc: "/usr/bin/rustc".into(),
        };
        debian.has_sources().then_some(debian).or_else(|| {
            let which = |program: &str| {
                let output = Command::new("rustup")
                    .args(["which", "--toolchain", "nightly", program])
                    .output()
                    .ok()?;
                output
                    .status
                    .success()
                    .then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
            };
            let nightly = Toolchain {
                cargo: which("cargo")?,
                rustc: which("rustc")?,
            };
            nightly.has_sources().then_some(nightly)
        })
    }

    fn has_sources(&self) -> bool {
        let Ok(output) = Command::new(&self.rustc)
            .args(["--print", "sysroot"])
            .output()
        else {
            return false;
        };
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        sysroot
            .join("lib/rustlib/src/rust/library/core/src/lib.rs")
            .exists()
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn fail(message: &str) -> ! {
    eprintln!("\n{message}\n");
    std::process::exit(1);
}
