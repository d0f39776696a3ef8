//! The fuzzer of the target that `ELVER_FUZZ_TARGET` names; its arguments are those of libFuzzer.
#![no_main]

use std::sync::OnceLock;

use elver_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> Target {
    let name = std::env::var("ELVER_FUZZ_TARGET").unwrap_or_default();
    let found = elver_fuzz::TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, target)) = found else {
        let names = elver_fuzz::TARGETS.map(|(name, _)| name).join(", ");
        eprintln!("ELVER_FUZZ_TARGET={name}: it is one of {names}");
        std::process::exit(2);
    };
    *target
}

fuzz_target!(|octets: &[u8]| TARGET.get_or_init(target)(octets));
