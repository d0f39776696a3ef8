//! The configuration language as its users meet it: what files mean, in words and beside
//! each other, and what the documents say of it.

mod check_path;
mod corpus;
mod devices;
mod director;
mod explanation;
mod groups;
mod hmac;
mod inclusion;
mod inheritance;
mod keywords;
mod mutations;
mod peers;
mod reviews;
mod sessions;
mod suggestions;
mod values;

use std::collections::BTreeMap;

use elver_core::config::model::Configuration;
use elver_core::config::{Loaded, Source, load};

const PATH: &str = "keepalived.conf";

/// Files in memory.
struct Memory(BTreeMap<String, Vec<u8>>);

impl Source for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let file = self.0.get(path).cloned();
        file.ok_or_else(|| "No such file or directory".to_owned())
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let prefix = match directory {
            "." => String::new(),
            directory => format!("{}/", directory.trim_end_matches('/')),
        };
        self.0
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    fn config_id(&self) -> Option<String> {
        Some("one".to_owned())
    }
}

fn loaded_bytes(text: &[u8]) -> Loaded {
    load(
        &Memory(BTreeMap::from([(PATH.to_owned(), text.to_vec())])),
        PATH,
    )
}

fn loaded(text: &str) -> Loaded {
    loaded_bytes(text.as_bytes())
}

/// Reads several files, the first one as the configuration.
fn loaded_from(files: &[(&str, &str)]) -> Loaded {
    let all = files.iter();
    let all = all.map(|(path, text)| (path.to_string(), text.as_bytes().to_vec()));
    load(&Memory(all.collect()), files[0].0)
}

/// One line for each diagnostic.
fn summary(loaded: &Loaded) -> String {
    let lines = loaded.diagnostics.iter();
    lines
        .map(|diagnostic| diagnostic.to_string() + "\n")
        .collect()
}

fn configuration(text: &str) -> Configuration {
    let loaded = loaded(text);
    let words = summary(&loaded);
    loaded.configuration.unwrap_or_else(|| panic!("{words}"))
}
