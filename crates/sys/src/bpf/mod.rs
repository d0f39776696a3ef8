//! The data plane in the kernel: programs, maps and where they are attached.
//!
//! Everything that lives longer than this process is pinned below a directory of the
//! BPF file system, one per instance:
//!
//! ```text
//! /sys/fs/bpf/elver/INSTANCE/SETTINGS, SERVICES, …   the maps
//! /sys/fs/bpf/elver/INSTANCE/STAGES                  the programs, in order of their stage
//! /sys/fs/bpf/elver/INSTANCE/STAGES-succeeded-N      those that devices still run
//! /sys/fs/bpf/elver/INSTANCE/XDP_STAGES              those at XDP hooks
//! /sys/fs/bpf/elver/INSTANCE/attached/INDEX          links to devices, by the device's index
//! /sys/fs/bpf/elver/INSTANCE/attached/INDEX-xdp      those of XDP
//! /sys/fs/bpf/elver-real-server/INSTANCE/…           the same of a real server, see [`RealServer`]
//! ```

mod attach;
mod clock;
mod handed_over;
mod load;
mod loopback;
mod maps;
mod real_server;
mod xdp;

pub use attach::{Attachment, Attachments, Direction};
pub use clock::Clock;
pub use handed_over::{HandedOverFrame, HandedOverFrames};
pub use load::{Sizes, load};
pub use maps::{AccessNetwork, Maps, Totals};
pub use real_server::{DeviceOfRole, LoadedRole, RealServer};

use std::io;
use std::path::{Path, PathBuf};

/// The programs, built by this crate's build script.
const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/elver-bpf.o"));

/// Where the BPF file system is.
const BPF_FILE_SYSTEM: &str = "/sys/fs/bpf";

/// Why the data plane cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// This program has no data plane in it.
    #[error("this elver was built without its programs for the kernel (ELVER_BPF_OBJECT=none)")]
    NoObject,
    /// The BPF file system is not there and cannot be mounted.
    #[error("the BPF file system cannot be mounted on {BPF_FILE_SYSTEM}: {0}")]
    FileSystem(#[source] io::Error),
    /// Nothing is pinned for the instance.
    #[error("no data plane is loaded for instance {0}")]
    NotLoaded(String),
    /// Another version of elver left state that this one cannot read.
    #[error(
        "the data plane that is loaded for instance {instance} has layout {found}, this elver needs {needed}; \
         `elver unload --instance {instance}` removes it with its connections"
    )]
    Layout {
        /// The instance.
        instance: String,
        /// The version that is there.
        found: u32,
        /// The version of this program.
        needed: u32,
    },
    /// The kernel refused, or lacks what we need.
    #[error("{doing}: {cause}")]
    Kernel {
        /// What we were doing.
        doing: String,
        /// What the kernel or the loader said.
        cause: String,
    },
}

impl BpfError {
    fn kernel(doing: impl Into<String>, cause: impl std::fmt::Display) -> BpfError {
        BpfError::Kernel {
            doing: doing.into(),
            cause: last_lines(&cause.to_string()),
        }
    }
}

/// How much is told of what the kernel said.
const LINES_TOLD: usize = 20;

/// The end of a long text. The log of the verifier has a line for each instruction that it
/// followed, and what it minded stands in the last.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    match lines.len().checked_sub(LINES_TOLD) {
        None | Some(0) => text.to_owned(),
        Some(left_out) => format!(
            "{}\n({left_out} lines left out)\n{}",
            lines[0].chars().take(200).collect::<String>(),
            lines[left_out..].join("\n")
        ),
    }
}

/// The directory of an instance.
fn directory(instance: &str) -> PathBuf {
    PathBuf::from(BPF_FILE_SYSTEM).join("elver").join(instance)
}

/// Removes everything that is pinned for an instance, detaching its programs, and names
/// what was removed. Works without a daemon.
///
/// # Errors
/// What could not be removed.
pub fn unload(instance: &str) -> Result<Vec<String>, BpfError> {
    let directory = directory(instance);
    let mut removed = attach::Hooks::of_director(instance).remove_all()?;
    loopback::restore(instance)?;
    removed.extend(remove_directory(&directory)?);
    Ok(removed)
}

/// Removes a directory of pins, and what is in it, and names what was removed.
fn remove_directory(directory: &Path) -> Result<Vec<String>, BpfError> {
    let mut removed = Vec::new();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(removed),
        Err(error) => {
            return Err(BpfError::kernel(
                format!("reading {}", directory.display()),
                error,
            ));
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        std::fs::remove_file(&path)
            .map_err(|error| BpfError::kernel(format!("removing {}", path.display()), error))?;
        removed.push(path.display().to_string());
    }
    std::fs::remove_dir(directory)
        .map_err(|error| BpfError::kernel(format!("removing {}", directory.display()), error))?;
    removed.push(directory.display().to_string());
    // The last instance takes the common directory with it; others keep it.
    if let Some(parent) = directory.parent() {
        let _ = std::fs::remove_dir(parent);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_told() {
        let log: String = (0..1000).map(|line| format!("line {line}\n")).collect();
        let error = BpfError::kernel("loading", &log).to_string();
        assert!(error.starts_with("loading: line 0\n(980 lines left out)\nline 980\n"));
        assert!(error.ends_with("line 999"));
        assert_eq!(BpfError::kernel("loading", "no").to_string(), "loading: no");
    }
}
