//! What the director itself does when it starts and ends, and the files that it writes.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Script;

/// keepalived's name of the file of data, and so on, in the folder that anybody may write to.
const DATA: &str = "/tmp/keepalived.data";
const STATISTICS: &str = "/tmp/keepalived.stats";
const JSON: &str = "/tmp/keepalived.json";

/// A script that the director waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedScript {
    /// What is run.
    pub script: Script,
    /// Time after which it is ended.
    pub timeout: Duration,
}

/// `lvs_flush_on_stop`: what goes at the end, besides what the configuration has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlushOnStop {
    /// Nothing but that.
    No,
    /// The virtual services of the configuration, each with all its real servers.
    ConfiguredServices,
    /// Every virtual service, whoever has made it.
    Everything,
}

/// Where the files are that signals ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpFiles {
    /// `state_dump_file`.
    pub data: String,
    /// `stats_dump_file`.
    pub statistics: String,
    /// `json_dump_file`.
    pub json: String,
    /// `json_version`: the format of that file.
    pub json_version: JsonVersion,
}

/// A format of `keepalived.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum JsonVersion {
    /// A list of instances.
    #[default]
    First,
    /// An object with that list, and one of tracked processes where there are any.
    Second,
}

/// `reload_…`: the file is read again by itself, or tells others that it is being read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reloading {
    /// `reload_time_file`: a file with the time at which that happens.
    pub time_file: Option<String>,
    /// `reload_repeat`: that file stays, so that a time of day counts every day.
    pub repeats: bool,
    /// `reload_file`: a file that is there while the configuration is being read.
    pub busy_file: Option<BusyFile>,
}

/// A file that is there while the configuration is being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BusyFile {
    /// Where keepalived has it when nothing else is said.
    Usual,
    /// Somewhere else.
    At(String),
}

impl Default for DumpFiles {
    fn default() -> DumpFiles {
        DumpFiles {
            data: DATA.to_owned(),
            statistics: STATISTICS.to_owned(),
            json: JSON.to_owned(),
            json_version: JsonVersion::First,
        }
    }
}

/// `SSL`: who the director is to servers that `SSL_GET` asks.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// `certificate`: a file with a chain, its own certificate first, in PEM.
    pub certificate: Option<String>,
    /// `key`: a file with its private key, in PEM.
    pub key: Option<String>,
    /// `password`: of the key.
    pub password: Option<String>,
    /// `ca`: a file of authorities. They help to complete the chain; whether servers are
    /// whom they say they are is not looked at, as it is not by keepalived.
    pub authorities: Option<String>,
}

impl fmt::Debug for ClientCertificate {
    // A password is in no log and no dump.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .field("password", &self.password.as_ref().map(|_| "redacted"))
            .field("authorities", &self.authorities)
            .finish()
    }
}
