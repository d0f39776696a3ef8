//! keepalived.conf.

use elver_core::config::{Secrets, Source, dump, load, render};

const PATH: &str = "keepalived.conf";

/// One file, and no other.
struct Alone<'o>(&'o [u8]);

impl Source for Alone<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match path {
            PATH => Ok(self.0.to_vec()),
            _ => Err("No such file or directory".to_owned()),
        }
    }

    fn list(&self, _: &str) -> Vec<String> {
        vec![PATH.to_owned()]
    }

    fn config_id(&self) -> Option<String> {
        Some("one".to_owned())
    }
}

/// A file is read, everything that is wrong with it can be shown, and what is right with it can
/// be written down so that it reads the same.
pub(crate) fn read(octets: &[u8]) {
    let loaded = load(&Alone(octets), PATH);
    for diagnostic in &loaded.diagnostics {
        let _ = render(diagnostic, true);
    }
    let Some(configuration) = loaded.configuration else {
        return;
    };
    let text = dump(&configuration, Secrets::Shown);
    let again = load(&Alone(text.as_bytes()), PATH);
    assert_eq!(again.configuration.as_ref(), Some(&configuration), "{text}");
}
