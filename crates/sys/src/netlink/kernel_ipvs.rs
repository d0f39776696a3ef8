//! The kernel's own IPVS, by generic netlink (`include/uapi/linux/ip_vs.h`): what it has is
//! read, taken away, and put back as it was.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLM_F_ACK, NLM_F_REQUEST, Nla, NlasIterator, Parseable,
    ParseableParametrized,
};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use rustix::net::netlink::GENERIC;

use super::channel::Channel;

/// `IPVS_GENL_NAME` and `IPVS_GENL_VERSION`.
const NAME: &str = "IPVS";
const VERSION: u8 = 1;

/// `IPVS_CMD_*`.
mod command {
    pub(super) const NEW_SERVICE: u8 = 1;
    pub(super) const REMOVE_SERVICE: u8 = 3;
    pub(super) const GET_SERVICE: u8 = 4;
    pub(super) const NEW_DESTINATION: u8 = 5;
    pub(super) const GET_DESTINATION: u8 = 8;
    pub(super) const GET_DAEMON: u8 = 11;
    pub(super) const GET_CONFIG: u8 = 13;
}

/// `IPVS_CMD_ATTR_*`.
mod attribute {
    pub(super) const SERVICE: u16 = 1;
    pub(super) const DESTINATION: u16 = 2;
    pub(super) const DAEMON: u16 = 3;
    /// The first of three.
    pub(super) const TIMEOUT_TCP: u16 = 4;
}

/// `IPVS_SVC_ATTR_*`.
mod service {
    pub(super) const FAMILY: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const ADDRESS: u16 = 3;
    pub(super) const PORT: u16 = 4;
    pub(super) const MARK: u16 = 5;
    pub(super) const SCHEDULER: u16 = 6;
    pub(super) const FLAGS: u16 = 7;
    pub(super) const TIMEOUT: u16 = 8;
    pub(super) const NETMASK: u16 = 9;
    pub(super) const STATISTICS: u16 = 10;
    pub(super) const ENGINE: u16 = 11;
    pub(super) const STATISTICS_64: u16 = 12;
}

/// `IPVS_DEST_ATTR_*`.
mod destination {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const PORT: u16 = 2;
    pub(super) const METHOD: u16 = 3;
    pub(super) const WEIGHT: u16 = 4;
    pub(super) const UPPER_THRESHOLD: u16 = 5;
    pub(super) const LOWER_THRESHOLD: u16 = 6;
    /// The first of three counts of connections, and the statistics behind them.
    pub(super) const ACTIVE: u16 = 7;
    pub(super) const STATISTICS: u16 = 10;
    pub(super) const FAMILY: u16 = 11;
    pub(super) const STATISTICS_64: u16 = 12;
    pub(super) const TUNNEL_TYPE: u16 = 13;
    pub(super) const TUNNEL_PORT: u16 = 14;
    pub(super) const TUNNEL_FLAGS: u16 = 15;
}

/// `IPVS_DAEMON_ATTR_*`.
mod daemon {
    pub(super) const STATE: u16 = 1;
}

/// A virtual service of the kernel's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelService {
    /// IP protocol number, address and port; of a service of a firewall mark the address is
    /// the unspecified one of its family.
    pub address: (u8, IpAddr, u16),
    /// The firewall mark, or 0.
    pub mark: u32,
    /// Name of the scheduler.
    pub scheduler: String,
    /// `IP_VS_SVC_F_*`.
    pub flags: u32,
    /// How long persistence lasts, in seconds.
    pub timeout: u32,
    /// Whose clients are the same one: IPv4, a mask as in a packet; IPv6, the length of a prefix.
    pub netmask: u32,
    /// Name of the persistence engine.
    pub engine: Option<String>,
    /// Its destinations, in the kernel's order.
    pub destinations: Vec<KernelDestination>,
    attributes: Vec<DefaultNla>,
}

/// A destination of the kernel's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelDestination {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// `IP_VS_CONN_F_*`, as far as it says how packets are forwarded.
    pub method: u32,
    /// Its weight.
    pub weight: u32,
    /// From how many connections on it gets no more, and below how many it gets more again.
    pub thresholds: (u32, u32),
    /// `IP_VS_CONN_F_TUNNEL_TYPE_*`, the port, `IP_VS_TUNNEL_ENCAP_FLAG_*`.
    pub tunnel: (u8, u16, u16),
    attributes: Vec<DefaultNla>,
}

/// What is sent and received.
#[derive(Debug, Clone)]
struct Ipvs {
    command: u8,
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for Ipvs {
    fn family_name() -> &'static str {
        NAME
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        VERSION
    }
}

impl Emitable for Ipvs {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Ipvs {
    fn parse_with_param(buffer: &[u8], header: GenlHeader) -> Result<Ipvs, DecodeError> {
        Ok(Ipvs {
            command: header.cmd,
            attributes: attributes(buffer)?,
        })
    }
}

/// A socket to the kernel's IPVS.
#[derive(Debug)]
pub struct KernelIpvs {
    channel: Channel,
    family: u16,
}

impl KernelIpvs {
    /// Opens a socket in the network namespace of the calling thread; none if the kernel has no
    /// IPVS, or has not loaded it.
    ///
    /// # Errors
    /// What the kernel says about the socket.
    pub fn open() -> io::Result<Option<KernelIpvs>> {
        let mut channel = Channel::open(Some(GENERIC))?;
        let question = GenlMessage::from_payload(GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(NAME.to_owned())],
        });
        let answers = match channel.ask(question, NLM_F_REQUEST | NLM_F_ACK) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            other => other?,
        };
        let mut attributes = answers.iter().flat_map(|answer| &answer.payload.nlas);
        let family = attributes.find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(*id),
            _ => None,
        });
        Ok(family.map(|family| KernelIpvs { channel, family }))
    }

    /// Every service with its destinations.
    ///
    /// # Errors
    /// `EPERM` without the right, and what else the kernel answers.
    pub fn services(&mut self) -> io::Result<Vec<KernelService>> {
        let answers = self.dump(command::GET_SERVICE, Vec::new())?;
        let mut services = Vec::new();
        for nested in nested(&answers, attribute::SERVICE)? {
            let mut service = read_service(nested)?;
            let named = nest(attribute::SERVICE, &service.attributes);
            let answers = self.dump(command::GET_DESTINATION, vec![named])?;
            for nested in self::nested(&answers, attribute::DESTINATION)? {
                let family = service.address.1.is_ipv4();
                service.destinations.push(read_destination(nested, family)?);
            }
            services.push(service);
        }
        Ok(services)
    }

    /// How long idle connections stay, in seconds: of TCP, of TCP after a FIN, of UDP.
    ///
    /// # Errors
    /// As of [`KernelIpvs::services`].
    pub fn timeouts(&mut self) -> io::Result<[u32; 3]> {
        let answers = self.ask(command::GET_CONFIG, Vec::new())?;
        let mut timeouts = [0; 3];
        for attribute in answers.iter().flatten() {
            let place = attribute.kind().checked_sub(attribute::TIMEOUT_TCP);
            if let Some(timeout) = place.and_then(|place| timeouts.get_mut(usize::from(place))) {
                *timeout = number(attribute);
            }
        }
        Ok(timeouts)
    }

    /// Whether connections are sent to other directors, and whether they are received from some.
    ///
    /// # Errors
    /// As of [`KernelIpvs::services`].
    pub fn sync_daemons(&mut self) -> io::Result<(bool, bool)> {
        let answers = self.dump(command::GET_DAEMON, Vec::new())?;
        let mut states = 0;
        for attributes in nested(&answers, attribute::DAEMON)? {
            states |= find(&attributes, daemon::STATE).map_or(0, number);
        }
        Ok((states & 1 != 0, states & 2 != 0))
    }

    /// Takes a service away; that it is not there is fine. Connections stay until they expire.
    ///
    /// # Errors
    /// As of [`KernelIpvs::services`].
    pub fn remove(&mut self, service: &KernelService) -> io::Result<()> {
        self.remove_named(nest(attribute::SERVICE, &service.attributes))
    }

    /// Adds a service of a firewall mark that has no destinations.
    ///
    /// # Errors
    /// As of [`KernelIpvs::services`].
    pub fn add_mark(&mut self, mark: u32, is_ipv4: bool) -> io::Result<()> {
        let settings = [
            DefaultNla::new(service::SCHEDULER, b"rr\0".to_vec()),
            // No flags, of all that there are.
            DefaultNla::new(service::FLAGS, [[0; 4], [0xff; 4]].concat()),
            DefaultNla::new(service::TIMEOUT, vec![0; 4]),
            DefaultNla::new(service::NETMASK, vec![0xff; 4]),
        ];
        let attributes = [marked(mark, is_ipv4).as_slice(), &settings].concat();
        self.add(
            command::NEW_SERVICE,
            vec![nest(attribute::SERVICE, &attributes)],
        )
    }

    /// Takes a service of a firewall mark away; that it is not there is fine.
    ///
    /// # Errors
    /// As of [`KernelIpvs::services`].
    pub fn remove_mark(&mut self, mark: u32, is_ipv4: bool) -> io::Result<()> {
        self.remove_named(nest(attribute::SERVICE, &marked(mark, is_ipv4)))
    }

    fn remove_named(&mut self, named: DefaultNla) -> io::Result<()> {
        match self.ask(command::REMOVE_SERVICE, vec![named]) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Puts a service back with its destinations, as they were read; what of it is there
    /// already stays as it is.
    ///
    /// # Errors
    /// As of [`KernelIpvs::services`].
    pub fn put_back(&mut self, service: &KernelService) -> io::Result<()> {
        let named = nest(attribute::SERVICE, &service.attributes);
        self.add(command::NEW_SERVICE, vec![named.clone()])?;
        for destination in &service.destinations {
            let added = nest(attribute::DESTINATION, &destination.attributes);
            self.add(command::NEW_DESTINATION, vec![named.clone(), added])?;
        }
        Ok(())
    }

    fn add(&mut self, command: u8, attributes: Vec<DefaultNla>) -> io::Result<()> {
        match self.ask(command, attributes) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => other.map(drop),
        }
    }

    fn message(&self, command: u8, attributes: Vec<DefaultNla>) -> GenlMessage<Ipvs> {
        let mut message = GenlMessage::from_payload(Ipvs {
            command,
            attributes,
        });
        message.set_resolved_family_id(self.family);
        message
    }

    fn dump(
        &mut self,
        command: u8,
        attributes: Vec<DefaultNla>,
    ) -> io::Result<Vec<Vec<DefaultNla>>> {
        let answers = self.channel.dump(self.message(command, attributes))?;
        Ok(answers
            .into_iter()
            .map(|answer| answer.payload.attributes)
            .collect())
    }

    fn ask(
        &mut self,
        command: u8,
        attributes: Vec<DefaultNla>,
    ) -> io::Result<Vec<Vec<DefaultNla>>> {
        let message = self.message(command, attributes);
        let answers = self.channel.ask(message, NLM_F_REQUEST | NLM_F_ACK)?;
        Ok(answers
            .into_iter()
            .map(|answer| answer.payload.attributes)
            .collect())
    }
}

/// What names a service of a firewall mark.
fn marked(mark: u32, is_ipv4: bool) -> [DefaultNla; 2] {
    let family = if is_ipv4 {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    [
        DefaultNla::new(service::FAMILY, (family as u16).to_ne_bytes().to_vec()),
        DefaultNla::new(service::MARK, mark.to_ne_bytes().to_vec()),
    ]
}

fn attributes(octets: &[u8]) -> Result<Vec<DefaultNla>, DecodeError> {
    NlasIterator::new(octets)
        .map(|attribute| DefaultNla::parse(&attribute?))
        .collect()
}

/// What is in the attributes of this kind.
fn nested(answers: &[Vec<DefaultNla>], kind: u16) -> io::Result<Vec<Vec<DefaultNla>>> {
    let all = answers.iter().flatten();
    all.filter(|attribute| is(attribute, kind))
        .map(|attribute| attributes(&octets(attribute)).map_err(io::Error::other))
        .collect()
}

fn nest(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    let mut value = vec![0; attributes.buffer_len()];
    attributes.emit(&mut value);
    DefaultNla::new(kind | NESTED, value)
}

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

fn is(attribute: &DefaultNla, kind: u16) -> bool {
    attribute.kind() & !NESTED == kind
}

fn find(attributes: &[DefaultNla], kind: u16) -> Option<&DefaultNla> {
    attributes.iter().find(|attribute| is(attribute, kind))
}

fn octets(attribute: &DefaultNla) -> Vec<u8> {
    let mut octets = vec![0; attribute.value_len()];
    attribute.emit_value(&mut octets);
    octets
}

/// A number of one, two or four octets, in the host's order.
fn number(attribute: &DefaultNla) -> u32 {
    match *octets(attribute) {
        [octet] => octet.into(),
        [a, b] => u16::from_ne_bytes([a, b]).into(),
        [a, b, c, d, ..] => u32::from_ne_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// A port, in the network's order.
fn port(attribute: &DefaultNla) -> u16 {
    u16::from_be(number(attribute) as u16)
}

fn text(attribute: &DefaultNla) -> String {
    let octets = octets(attribute);
    let end = octets.iter().position(|octet| *octet == 0);
    String::from_utf8_lossy(&octets[..end.unwrap_or(octets.len())]).into_owned()
}

fn address(attribute: &DefaultNla, is_ipv4: bool) -> io::Result<IpAddr> {
    let octets = octets(attribute);
    let first = octets.first_chunk::<4>();
    match (is_ipv4, first, octets.first_chunk::<16>()) {
        (true, Some(octets), _) => Ok(Ipv4Addr::from(*octets).into()),
        (false, _, Some(octets)) => Ok(Ipv6Addr::from(*octets).into()),
        _ => Err(io::Error::other("an address of IPVS is too short")),
    }
}

fn read_service(mut attributes: Vec<DefaultNla>) -> io::Result<KernelService> {
    // What only goes out.
    attributes.retain(|attribute| {
        !is(attribute, service::STATISTICS) && !is(attribute, service::STATISTICS_64)
    });
    let value = |kind| find(&attributes, kind).map_or(0, number);
    let is_ipv4 = value(service::FAMILY) == libc::AF_INET as u32;
    let address = match find(&attributes, service::ADDRESS) {
        Some(attribute) => address(attribute, is_ipv4)?,
        None if is_ipv4 => Ipv4Addr::UNSPECIFIED.into(),
        None => Ipv6Addr::UNSPECIFIED.into(),
    };
    Ok(KernelService {
        address: (
            value(service::PROTOCOL) as u8,
            address,
            find(&attributes, service::PORT).map_or(0, port),
        ),
        mark: value(service::MARK),
        scheduler: find(&attributes, service::SCHEDULER).map_or_else(String::new, text),
        // A structure of flags and of the mask for them.
        flags: value(service::FLAGS),
        timeout: value(service::TIMEOUT),
        netmask: value(service::NETMASK),
        engine: find(&attributes, service::ENGINE).map(text),
        destinations: Vec::new(),
        attributes,
    })
}

fn read_destination(
    mut attributes: Vec<DefaultNla>,
    of_ipv4: bool,
) -> io::Result<KernelDestination> {
    attributes.retain(|attribute| {
        let kind = attribute.kind() & !NESTED;
        !(destination::ACTIVE..=destination::STATISTICS).contains(&kind)
            && kind != destination::STATISTICS_64
    });
    let value = |kind| find(&attributes, kind).map_or(0, number);
    let is_ipv4 = match value(destination::FAMILY) {
        0 => of_ipv4,
        family => family == libc::AF_INET as u32,
    };
    let address = find(&attributes, destination::ADDRESS)
        .ok_or_else(|| io::Error::other("a destination of IPVS has no address"))
        .and_then(|attribute| address(attribute, is_ipv4))?;
    Ok(KernelDestination {
        address,
        port: find(&attributes, destination::PORT).map_or(0, port),
        method: value(destination::METHOD),
        weight: value(destination::WEIGHT),
        thresholds: (
            value(destination::UPPER_THRESHOLD),
            value(destination::LOWER_THRESHOLD),
        ),
        tunnel: (
            value(destination::TUNNEL_TYPE) as u8,
            find(&attributes, destination::TUNNEL_PORT).map_or(0, port),
            value(destination::TUNNEL_FLAGS) as u16,
        ),
        attributes,
    })
}
