//! What a real server is asked to be, and by whom: the command line, elver.toml, keepalived.conf.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use elver_core::config::model::Configuration;
use elver_core::service::{ForwardingMethod, Protocol, ServiceKey, Tunnel};
use elver_sys::netlink::Netlink;

use crate::command_line::DEFAULT_FILE;
use crate::configuration::{self, Origin};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::settings::{Prefix, RealServerSettings, Settings};

/// The port on which GUE arrives where nobody names one (IANA, Linux's own documentation of fou).
const GUE_PORT: u16 = 6080;
/// As many ports as the programs look at.
const MOST_GUE_PORTS: usize = elver_packet::real_server::GUE_PORTS;

/// Who says what the role is to do. All of it counts together.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sources {
    /// A virtual address that directors send this host packets for
    #[arg(long, value_name = "ADDRESS", global = true)]
    vip: Vec<IpAddr>,
    /// An address, or network, from which directors send tunnels
    #[arg(long, value_name = "ADDRESS[/LENGTH]", global = true)]
    director: Vec<Prefix>,
    /// A UDP port on which GUE arrives [default: what the file says, or 6080]
    #[arg(long, value_name = "PORT", global = true)]
    gue_port: Vec<u16>,
    /// A director's keepalived.conf, of which this host is a real server [default: none; without
    /// --vip, and without virtual addresses in elver.toml, /etc/keepalived/keepalived.conf]
    #[arg(short, long, value_name = "FILE", global = true)]
    file: Option<PathBuf>,
    /// The name that lines with @NAME hold for [default: the host name's first part]
    #[arg(short = 'i', long, value_name = "ID", global = true)]
    config_id: Option<String>,
    /// Let containers of this host's Docker engine serve whose labels ask for that, like
    /// `elver.vip=192.0.2.10:80` and `elver.port=8080`: packets go on to them by NAT, and their
    /// answers straight to clients. Labels may claim the virtual addresses above, or those that
    /// the settings have under [discovery.docker]
    #[arg(long)]
    docker: bool,
    /// The file with a table [real-server] [default: /etc/elver/elver.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    settings: Option<PathBuf>,
}

/// What a real server is to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// The virtual addresses.
    pub(crate) vips: BTreeSet<IpAddr>,
    /// Where tunnels may come from.
    pub(crate) directors: BTreeSet<(IpAddr, u8)>,
    /// The ports on which GUE arrives.
    pub(crate) gue_ports: BTreeSet<u16>,
    /// The services that are known to be expected here.
    pub(crate) services: BTreeSet<(Protocol, SocketAddr)>,
    /// Whether it is known that tunnels are to be used.
    pub(crate) has_tunnels: bool,
    /// Whether containers are discovered, which come and go: then nobody has to listen here.
    pub(crate) has_containers: bool,
}

impl Sources {
    /// elver.toml, if it is named.
    pub(crate) fn settings(&self) -> Option<PathBuf> {
        self.settings.clone()
    }

    /// Reads what there is to read.
    ///
    /// # Errors
    /// A file cannot be read or used, or nothing says what to do.
    pub(crate) fn wanted(&self, instance: &Instance) -> Result<Wanted, Failure> {
        let settings = Settings::load(self.settings.as_deref())?;
        let RealServerSettings {
            vips,
            directors,
            gue_ports,
        } = settings.real_server();
        let networks = self.director.iter().chain(directors);
        let mut wanted = Wanted {
            vips: self.vip.iter().chain(vips).copied().collect(),
            directors: networks.map(|prefix| prefix.network()).collect(),
            gue_ports: self.gue_port.iter().chain(gue_ports).copied().collect(),
            has_containers: self.docker || settings.docker().is_some(),
            ..Wanted::default()
        };
        let file = match &self.file {
            Some(file) => Some(file.clone()),
            None if wanted.vips.is_empty() => Some(PathBuf::from(DEFAULT_FILE)),
            None => None,
        };
        if let Some(file) = file {
            let origin = Origin {
                file: file.clone(),
                config_id: self.config_id.clone(),
                instance: instance.clone(),
                all_includes: false,
            };
            // What there is to say about the file is for the director to say.
            let configuration = configuration::load_in_silence(&origin)?;
            let own = own_addresses()?;
            if !wanted.take(&configuration, &own) && wanted.vips.is_empty() {
                return Err(Failure::RoleUnclear(format!(
                    "{}: no virtual server sends anything by direct routing or a tunnel to an \
                     address of this host ({}); name the virtual addresses with --vip",
                    file.display(),
                    own.iter()
                        .map(IpAddr::to_string)
                        .collect::<Vec<_>>()
                        .join(", "),
                )));
            }
        }
        if wanted.has_tunnels && wanted.directors.is_empty() {
            return Err(Failure::RoleUnclear(
                "tunnels are used, and nothing says from which addresses directors send them \
                 (unicast_src_ip and unicast_peer of VRRP would); name them, or their network, \
                 with --director or in elver.toml: [real-server] directors = [\"192.0.2.0/24\"]"
                    .to_owned(),
            ));
        }
        if wanted.gue_ports.is_empty() {
            wanted.gue_ports.insert(GUE_PORT);
        }
        if wanted.gue_ports.len() > MOST_GUE_PORTS {
            return Err(Failure::RoleUnclear(format!(
                "there are {} ports for GUE, and room for {MOST_GUE_PORTS}",
                wanted.gue_ports.len()
            )));
        }
        Ok(wanted)
    }
}

impl Wanted {
    /// Takes over what a director's configuration says of a host with these addresses; false
    /// if it says nothing of one.
    fn take(&mut self, configuration: &Configuration, own: &BTreeSet<IpAddr>) -> bool {
        let mut is_named = false;
        for server in &configuration.virtual_servers {
            let here = server.real_servers.iter();
            for real_server in here.filter(|here| own.contains(&here.address.ip())) {
                match real_server.settings.method {
                    ForwardingMethod::Nat => continue,
                    ForwardingMethod::DirectRouting => {}
                    ForwardingMethod::Tunnel(tunnel) => {
                        self.has_tunnels = true;
                        if let Tunnel::Gue { port, .. } = tunnel {
                            self.gue_ports.insert(port);
                        }
                    }
                }
                for key in server.services() {
                    // Of a firewall mark's service the file does not say the addresses.
                    let ServiceKey::Address { protocol, address } = key else {
                        continue;
                    };
                    is_named = true;
                    self.vips.insert(address.ip());
                    self.services.insert((protocol, address));
                }
            }
        }
        for instance in &configuration.instances {
            let peers = instance.unicast_peers.iter().map(|peer| peer.address);
            let all = instance.source.into_iter().chain(peers);
            self.directors.extend(all.map(|ip| (ip, super::whole(ip))));
        }
        is_named
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |words: Vec<String>| words.join(", ");
        write!(
            f,
            "virtual addresses {}",
            list(self.vips.iter().map(IpAddr::to_string).collect())
        )?;
        if self.directors.is_empty() {
            return write!(f, "; no directors, so nothing comes out of a tunnel");
        }
        let networks = self.directors.iter();
        let networks = networks.map(|(address, length)| {
            if *length == super::whole(*address) {
                address.to_string()
            } else {
                format!("{address}/{length}")
            }
        });
        write!(f, "; tunnels from {}", list(networks.collect()))
    }
}

/// The addresses of this host.
fn own_addresses() -> Result<BTreeSet<IpAddr>, Failure> {
    let addresses = Netlink::open()
        .and_then(|mut netlink| netlink.addresses())
        .map_err(Failure::system("reading addresses"))?;
    Ok(addresses
        .into_iter()
        .map(|address| address.address)
        .filter(|address| !address.is_loopback())
        .collect())
}
