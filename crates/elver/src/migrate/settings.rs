//! The settings of the kernel's IPVS that are not those of elver.

use std::path::Path;

use crate::failure::Failure;
use crate::settings::Settings;

/// Where the kernel has them.
const FOLDER: &str = "/proc/sys/net/ipv4/vs";

/// Lines for `[ipvs]` of elver.toml, which would give elver the settings that the kernel has.
pub(super) fn missing(settings: &Settings) -> Result<Vec<String>, Failure> {
    let ours = settings.ipvs_values();
    let mut lines = Vec::new();
    for (name, value) in &ours {
        let path = Path::new(FOLDER).join(name);
        let Ok(text) = std::fs::read_to_string(&path) else {
            // A kernel that has no IPVS, or no such setting.
            continue;
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let theirs = match &*words {
            [number] => (*number).to_owned(),
            several => format!("\"{}\"", several.join(" ")),
        };
        if theirs != *value {
            lines.push(format!("{name} = {theirs}"));
        }
    }
    Ok(lines)
}
