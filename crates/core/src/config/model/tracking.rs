//! What instances track.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Script;

/// Everything that some instance tracks, besides interfaces; each in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trackers {
    /// `vrrp_script` blocks.
    pub scripts: Vec<TrackedScript>,
    /// `track_file` blocks.
    pub files: Vec<TrackedFile>,
    /// `vrrp_track_process` blocks.
    pub processes: Vec<TrackedProcess>,
    /// `bfd_instance` blocks, tracked or not: their neighbours may follow them.
    pub sessions: Vec<BfdInstance>,
}

/// `bfd_instance`: a session of BFD with a neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdInstance {
    /// The name that instances and checks follow it by.
    pub name: String,
    /// `neighbor_ip`: the other side.
    pub neighbor: IpAddr,
    /// `source_ip`: where packets come from, unless the kernel is to choose.
    pub source: Option<IpAddr>,
    /// `min_rx`: the shortest time between two packets at which this side can receive.
    pub min_rx: Duration,
    /// `min_tx`: the shortest time between two packets at which it wants to send.
    pub min_tx: Duration,
    /// `idle_tx`: the same while the session is not up.
    pub idle_tx: Duration,
    /// `multiplier`: so many packets may be lost in a row before the other side takes this
    /// one for gone.
    pub multiplier: u8,
    /// `passive`: the neighbour has to speak first.
    pub passive: bool,
    /// `ttl` or `hoplimit`: with which packets leave.
    pub hop_limit: u8,
    /// `max_hops`: by how much less than [`Self::hop_limit`] packets may arrive with; 255
    /// for any.
    pub max_hops: u8,
    /// `multihop`: the port of RFC 5883 is used.
    pub multihop: bool,
    /// Whether VRRP instances can track it.
    pub for_vrrp: bool,
    /// Whether checks can follow it.
    pub for_checks: bool,
}

/// `vrrp_script`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedScript {
    /// The name that instances track it by.
    pub name: String,
    /// What is run.
    pub script: Script,
    /// Time from one start to the next.
    pub interval: Duration,
    /// Time after which it is ended, and has failed.
    pub timeout: Duration,
    /// Successes in a row that make it good.
    pub rise: u32,
    /// Failures in a row that make it bad.
    pub fall: u32,
    /// `init_fail`: bad until it has succeeded.
    pub starts_failed: bool,
}

/// `track_file`: a file that holds a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedFile {
    /// The name that instances track it by.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// `init_file`: what is written to it at the start.
    pub initial: Option<InitialContent>,
}

/// What a tracked file holds at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialContent {
    /// The number.
    pub value: i32,
    /// Whether it is written although there is a file.
    pub overwrite: bool,
}

/// `vrrp_track_process`: programs that are running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedProcess {
    /// The name that instances track it by.
    pub name: String,
    /// What a process is called: its name (`/proc/PID/comm`), or the first word of its
    /// command line where [`Self::by_command_line`].
    pub program: String,
    /// Whether the command line is looked at, and not the name.
    pub by_command_line: bool,
    /// What follows the program on its command line.
    pub parameters: Vec<String>,
    /// How parameters are compared; `None` where they do not matter.
    pub parameter_match: Option<ParameterMatch>,
    /// `quorum`: the fewest processes that are enough.
    pub least: u32,
    /// `quorum_max`: the most that are not too many.
    pub most: Option<u32>,
    /// `fork_delay`: time that there have to be enough before that counts.
    pub rise_delay: Duration,
    /// `terminate_delay`: time that there have to be too few, or too many, before that counts.
    pub fall_delay: Duration,
}

impl TrackedProcess {
    /// Whether a process is one of these, by its name and the words of its command line.
    pub fn matches(&self, name: &str, command_line: &[&str]) -> bool {
        if !self.by_command_line {
            return name == self.program;
        }
        let Some((_, parameters)) = command_line
            .split_first()
            .filter(|(program, _)| **program == self.program)
        else {
            return false;
        };
        let wanted = &self.parameters;
        match self.parameter_match {
            None => true,
            Some(ParameterMatch::Exact) => *parameters == *wanted,
            Some(ParameterMatch::Partial) => {
                parameters.len() >= wanted.len() && parameters[..wanted.len()] == **wanted
            }
            Some(ParameterMatch::Initial) => match wanted.split_last() {
                None => true,
                Some((last, before)) => {
                    parameters.len() >= wanted.len()
                        && parameters[..before.len()] == *before
                        && parameters[before.len()].starts_with(last.as_str())
                }
            },
        }
    }
}

/// How the parameters of a process are compared (`param_match`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterMatch {
    /// They are the same.
    Exact,
    /// The first ones are the same.
    Partial,
    /// As before, and of the last one only its beginning has to be the same.
    Initial,
}

/// Something that is good or bad.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tracker {
    /// An interface, by name: good while it is up.
    Interface(String),
    /// A script, by name.
    Script(String),
    /// A file with a number, by name: good while it is zero.
    File(String),
    /// Processes, by name: good while there are enough.
    Process(String),
    /// A session of BFD, by name: good while it is up.
    Session(String),
}

impl Tracker {
    /// Its name among those of its kind.
    pub fn name(&self) -> &str {
        match self {
            Tracker::Interface(name)
            | Tracker::Script(name)
            | Tracker::File(name)
            | Tracker::Process(name)
            | Tracker::Session(name) => name,
        }
    }

    /// The keyword of the list that it stands in.
    pub fn keyword(&self) -> &'static str {
        match self {
            Tracker::Interface(_) => "track_interface",
            Tracker::Script(_) => "track_script",
            Tracker::File(_) => "track_file",
            Tracker::Process(_) => "track_process",
            Tracker::Session(_) => "track_bfd",
        }
    }
}

/// What an instance makes of a tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// The tracker.
    pub tracker: Tracker,
    /// -254 to 254. A positive one is added to the priority while the tracker is good, a
    /// negative one while it is bad; with 0 the instance is in fault while it is bad. The
    /// number in a file is multiplied by it, and added.
    pub weight: i16,
    /// Whether good counts as bad, and the number in a file as its negative.
    pub reverse: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_by_name_or_by_command_line() {
        let process = |parameters: &[&str], parameter_match| TrackedProcess {
            name: "p".to_owned(),
            program: "/usr/sbin/d".to_owned(),
            by_command_line: true,
            parameters: parameters.iter().map(|p| (*p).to_owned()).collect(),
            parameter_match,
            least: 1,
            most: None,
            rise_delay: Duration::ZERO,
            fall_delay: Duration::ZERO,
        };
        let line = ["/usr/sbin/d", "-f", "/etc/d.conf"];
        use ParameterMatch::{Exact, Initial, Partial};
        for (parameters, how, expected) in [
            (&[][..], None, true),
            (&[], Some(Exact), false),
            (&["-f", "/etc/d.conf"], Some(Exact), true),
            (&["-f"], Some(Exact), false),
            (&["-f"], Some(Partial), true),
            (&["-"], Some(Partial), false),
            (&["-f", "/etc/d.conf", "-v"], Some(Partial), false),
            (&["-f", "/etc/"], Some(Initial), true),
            (&["/etc/"], Some(Initial), false),
            (&[], Some(Initial), true),
        ] {
            let process = process(parameters, how);
            assert_eq!(
                process.matches("d", &line),
                expected,
                "{parameters:?} {how:?}"
            );
            assert!(!process.matches("d", &["/bin/d", "-f", "/etc/d.conf"]));
        }
        let by_name = TrackedProcess {
            by_command_line: false,
            program: "d".to_owned(),
            ..process(&[], None)
        };
        assert!(by_name.matches("d", &line));
        assert!(!by_name.matches("dd", &line));
        assert!(by_name.matches("d", &[]), "a thread of the kernel");
    }
}
