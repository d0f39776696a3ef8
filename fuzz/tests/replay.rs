//! What fuzzers have found worth keeping, once more.

use std::path::Path;

#[test]
fn the_corpora_are_replayed() {
    for (name, target) in elver_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut replayed = 0;
        for file in files {
            let path = file.expect("a file").path();
            println!("{}", path.display());
            target(&std::fs::read(&path).expect("octets"));
            replayed += 1;
        }
        assert!(replayed > 5, "{name}: {replayed} files");
    }
}
