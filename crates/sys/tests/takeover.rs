//! What one version of the programs finds of another: pinned tables are taken up or refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use elver_packet::table::{LAYOUT_VERSION, Words, settings};
use elver_sys::bpf::{BpfError, Maps, Sizes, load, unload};

/// An instance that is unloaded in the end, whatever happens.
struct Instance(String);

impl Instance {
    fn new(name: &str) -> Instance {
        Instance(format!("test-{name}-{}", std::process::id()))
    }

    fn directory(&self) -> PathBuf {
        Path::new("/sys/fs/bpf/elver").join(&self.0)
    }

    fn pins(&self) -> BTreeSet<String> {
        std::fs::read_dir(self.directory())
            .expect("pins")
            .map(|pin| {
                pin.expect("a pin")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = unload(&self.0);
    }
}

/// Small tables: they are made several times.
fn sizes() -> Sizes {
    Sizes {
        services: 16,
        destinations: 16,
        connections: 1024,
        access_networks: 16,
    }
}

fn set_version(maps: &Maps, version: u32) {
    let settings = maps.settings().expect("settings");
    let others = settings.load(settings::VERSION_WORD) & !u64::from(u32::MAX);
    settings.exchange(settings::VERSION_WORD, others | u64::from(version));
}

#[test]
fn tables_of_another_layout_are_refused_and_left_as_they_are() {
    let instance = Instance::new("layout");
    let (maps, attachments) = load(&instance.0, sizes()).unwrap_or_else(|error| panic!("{error}"));
    drop(attachments);
    for other in [LAYOUT_VERSION - 1, LAYOUT_VERSION + 1] {
        set_version(&maps, other);
        let before = instance.pins();
        let refusals = [
            load(&instance.0, sizes()).err().expect("a refusal"),
            Maps::open(&instance.0).err().expect("a refusal"),
        ];
        for refusal in refusals {
            assert!(
                matches!(refusal, BpfError::Layout { found, needed, .. }
                    if (found, needed) == (other, LAYOUT_VERSION)),
                "{refusal}"
            );
            let words = refusal.to_string();
            let unload = format!("`elver unload --instance {}`", instance.0);
            assert!(words.contains(&unload), "{words}");
        }
        assert_eq!(instance.pins(), before);
        let version = maps
            .settings()
            .expect("settings")
            .load(settings::VERSION_WORD);
        assert_eq!(version as u32, other, "nothing was written");
    }
    set_version(&maps, LAYOUT_VERSION);
    load(&instance.0, sizes()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn other_tables_than_a_version_knows_do_not_hide_which_version_they_are_of() {
    let instance = Instance::new("missing");
    let (maps, _) = load(&instance.0, sizes()).unwrap_or_else(|error| panic!("{error}"));
    set_version(&maps, LAYOUT_VERSION - 1);
    // An earlier version had not all of them.
    std::fs::remove_file(instance.directory().join("MARK_RULES")).expect("a pin");
    let refusal = load(&instance.0, sizes()).err().expect("a refusal");
    assert!(matches!(refusal, BpfError::Layout { .. }), "{refusal}");
}

#[test]
fn programs_that_are_attached_keep_their_stages_until_they_are_replaced() {
    let instance = Instance::new("stages");
    let load = || load(&instance.0, sizes()).unwrap_or_else(|error| panic!("{error}"));
    let _first = load();
    let succeeded = || {
        let pins = instance.pins();
        pins.iter().filter(|pin| pin.starts_with("STAGES-")).count()
    };
    assert_eq!(succeeded(), 0);
    // The second has died before it had replaced the first on every device.
    drop(load());
    let (_, mut third) = load();
    assert_eq!(succeeded(), 2);
    third
        .end_succeeded()
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(succeeded(), 0);
    assert!(instance.pins().contains("STAGES"));
}
