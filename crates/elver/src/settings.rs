//! `elver.toml`: what keepalived.conf cannot say. Every key is optional.
//!
//! ```toml
//! [tables]                   # sizes; tables that are there already keep theirs
//! connections = 262144       # entries: a connection takes one, by NAT two
//! services = 4096
//! destinations = 16384
//!
//! [ipvs]                     # the settings of /proc/sys/net/ipv4/vs, with their defaults
//! conn_reuse_mode = 1
//! expire_nodest_conn = 0
//! expire_quiescent_template = 0
//! pmtu_disc = 1
//! sloppy_sctp = 0
//! sloppy_tcp = 0
//! ```

use std::io;
use std::path::{Path, PathBuf};

use elver_packet::table::settings::behaviour;
use elver_sys::bpf::Sizes;
use serde::Deserialize;

use crate::failure::Failure;

/// Where the file is, unless the command line says otherwise.
pub(crate) const DEFAULT_FILE: &str = "/etc/elver/elver.toml";

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    tables: Tables,
    ipvs: Ipvs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tables {
    connections: Size,
    services: Size,
    destinations: Size,
}

impl Default for Tables {
    fn default() -> Tables {
        let sizes = Sizes::default();
        Tables {
            connections: Size(sizes.connections),
            services: Size(sizes.services),
            destinations: Size(sizes.destinations),
        }
    }
}

/// A number of entries, from 16 to 2²⁷.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
struct Size(u32);

impl TryFrom<i64> for Size {
    type Error = String;

    fn try_from(number: i64) -> Result<Size, String> {
        const MOST: u32 = 1 << 27;
        match u32::try_from(number) {
            Ok(size @ 16..=MOST) => Ok(Size(size)),
            _ => Err(format!("{number} is not from 16 to {MOST}")),
        }
    }
}

/// A setting of IPVS that is off (0) or on (1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
struct Switch(bool);

impl TryFrom<i64> for Switch {
    type Error = String;

    fn try_from(number: i64) -> Result<Switch, String> {
        match number {
            0 => Ok(Switch(false)),
            1 => Ok(Switch(true)),
            _ => Err(format!("{number} is neither 0 (off) nor 1 (on)")),
        }
    }
}

/// `conn_reuse_mode`: bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
struct ReuseMode(u8);

impl TryFrom<i64> for ReuseMode {
    type Error = String;

    fn try_from(number: i64) -> Result<ReuseMode, String> {
        match number {
            0..=3 => Ok(ReuseMode(number as u8)),
            _ => Err(format!("{number} is not from 0 to 3")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ipvs {
    conn_reuse_mode: ReuseMode,
    expire_nodest_conn: Switch,
    expire_quiescent_template: Switch,
    pmtu_disc: Switch,
    sloppy_sctp: Switch,
    sloppy_tcp: Switch,
}

impl Default for Ipvs {
    fn default() -> Ipvs {
        Ipvs {
            conn_reuse_mode: ReuseMode(1),
            expire_nodest_conn: Switch(false),
            expire_quiescent_template: Switch(false),
            pmtu_disc: Switch(true),
            sloppy_sctp: Switch(false),
            sloppy_tcp: Switch(false),
        }
    }
}

impl Settings {
    /// Reads the file that was named, or the one that is read where none was, which need not
    /// be there.
    ///
    /// # Errors
    /// The file cannot be read, or says something that is not understood.
    pub(crate) fn load(named: Option<&Path>) -> Result<Settings, Failure> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Settings::default());
            }
            Err(error) => {
                return Err(Failure::ConfigurationUnreadable {
                    path: path.to_owned(),
                    error,
                });
            }
        };
        toml::from_str(&text).map_err(|error| Failure::SettingsUnusable {
            path: PathBuf::from(path),
            error,
        })
    }

    /// How large tables are made.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            services: self.tables.services.0,
            destinations: self.tables.destinations.0,
            connections: self.tables.connections.0,
        }
    }

    /// The flags of [`behaviour`].
    pub(crate) fn behaviour(&self) -> u32 {
        let ipvs = &self.ipvs;
        let reuse = ipvs.conn_reuse_mode.0;
        [
            (ipvs.expire_nodest_conn.0, behaviour::EXPIRE_NODEST_CONN),
            (
                ipvs.expire_quiescent_template.0,
                behaviour::EXPIRE_QUIESCENT_TEMPLATE,
            ),
            (ipvs.sloppy_tcp.0, behaviour::SLOPPY_TCP),
            (ipvs.sloppy_sctp.0, behaviour::SLOPPY_SCTP),
            (reuse & 1 != 0, behaviour::REUSE_ENDED),
            (reuse & 2 != 0, behaviour::REUSE_FIN_WAIT),
            (!ipvs.pmtu_disc.0, behaviour::NO_PMTU_DISC),
        ]
        .into_iter()
        .filter_map(|(is_set, flag)| is_set.then_some(flag))
        .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_what_the_kernel_does() {
        let settings: Settings = toml::from_str("").unwrap();
        assert_eq!(settings.behaviour(), behaviour::DEFAULT);
        assert_eq!(settings.sizes(), Sizes::default());
    }

    #[test]
    fn what_is_said_counts() {
        let text = "[tables]\nconnections = 1000000\n[ipvs]\nconn_reuse_mode = 2\n\
                    expire_nodest_conn = 1\npmtu_disc = 0";
        let settings: Settings = toml::from_str(text).unwrap();
        assert_eq!(settings.sizes().connections, 1_000_000);
        assert_eq!(
            settings.behaviour(),
            behaviour::REUSE_FIN_WAIT | behaviour::EXPIRE_NODEST_CONN | behaviour::NO_PMTU_DISC
        );
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_stands() {
        for (text, expected) in [
            ("[ipvs]\nsloppy_tpc = 1", "unknown field `sloppy_tpc`"),
            ("[ipvs]\nsloppy_tcp = 2", "2 is neither 0 (off) nor 1 (on)"),
            ("[tables]\nconnections = 0", "0 is not from 16 to"),
            ("[tables]\nconnections = \"many\"", "invalid type"),
        ] {
            let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("line 2"), "{error}");
        }
    }
}
