//! The kernel takes the programs.

use elver_sys::bpf::{Sizes, load, unload};

#[test]
fn every_program_passes_the_verifier() {
    let instance = format!("test-load-{}", std::process::id());
    let loaded = load(&instance, Sizes::default());
    let removed = unload(&instance);
    if let Err(error) = loaded {
        panic!("{error}");
    }
    assert!(
        removed
            .unwrap()
            .iter()
            .any(|pin| pin.ends_with("CONNECTIONS"))
    );
}
