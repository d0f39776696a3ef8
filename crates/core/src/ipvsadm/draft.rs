//! What the options of a command line say, option by option, and the command that they make.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Names;
use super::command::{Columns, Command, Complaint, Format, Listing};
use super::notation::{endpoint, ipv4_address, leading_integer, number, shortened};
use super::options::{CommandName, Meaning, OptionName, PERSISTENCE_ENGINES, SCHEDULERS, Spelling};
use super::rules::{Given, TunnelType};
use crate::service::{
    DestinationSettings, Edit, Family, ForwardingMethod, Persistence, Protocol, Scheduler,
    ServiceKey, ServiceSettings, SyncDaemonSettings, SyncRole, Timeouts, Tunnel, TunnelChecksum,
};

/// The longest time that can be asked for, in seconds: 31 days.
const LONGEST_TIMEOUT: i64 = 31 * 86400;
/// Seconds of `-p` without a number.
const DEFAULT_PERSISTENCE: i64 = 6 * 60;
/// The interface of a sync daemon for which none is named.
const DEFAULT_MULTICAST_INTERFACE: &str = "eth0";
/// The longest name of a scheduler or an interface (`IP_VS_SCHEDNAME_MAXLEN`,
/// `IP_VS_IFNAME_MAXLEN`, both 16 with the terminating zero).
const LONGEST_NAME: usize = 15;
/// The longest name of a persistence engine (`IP_VS_PENAME_MAXLEN`).
const LONGEST_ENGINE_NAME: usize = 16;
/// The longest list of scheduler flags; the rest of a longer one is not looked at.
const LONGEST_FLAGS: usize = 127;

pub(super) fn sync_role(word: Option<&str>, complaint: &str) -> Result<SyncRole, Complaint> {
    SyncRole::NAMES
        .iter()
        .find(|(_, name)| Some(*name) == word)
        .map(|(role, _)| *role)
        .ok_or_else(|| Complaint::usage(complaint))
}

/// A time in seconds, at least `least`.
pub(super) fn timeout(text: &str, least: i64) -> Result<Duration, Complaint> {
    number(text, least..=LONGEST_TIMEOUT)
        .map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
        .ok_or_else(|| Complaint::usage(format!("invalid timeout value `{text}' specified")))
}

/// A number within `range`; `what` is its name in the complaint.
fn limited<T: TryFrom<i64>>(
    text: &str,
    range: RangeInclusive<i64>,
    what: &str,
) -> Result<T, Complaint> {
    number(text, range)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| Complaint::usage(format!("illegal {what} specified")))
}

/// Which clients are one client to persistence.
#[derive(Debug, Clone, Copy)]
enum Granularity {
    Mask(Ipv4Addr),
    PrefixLength(u8),
}

/// What the options read so far have said. Options act in the order in which they stand, and
/// some look at what others before them have left here.
pub(super) struct Draft<'a> {
    names: &'a dyn Names,
    pub(super) given: Given,
    family: Option<Family>,
    protocol: Option<Protocol>,
    address: IpAddr,
    port: u16,
    mark: u32,
    scheduler: String,
    scheduler_flags: String,
    flags: [bool; 3],
    persistence: Option<Duration>,
    granularity: Granularity,
    engine: String,
    one_packet: bool,
    real_server: SocketAddr,
    method: Meaning,
    tunnel_type: TunnelType,
    tunnel_port: u16,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    pub(super) timeouts: Timeouts,
    pub(super) sync_role: SyncRole,
    multicast_interface: String,
    sync_id: u8,
    multicast_group: Option<IpAddr>,
    multicast_port: Option<u16>,
    multicast_ttl: Option<u8>,
    sync_max_length: Option<u16>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(names: &'a dyn Names) -> Self {
        let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Draft {
            names,
            given: Given::default(),
            family: None,
            protocol: None,
            address: unspecified,
            port: 0,
            mark: 0,
            scheduler: String::new(),
            scheduler_flags: String::new(),
            flags: [false; 3],
            persistence: None,
            granularity: Granularity::Mask(Ipv4Addr::BROADCAST),
            engine: String::new(),
            one_packet: false,
            real_server: SocketAddr::new(unspecified, 0),
            method: Meaning::Gatewaying,
            tunnel_type: TunnelType::default(),
            tunnel_port: 0,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            timeouts: Timeouts::default(),
            sync_role: SyncRole::Master,
            multicast_interface: String::new(),
            sync_id: 0,
            multicast_group: None,
            multicast_port: None,
            multicast_ttl: None,
            sync_max_length: None,
        }
    }

    /// Takes in one option. `word` is the last word of the command line that was read.
    pub(super) fn take(
        &mut self,
        spelling: &Spelling,
        argument: Option<&str>,
        word: &str,
    ) -> Result<(), Complaint> {
        if let Some(name) = spelling.name
            && !self.given.add(name)
        {
            return Err(Complaint::usage(format!(
                "multiple '{}' options specified",
                name.as_str()
            )));
        }
        let text = argument.unwrap_or("");
        match (spelling.meaning, spelling.name) {
            (Meaning::Command(_) | Meaning::Help | Meaning::Version, _) => {
                Err(Complaint::usage(format!("invalid option `{word}'")))
            }
            (Meaning::Service(protocol), _) => self.take_service(protocol, text),
            (Meaning::FirewallMark, _) => self.take_mark(text),
            (Meaning::Ipv6, _) => self.take_ipv6(),
            (method @ (Meaning::Masquerading | Meaning::Ipip | Meaning::Gatewaying), _) => {
                self.method = method;
                Ok(())
            }
            (Meaning::Named, Some(OptionName::Persistent)) => {
                self.persistence = Some(match argument {
                    Some(text) => timeout(text, 1)?,
                    None => Duration::from_secs(DEFAULT_PERSISTENCE.unsigned_abs()),
                });
                Ok(())
            }
            (Meaning::Named, Some(name)) => self.take_value(name, text),
            (Meaning::Named | Meaning::Nothing, _) => Ok(()),
        }
    }

    fn take_service(&mut self, protocol: Protocol, text: &str) -> Result<(), Complaint> {
        self.protocol = Some(protocol);
        let endpoint = endpoint(text, self.protocol, self.names)
            .ok_or_else(|| Complaint::usage("illegal virtual server address[:port] specified"))?;
        self.address = endpoint.address;
        self.port = endpoint.port.unwrap_or(0);
        self.family = Some(Family::of(endpoint.address));
        if endpoint.address.is_ipv6() {
            self.granularity = Granularity::PrefixLength(128);
        }
        Ok(())
    }

    fn take_mark(&mut self, text: &str) -> Result<(), Complaint> {
        let mark = number(text, 1..=i64::from(u32::MAX)).and_then(|mark| u32::try_from(mark).ok());
        self.mark = mark
            .ok_or_else(|| Complaint::usage(format!("invalid fwmark value `{text}' specified")))?;
        // ipvsadm takes the ports of a mark's real servers for TCP's.
        self.protocol = Some(Protocol::Tcp);
        self.family = Some(Family::Inet);
        Ok(())
    }

    fn take_ipv6(&mut self) -> Result<(), Complaint> {
        if self.mark == 0 {
            // The message of the original ends with an empty line.
            return Err(Complaint::usage("-6 used before -f\n"));
        }
        self.family = Some(Family::Inet6);
        self.granularity = Granularity::PrefixLength(128);
        Ok(())
    }

    /// Takes in an option that is known by its name alone; `text` is its argument.
    fn take_value(&mut self, name: OptionName, text: &str) -> Result<(), Complaint> {
        let threshold = 0..=i64::from(i32::MAX);
        match name {
            OptionName::Scheduler => self.scheduler = shortened(text, LONGEST_NAME).to_owned(),
            OptionName::SchedulerFlags => {
                self.scheduler_flags = shortened(text, LONGEST_FLAGS).to_owned();
            }
            OptionName::PersistenceEngine => {
                self.engine = shortened(text, LONGEST_ENGINE_NAME).to_owned();
            }
            OptionName::OnePacket => self.one_packet = true,
            OptionName::Netmask => self.take_netmask(text)?,
            OptionName::RealServer => self.take_real_server(text)?,
            OptionName::Weight => self.weight = limited(text, threshold, "weight")?,
            OptionName::UpperThreshold => {
                self.upper_threshold = limited(text, threshold, "u_threshold")?;
            }
            OptionName::LowerThreshold => {
                self.lower_threshold = limited(text, threshold, "l_threshold")?;
            }
            OptionName::TunnelType => {
                self.tunnel_type = TunnelType::from_name(text)
                    .ok_or_else(|| Complaint::usage("illegal tunnel type specified"))?;
            }
            OptionName::TunnelPort => {
                self.tunnel_port = limited(text, 1..=65535, "tunnel port")?;
            }
            OptionName::MulticastInterface => {
                self.multicast_interface = shortened(text, LONGEST_NAME).to_owned();
            }
            OptionName::SyncId => self.sync_id = limited(text, 0..=255, "syncid")?,
            OptionName::MulticastGroup => self.multicast_group = Some(multicast_group(text)?),
            OptionName::MulticastPort => {
                self.multicast_port = Some(limited(text, 1..=65535, "mcast-port")?);
            }
            OptionName::MulticastTtl => {
                self.multicast_ttl = Some(limited(text, 1..=255, "mcast-ttl")?);
            }
            OptionName::SyncMaxLength => {
                // What is left of the largest packet by the headers of IPv4 and UDP.
                let largest = 65535 - 20 - 8;
                self.sync_max_length = Some(limited(text, 1..=largest, "sync-maxlen")?);
            }
            // That they were given is all that there is to know of the others.
            _ => {}
        }
        Ok(())
    }

    fn take_netmask(&mut self, text: &str) -> Result<(), Complaint> {
        self.granularity = if self.family == Some(Family::Inet6) {
            match u8::try_from(leading_integer(text)) {
                Ok(length @ 1..=128) => Granularity::PrefixLength(length),
                _ => return Err(Complaint::usage("illegal ipv6 netmask specified")),
            }
        } else {
            let mask = ipv4_address(text).or_else(|| self.names.host_to_address(text));
            Granularity::Mask(mask.ok_or_else(|| {
                Complaint::usage("illegal virtual server persistent mask specified")
            })?)
        };
        Ok(())
    }

    fn take_real_server(&mut self, text: &str) -> Result<(), Complaint> {
        let endpoint = endpoint(text, self.protocol, self.names)
            .ok_or_else(|| Complaint::usage("illegal real server address[:port] specified"))?;
        // Only a service address that stands before has a port to take over.
        let port = endpoint.port.unwrap_or(self.port);
        self.real_server = SocketAddr::new(endpoint.address, port);
        Ok(())
    }

    /// Reads the flags that `-b` gave; only now it is known whether `-s` goes with them.
    pub(super) fn read_scheduler_flags(&mut self) -> Result<(), Complaint> {
        if self.scheduler_flags.is_empty() {
            return Ok(());
        }
        let scheduler = match self.scheduler.as_str() {
            "" => Scheduler::default().name(),
            name => name,
        };
        let mut flags = self
            .scheduler_flags
            .split(',')
            .filter(|flag| !flag.is_empty())
            .peekable();
        if flags.peek().is_none() {
            return Err(Complaint::usage(format!(
                "invalid scheduler flag `{}'",
                self.scheduler_flags
            )));
        }
        for flag in flags {
            let (position, only_for) = match flag {
                "flag-1" => (0, None),
                "flag-2" => (1, None),
                "flag-3" => (2, None),
                "sh-fallback" => (0, Some("sh")),
                "sh-port" => (1, Some("sh")),
                "mh-fallback" => (0, Some("mh")),
                "mh-port" => (1, Some("mh")),
                _ => {
                    return Err(Complaint::usage(format!("invalid scheduler flag `{flag}'")));
                }
            };
            if only_for.is_some_and(|only_for| only_for != scheduler) {
                return Err(Complaint::usage(format!(
                    "incompatible scheduler flag `{flag}'"
                )));
            }
            self.flags[position] = true;
        }
        Ok(())
    }

    /// The command, now that all its options are known and go together.
    pub(super) fn finish(self, command: CommandName) -> Result<Command, Complaint> {
        let edit = match command {
            CommandName::AddService | CommandName::EditService => {
                return self.service_command(command == CommandName::EditService);
            }
            CommandName::AddServer | CommandName::EditServer => {
                let (address, settings) = self.destination()?;
                let service = self.service();
                if command == CommandName::EditServer {
                    Edit::EditDestination {
                        service,
                        address,
                        settings,
                    }
                } else {
                    Edit::AddDestination {
                        service,
                        address,
                        settings,
                    }
                }
            }
            CommandName::DeleteService => Edit::RemoveService {
                service: self.service(),
            },
            CommandName::DeleteServer => Edit::RemoveDestination {
                service: self.service(),
                address: self.real_server,
            },
            CommandName::Flush => Edit::Flush,
            CommandName::Zero => {
                // A service without an address and a port is as good as none.
                let names_one = self.mark != 0 || !self.address.is_unspecified() || self.port != 0;
                Edit::Zero {
                    service: names_one.then(|| self.service()),
                }
            }
            CommandName::Set => Edit::SetTimeouts(self.timeouts),
            CommandName::StartDaemon => Edit::StartSyncDaemon(self.sync_daemon()),
            CommandName::StopDaemon => Edit::StopSyncDaemon {
                role: self.sync_role,
            },
            CommandName::List => return self.list(),
            CommandName::Restore => return Ok(Command::Restore),
            CommandName::Save => {
                return Ok(Command::Save {
                    numeric: self.given.has(OptionName::Numeric),
                });
            }
        };
        Ok(Command::Edit(edit))
    }

    fn service(&self) -> ServiceKey {
        if self.mark != 0 {
            ServiceKey::Mark {
                mark: self.mark,
                family: self.family.unwrap_or(Family::Inet),
            }
        } else {
            ServiceKey::Address {
                protocol: self.protocol.unwrap_or(Protocol::Tcp),
                address: SocketAddr::new(self.address, self.port),
            }
        }
    }

    fn service_command(&self, existing: bool) -> Result<Command, Complaint> {
        if self.mark == 0 && self.port == 0 && self.persistence.is_none() {
            return Err(Complaint::usage(
                "Zero port specified for non-persistent service",
            ));
        }
        if self.one_packet && self.mark == 0 && self.protocol != Some(Protocol::Udp) {
            return Err(Complaint::usage(
                "One-Packet Scheduling is only for UDP virtual services",
            ));
        }
        let service = self.service();
        let scheduler = match self.scheduler.as_str() {
            "" => Some(Scheduler::default()),
            name => SCHEDULERS
                .into_iter()
                .find(|scheduler| scheduler.name() == name),
        };
        let engine_is_known =
            self.engine.is_empty() || PERSISTENCE_ENGINES.contains(&self.engine.as_str());
        let Some(scheduler) = scheduler.filter(|_| engine_is_known) else {
            return Ok(Command::EditByUnknownScheduler { service, existing });
        };
        let [flag_1, flag_2, flag_3] = self.flags;
        let settings = ServiceSettings {
            scheduler,
            scheduler_flag_1: flag_1,
            scheduler_flag_2: flag_2,
            scheduler_flag_3: flag_3,
            persistence: self.persistence.map(|timeout| self.persistence(timeout)),
            persistence_engine: Some(self.engine.clone()).filter(|engine| !engine.is_empty()),
            one_packet: self.one_packet,
        };
        Ok(Command::Edit(if existing {
            Edit::EditService { service, settings }
        } else {
            Edit::AddService { service, settings }
        }))
    }

    fn persistence(&self, timeout: Duration) -> Persistence {
        match self.granularity {
            Granularity::Mask(mask) => Persistence::with_netmask(timeout, mask),
            Granularity::PrefixLength(prefix_length) => Persistence {
                timeout,
                prefix_length,
                scattered_mask: None,
            },
        }
    }

    fn destination(&self) -> Result<(SocketAddr, DestinationSettings), Complaint> {
        let tunnels = self.method == Meaning::Ipip;
        let mut address = self.real_server;
        // Only NAT can change the port, so with other methods it is that of the service,
        // whatever was asked for.
        if self.mark == 0 && self.method != Meaning::Masquerading {
            address.set_port(self.port);
        }
        if Some(Family::of(address.ip())) != self.family && !tunnels {
            return Err(Complaint::usage(
                "Different address family is allowed only for tunneling servers",
            ));
        }
        let tunnel_options = [
            OptionName::TunnelType,
            OptionName::TunnelPort,
            OptionName::TunnelNoChecksum,
            OptionName::TunnelChecksum,
            OptionName::TunnelRemoteChecksum,
        ];
        if self.given.has_any(&tunnel_options) && !tunnels {
            return Err(Complaint::usage(
                "Tunnel options conflict with forward method",
            ));
        }
        self.tunnel_type
            .check(self.given)
            .map_err(Complaint::usage)?;
        let method = match self.method {
            Meaning::Masquerading => ForwardingMethod::Nat,
            Meaning::Ipip => ForwardingMethod::Tunnel(self.tunnel()),
            _ => ForwardingMethod::DirectRouting,
        };
        let settings = DestinationSettings {
            method,
            weight: self.weight,
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
        };
        Ok((address, settings))
    }

    fn tunnel(&self) -> Tunnel {
        let checksum = if self.given.has(OptionName::TunnelChecksum) {
            TunnelChecksum::Full
        } else if self.given.has(OptionName::TunnelRemoteChecksum) {
            TunnelChecksum::Remote
        } else {
            TunnelChecksum::None
        };
        match self.tunnel_type {
            TunnelType::Ipip => Tunnel::Ipip,
            TunnelType::Gue => Tunnel::Gue {
                port: self.tunnel_port,
                checksum,
            },
            TunnelType::Gre => Tunnel::Gre { checksum },
        }
    }

    fn sync_daemon(&self) -> SyncDaemonSettings {
        let interface = match self.multicast_interface.as_str() {
            "" => DEFAULT_MULTICAST_INTERFACE,
            name => name,
        };
        SyncDaemonSettings {
            role: self.sync_role,
            interface: interface.to_owned(),
            sync_id: self.sync_id,
            max_length: self.sync_max_length,
            group: self.multicast_group,
            port: self.multicast_port,
            ttl: self.multicast_ttl,
        }
    }

    fn list(&self) -> Result<Command, Complaint> {
        use OptionName::*;
        let given = self.given;
        let not_services = given.has_any(&[Connection, Timeout, Daemon]);
        let not_connections = given.has_any(&[Timeout, Daemon]);
        if (not_services && given.has_any(&[Stats, Rate, Thresholds]))
            || (not_connections && given.has(PersistentConnections))
        {
            return Err(Complaint::usage("options conflicts in the list command"));
        }
        let listing = if given.has(Connection) {
            Listing::Connections
        } else if given.has(ServiceAddress) {
            Listing::Service(self.service())
        } else if given.has(Timeout) {
            Listing::Timeouts
        } else if given.has(Daemon) {
            Listing::SyncDaemons
        } else {
            Listing::AllServices
        };
        // Of several columns the first one of these is shown, without complaint.
        let columns = if given.has(Stats) {
            Columns::Statistics
        } else if given.has(Rate) {
            Columns::Rates
        } else if given.has(Thresholds) {
            Columns::Thresholds
        } else if given.has(PersistentConnections) {
            Columns::PersistentConnections
        } else if given.has(TunnelInfo) {
            Columns::Tunnels
        } else {
            Columns::Ordinary
        };
        let format = Format {
            numeric: given.has(Numeric),
            columns,
            sorted: !given.has(NoSort),
            exact: given.has(Exact),
        };
        Ok(Command::List(listing, format))
    }
}

fn multicast_group(text: &str) -> Result<IpAddr, Complaint> {
    let (version, address) = if text.contains(':') {
        ("IPv6", text.parse::<Ipv6Addr>().ok().map(IpAddr::V6))
    } else {
        ("IPv4", text.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
    };
    address
        .filter(IpAddr::is_multicast)
        .ok_or_else(|| Complaint::usage(format!("invalid {version} mcast-group `{text}'")))
}
