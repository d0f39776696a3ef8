//! The kernel takes the programs.

use std::sync::{Mutex, PoisonError};

use elver_sys::bpf::{RealServer, Sizes, load, unload};

/// Where the file system for pins is not mounted yet, the first who needs it mounts it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn every_program_passes_the_verifier() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let instance = format!("test-load-{}", std::process::id());
    let loaded = load(&instance, Sizes::default()).and_then(|(_, mut attachments)| {
        attachments.load_xdp()?;
        Ok(attachments)
    });
    let removed = unload(&instance);
    let attachments = loaded.unwrap_or_else(|error| panic!("{error}"));
    // A fifth of what the verifier puts up with: it counts differently from kernel to kernel,
    // and under emulation every instruction that it follows is dear.
    let verified = attachments.verified_instructions();
    println!("{verified:#?}");
    assert!(
        verified
            .iter()
            .any(|(program, _)| program == "elver_xdp_arrive")
    );
    for (program, instructions) in verified {
        assert!(
            instructions < 200_000,
            "{program}: the verifier followed {instructions} instructions"
        );
    }
    assert!(
        removed
            .unwrap()
            .iter()
            .any(|pin| pin.ends_with("CONNECTIONS"))
    );
}

#[test]
fn a_real_servers_programs_pass_the_verifier() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let instance = format!("test-load-role-{}", std::process::id());
    let loaded = RealServer::load(&instance).map(|role| role.verified_instructions());
    let removed = RealServer::unload(&instance);
    let verified = loaded.unwrap_or_else(|error| panic!("{error}"));
    println!("{verified:#?}");
    assert_eq!(verified.len(), 2);
    for (program, instructions) in verified {
        assert!(
            instructions < 50_000,
            "{program}: the verifier followed {instructions} instructions"
        );
    }
    assert!(removed.unwrap().iter().any(|pin| pin.ends_with("VIPS")));
}
