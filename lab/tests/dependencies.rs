//! The shape of the workspace: who may depend on whom, and where unsafe code may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates of the workspace, with those of the workspace that each may depend on, for
/// its library, its build or its tests.
const MAY_DEPEND_ON: [(&str, &[&str]); 7] = [
    ("elver-packet", &[]),
    ("elver-bpf", &["elver-packet"]),
    ("elver-core", &["elver-packet"]),
    ("elver-sys", &["elver-packet"]),
    ("elver-lab", &["elver-core", "elver-sys"]),
    ("elver-fuzz", &["elver-packet", "elver-core"]),
    (
        "elver",
        &["elver-packet", "elver-core", "elver-sys", "elver-lab"],
    ),
];

/// Crates through which the kernel is spoken to, and the only one that may use them.
const CONFINED: [(&str, &str); 4] = [
    ("aya", "elver-sys"),
    ("aya-ebpf", "elver-bpf"),
    ("netlink-packet-route", "elver-sys"),
    ("rtnetlink", "elver-sys"),
];

/// The crates in which `unsafe` may be written.
const UNSAFE: [&str; 2] = ["elver-bpf", "elver-sys"];

struct Package {
    directory: PathBuf,
    /// Names with their kind: `normal`, `dev` or `build`.
    dependencies: BTreeSet<(String, String)>,
}

/// What cargo says of the workspace's own packages.
fn packages() -> BTreeMap<String, Package> {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let packages: BTreeMap<_, _> = packages
        .map(|package| {
            let manifest = PathBuf::from(text(&package["manifest_path"]).expect("a path"));
            let dependencies = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter();
            let dependencies = dependencies.map(|dependency| {
                let kind = text(&dependency["kind"]).unwrap_or_else(|| "normal".to_owned());
                (text(&dependency["name"]).expect("a name"), kind)
            });
            let directory = manifest.parent().expect("a directory").to_owned();
            let package_name = text(&package["name"]).expect("a name");
            (
                package_name,
                Package {
                    directory,
                    dependencies: dependencies.collect(),
                },
            )
        })
        .collect();
    let known: BTreeSet<_> = MAY_DEPEND_ON
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let found: BTreeSet<_> = packages.keys().cloned().collect();
    assert_eq!(
        found, known,
        "a new crate needs its place among the rules of this test"
    );
    packages
}

#[test]
fn dependencies_point_in_one_direction() {
    let packages = packages();
    for (name, allowed) in MAY_DEPEND_ON {
        for (dependency, kind) in &packages[name].dependencies {
            // A package may name itself, to turn a feature on for its own tests.
            if packages.contains_key(dependency) && dependency != name {
                assert!(
                    allowed.contains(&dependency.as_str()),
                    "{name} must not depend on {dependency} ({kind}); of the workspace it may use {allowed:?}"
                );
            }
        }
    }
}

#[test]
fn the_packet_function_stands_on_zerocopy_alone() {
    let packages = packages();
    let beside: Vec<_> = packages["elver-packet"]
        .dependencies
        .iter()
        .filter(|(name, kind)| kind != "dev" && name != "zerocopy")
        .collect();
    assert!(
        beside.is_empty(),
        "elver-packet is built for the kernel too: {beside:?}"
    );
}

#[test]
fn the_kernel_is_spoken_to_in_one_place() {
    for (name, package) in packages() {
        for (dependency, kind) in &package.dependencies {
            if let Some((_, owner)) = CONFINED
                .iter()
                .find(|(crate_name, _)| crate_name == dependency)
            {
                assert_eq!(&name, owner, "{dependency} ({kind}) belongs to {owner}");
            }
        }
    }
}

#[test]
fn unsafe_code_is_written_in_two_crates_only() {
    let mut sources = 0;
    for (name, package) in packages() {
        if UNSAFE.contains(&name.as_str()) {
            continue;
        }
        for source in sources_below(&package.directory) {
            sources += 1;
            // This file speaks of it.
            if source.ends_with("lab/tests/dependencies.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&source).expect("a source");
            for (number, line) in (1..).zip(text.lines()) {
                let code = line.split("//").next().unwrap_or_default();
                assert!(
                    ![
                        "unsafe {",
                        "unsafe fn",
                        "unsafe impl",
                        "unsafe extern",
                        "unsafe("
                    ]
                    .iter()
                    .any(|form| code.contains(form)),
                    "{}:{number}: unsafe code belongs in elver-sys, behind a safe interface",
                    source.display()
                );
            }
        }
    }
    assert!(sources > 10, "the sources were not found");
}

fn sources_below(directory: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(path);
            }
        }
    }
    sources
}
