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
//! sloppy_tcp = 0             # the others are known; what has no effect is named
//!
//! [[mark]]                   # firewall marks; the first rule that fits counts, up to 32
//! mark = 7
//! protocol = "tcp"           # or udp, sctp; left out: any
//! destination = "192.0.2.10" # or a network; left out: any address, IPv4 unless source says
//! source = "10.0.0.0/8"      # left out: any
//! ports = "80-443"           # destination ports; left out: any
//!
//! [access]                   # who may use virtual services, by the longest prefix
//! deny = ["198.51.100.0/24", "2001:db8:bad::/48"]
//! allow = []                 # where there is one, everybody else may not
//!
//! [access.services."tcp 192.0.2.10:80"]    # or "fwmark 7", "fwmark 7 ipv6"
//! allow = ["10.0.0.0/8"]     # comes before what holds for all
//!
//! [real-server]              # what `elver real-server` does, beside its options
//! vips = ["192.0.2.10"]      # the virtual addresses that directors send packets for
//! directors = ["10.0.0.0/24"]  # the addresses, or networks, that tunnels may come from
//! gue_ports = [6080]         # the UDP ports on which GUE arrives, four at the most
//!
//! [discovery.docker]         # containers with labels elver.vip and elver.port
//! vips = ["192.0.2.10"]      # the virtual addresses, or networks, that labels may claim
//! socket = "/var/run/docker.sock"  # this host's engine; left out beside hosts: none
//!
//! [[discovery.docker.hosts]] # real servers that have engines of their own
//! engine = "tcp://10.0.0.11:2376"  # reached by TLS with certificates of both sides alone
//! address = "10.0.0.11"      # the real server's address
//! method = "tun"             # or dr
//! ca = "/etc/elver/docker/ca.pem"
//! certificate = "/etc/elver/docker/cert.pem"
//! key = "/etc/elver/docker/key.pem"
//! ```

mod discovery;
mod ipvs;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use elver_core::service::{Family, Protocol, ServiceKey};
use elver_packet::table::access::Access;
use elver_sys::bpf::Sizes;
use serde::Deserialize;

use crate::data_plane::{AccessLists, Behaviour, MOST_RULES, MarkRule, Network};
use crate::failure::Failure;

use self::discovery::DiscoverySettings;
use self::ipvs::{Ipvs, WithoutEffect};

pub(crate) use self::discovery::{DockerSettings, Engine, Reached};

/// Where the file is, unless the command line says otherwise.
pub(crate) const DEFAULT_FILE: &str = "/etc/elver/elver.toml";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    tables: Tables,
    ipvs: Ipvs,
    access: AccessSettings,
    mark: MarkRules,
    #[serde(rename = "real-server")]
    real_server: RealServerSettings,
    discovery: DiscoverySettings,
}

/// What a real server is to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RealServerSettings {
    /// The virtual addresses.
    pub(crate) vips: Vec<IpAddr>,
    /// Where tunnels may come from.
    pub(crate) directors: Vec<Prefix>,
    /// The ports on which GUE arrives.
    pub(crate) gue_ports: Vec<u16>,
}

/// Rules of marks, not more than there is room for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Vec<MarkSettings>")]
struct MarkRules(Vec<MarkRule>);

impl TryFrom<Vec<MarkSettings>> for MarkRules {
    type Error = String;

    fn try_from(rules: Vec<MarkSettings>) -> Result<MarkRules, String> {
        if rules.len() > MOST_RULES {
            return Err(format!(
                "there are {} rules of marks, and room for {MOST_RULES}",
                rules.len()
            ));
        }
        rules
            .iter()
            .map(MarkSettings::rule)
            .collect::<Result<_, _>>()
            .map(MarkRules)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkSettings {
    mark: NonZeroU32,
    protocol: Option<String>,
    destination: Option<Prefix>,
    source: Option<Prefix>,
    ports: Option<Ports>,
}

impl MarkSettings {
    fn rule(&self) -> Result<MarkRule, String> {
        let protocol = match self.protocol.as_deref() {
            None => None,
            Some("tcp") => Some(Protocol::Tcp),
            Some("udp") => Some(Protocol::Udp),
            Some("sctp") => Some(Protocol::Sctp),
            Some(other) => return Err(format!("`{other}` is none of tcp, udp and sctp")),
        };
        let given = [self.destination, self.source];
        let mut families = given.iter().flatten().map(|Prefix((ip, _))| ip.is_ipv4());
        let is_ipv4 = families.next().unwrap_or(true);
        if families.any(|family| family != is_ipv4) {
            return Err("destination and source are of different families".to_owned());
        }
        let any: Network = if is_ipv4 {
            (Ipv4Addr::UNSPECIFIED.into(), 0)
        } else {
            (Ipv6Addr::UNSPECIFIED.into(), 0)
        };
        Ok(MarkRule {
            mark: self.mark.get(),
            protocol,
            destination: self.destination.map_or(any, |prefix| prefix.0),
            source: self.source.map_or(any, |prefix| prefix.0),
            ports: self.ports.map_or((0, u16::MAX), |ports| ports.0),
        })
    }
}

/// Ports: `FIRST-LAST`, or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Ports((u16, u16));

impl TryFrom<String> for Ports {
    type Error = String;

    fn try_from(text: String) -> Result<Ports, String> {
        let wrong = || format!("`{text}` is no port and no range of ports (FIRST-LAST)");
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let first = first.trim().parse().map_err(|_| wrong())?;
        let last = last.trim().parse().map_err(|_| wrong())?;
        if first > last {
            return Err(wrong());
        }
        Ok(Ports((first, last)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AccessSettings {
    allow: Vec<Prefix>,
    deny: Vec<Prefix>,
    services: BTreeMap<ServiceName, ServiceAccess>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ServiceAccess {
    allow: Vec<Prefix>,
    deny: Vec<Prefix>,
}

/// A network: `ADDRESS/LENGTH`, or an address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Prefix(Network);

impl Prefix {
    /// The address, and the length of the prefix.
    pub(crate) fn network(self) -> Network {
        self.0
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        Prefix::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Prefix, String> {
        let wrong = || format!("`{text}` is no network: write ADDRESS/LENGTH or an address");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.as_str(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(length) => length.parse().map_err(|_| wrong())?,
        };
        if length > longest {
            return Err(format!("`{text}`: a prefix has {longest} bits at the most"));
        }
        Ok(Prefix((address, length)))
    }
}

/// A virtual service: `tcp ADDRESS:PORT` (or udp, sctp), `fwmark N` or `fwmark N ipv6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct ServiceName(ServiceKey);

impl TryFrom<String> for ServiceName {
    type Error = String;

    fn try_from(text: String) -> Result<ServiceName, String> {
        let wrong = || {
            format!(
                "`{text}` is no virtual service: write \"tcp ADDRESS:PORT\" (or udp, sctp), \
                 \"fwmark N\" or \"fwmark N ipv6\""
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let protocol = |protocol, address: &str| {
            let address: SocketAddr = address.parse().map_err(|_| wrong())?;
            Ok(ServiceKey::Address { protocol, address })
        };
        let mark = |mark: &str, family| match mark.parse() {
            Ok(0) | Err(_) => Err(wrong()),
            Ok(mark) => Ok(ServiceKey::Mark { mark, family }),
        };
        match words[..] {
            ["tcp", address] => protocol(Protocol::Tcp, address),
            ["udp", address] => protocol(Protocol::Udp, address),
            ["sctp", address] => protocol(Protocol::Sctp, address),
            ["fwmark", number] => mark(number, Family::Inet),
            ["fwmark", number, "ipv6"] => mark(number, Family::Inet6),
            _ => Err(wrong()),
        }
        .map(ServiceName)
    }
}

/// What lists say of networks. Beside networks that are allowed, all others are not.
fn list(allow: &[Prefix], deny: &[Prefix]) -> BTreeMap<Network, Access> {
    let mut networks = BTreeMap::new();
    if !allow.is_empty() {
        networks.insert((Ipv4Addr::UNSPECIFIED.into(), 0), Access::Denied);
        networks.insert((Ipv6Addr::UNSPECIFIED.into(), 0), Access::Denied);
    }
    networks.extend(allow.iter().map(|prefix| (prefix.0, Access::Allowed)));
    networks.extend(deny.iter().map(|prefix| (prefix.0, Access::Denied)));
    networks
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
            ..Sizes::default()
        }
    }

    /// What gives packets a firewall mark.
    pub(crate) fn mark_rules(&self) -> Vec<MarkRule> {
        self.mark.0.clone()
    }

    /// Who may use which service.
    pub(crate) fn access(&self) -> AccessLists {
        AccessLists {
            all: list(&self.access.allow, &self.access.deny),
            services: self
                .access
                .services
                .iter()
                .map(|(name, lists)| (name.0, list(&lists.allow, &lists.deny)))
                .collect(),
        }
    }

    /// How packets are treated where IPVS has a setting for it.
    pub(crate) fn behaviour(&self) -> Behaviour {
        self.ipvs.behaviour()
    }

    /// What it says of this host as a real server.
    pub(crate) fn real_server(&self) -> &RealServerSettings {
        &self.real_server
    }

    /// The engines whose containers show themselves, if it has that table.
    pub(crate) fn docker(&self) -> Option<&DockerSettings> {
        self.discovery.docker.as_ref()
    }

    /// Every setting of `[ipvs]` that has a value, as it is written.
    pub(crate) fn ipvs_values(&self) -> BTreeMap<String, String> {
        self.ipvs.values()
    }

    /// What it says of IPVS that nothing comes of.
    pub(crate) fn without_effect(&self) -> Vec<WithoutEffect> {
        self.ipvs.without_effect()
    }
}

#[cfg(test)]
mod tests {
    use elver_packet::table::settings::behaviour;

    use super::*;

    #[test]
    fn nothing_said_is_what_the_kernel_does() {
        let settings: Settings = toml::from_str("").unwrap();
        assert_eq!(settings.behaviour().flags, behaviour::DEFAULT);
        assert_eq!(settings.sizes(), Sizes::default());
    }

    #[test]
    fn what_is_said_counts() {
        let text = "[tables]\nconnections = 1000000\n[ipvs]\nconn_reuse_mode = 2\n\
                    expire_nodest_conn = 1\npmtu_disc = 0";
        let settings: Settings = toml::from_str(text).unwrap();
        assert_eq!(settings.sizes().connections, 1_000_000);
        assert_eq!(
            settings.behaviour().flags,
            behaviour::REUSE_ENDED
                | behaviour::REUSE_FIN_WAIT
                | behaviour::EXPIRE_NODEST_CONN
                | behaviour::NO_PMTU_DISC
        );
    }

    #[test]
    fn who_is_not_allowed_where_some_are_is_denied() {
        let text = "[access]\ndeny = [\"10.0.0.1\"]\n\
                    [access.services.\"tcp 192.0.2.10:80\"]\nallow = [\"10.0.0.0/8\"]";
        let lists = toml::from_str::<Settings>(text).unwrap().access();
        let network = |text: &str, length| (text.parse::<IpAddr>().unwrap(), length);
        assert_eq!(
            lists.all,
            BTreeMap::from([(network("10.0.0.1", 32), Access::Denied)])
        );
        let of_service: Vec<_> = lists
            .services
            .into_values()
            .next()
            .unwrap()
            .into_iter()
            .collect();
        assert_eq!(
            of_service,
            [
                (network("0.0.0.0", 0), Access::Denied),
                (network("10.0.0.0", 8), Access::Allowed),
                (network("::", 0), Access::Denied),
            ]
        );
    }

    #[test]
    fn a_rule_of_marks_holds_for_all_that_it_does_not_name() {
        let text = "[[mark]]\nmark = 7\nports = \"80-443\"\n[[mark]]\nmark = 8\n\
                    protocol = \"udp\"\nsource = \"fd00::/8\"";
        let rules = toml::from_str::<Settings>(text).unwrap().mark_rules();
        let any: Network = (Ipv4Addr::UNSPECIFIED.into(), 0);
        let first = MarkRule {
            mark: 7,
            protocol: None,
            destination: any,
            source: any,
            ports: (80, 443),
        };
        let second = MarkRule {
            mark: 8,
            protocol: Some(Protocol::Udp),
            destination: (Ipv6Addr::UNSPECIFIED.into(), 0),
            source: ("fd00::".parse().unwrap(), 8),
            ports: (0, u16::MAX),
        };
        assert_eq!(rules, [first, second]);
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_stands() {
        for (text, expected) in [
            ("[ipvs]\nsloppy_tpc = 1", "unknown field `sloppy_tpc`"),
            ("[ipvs]\nsloppy_tcp = 2", "2 is neither 0 (off) nor 1 (on)"),
            ("[tables]\nconnections = 0", "0 is not from 16 to"),
            ("[tables]\nconnections = \"many\"", "invalid type"),
            ("[[mark]]\nmark = 0", "nonzero"),
            ("[[mark]]\nports = \"9-1\"\nmark = 1", "`9-1` is no port"),
            ("[access]\ndeny = [\"10.0.0.0/33\"]", "at the most"),
            ("[access]\ndeny = [\"nobody\"]", "`nobody` is no network"),
            (
                "[access]\nservices.\"http 1.2.3.4\".deny = []",
                "is no virtual service",
            ),
        ] {
            let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("line 2"), "{error}");
        }
    }
}
