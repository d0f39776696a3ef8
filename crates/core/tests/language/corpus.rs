//! Files as people have them, for all that keepalived is used for.

use elver_core::config::{Secrets, dump, explain};

use super::*;

/// Every file of the corpus: name and text.
pub(super) fn files() -> Vec<(String, String)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/corpus");
    let mut files: Vec<(String, String)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "conf")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() >= 60, "only {} files", files.len());
    files
}

/// The file of which parts cannot be meant as they stand; keepalived skips those.
const REFUSED: &str = "group-bad-lines";

/// None of the others is refused: people run them.
#[test]
fn every_file_loads_and_can_be_dumped_and_explained() {
    for (name, text) in files() {
        let loaded = loaded(&text);
        if name == REFUSED {
            assert_eq!(loaded.configuration, None, "{name}");
            continue;
        }
        let words = summary(&loaded);
        let Some(configuration) = loaded.configuration else {
            panic!("{name}: {words}");
        };
        let dump = dump(&configuration, Secrets::Shown);
        let again = super::loaded(&dump);
        assert_eq!(
            again.configuration.as_ref(),
            Some(&configuration),
            "{name}:\n{dump}\n{}",
            summary(&again)
        );
        let json = serde_json::to_string_pretty(&configuration).unwrap();
        let again: Configuration = serde_json::from_str(&json).unwrap();
        assert_eq!(again, configuration, "{name}:\n{json}");
        assert!(!explain(&configuration).is_empty(), "{name}");
    }
}
