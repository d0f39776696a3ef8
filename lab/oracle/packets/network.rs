//! A director between two interfaces at which there is nobody but this program.
//!
//! ```text
//! clients       10.1.0.0/16, fd01::/64, behind a router 10.0.1.2, fd00:1::2
//!                    │ peers: clients
//!                  eth0  10.0.1.1/24, fd00:1::1/64
//!               director  VIPs 10.9.0.1 to 10.9.0.240, fd09::1 to fd09::f0
//!                  back  10.2.0.1/24, fd02::1/64
//!                    │ peers: servers
//! real servers  10.2.0.11 to 10.2.0.13, fd02::b to fd02::d
//! ```
//!
//! Every frame that comes out was sent by the director, and both networks have the same
//! hardware addresses, so that frames are the same in every octet.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use elver_lab::{Host, Lab, wait};
use elver_sys::capture::CaptureSocket;
use elver_sys::frame_sender::FrameSender;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::packet::{ICMP, ICMPV6, echo_request};
use crate::balanced::{BalancedHost, Balancer};

/// How many runs there may be: each has a virtual address and a client of its own.
pub(super) const RUNS: u8 = 240;

/// How many real servers there are.
pub(super) const SERVERS: u8 = 3;

/// How long the director may take to answer, on a machine that is not slow.
const LIMIT: Duration = Duration::from_secs(10);

/// How long it takes until a setting about floods is in force.
const DEFENCE: Duration = Duration::from_secs(3);

/// How large packets are at first.
const MTU: u16 = 1500;

/// The longest frame that passes.
const FRAME: usize = 2048;

/// The types of the Ethernet frames that are compared.
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// The family of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// Both of them.
pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    fn address(self, v4: [u8; 4], v6: [u16; 3]) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::from(v4).into(),
            Family::V6 => Ipv6Addr::new(v6[0], 0, 0, 0, 0, 0, v6[1], v6[2]).into(),
        }
    }

    /// The virtual address of a run.
    pub(super) fn vip(self, run: u8) -> IpAddr {
        self.address([10, 9, 0, 1 + run], [0xfd09, 0, 1 + u16::from(run)])
    }

    /// A client of a run; two of them differ in an octet before the last.
    pub(super) fn client(self, run: u8, number: u8) -> IpAddr {
        self.address(
            [10, 1, number, 1 + run],
            [0xfd01, number.into(), 1 + u16::from(run)],
        )
    }

    /// A real server.
    pub(super) fn server(self, number: u8) -> IpAddr {
        assert!(number < SERVERS, "there are {SERVERS} real servers");
        self.address([10, 2, 0, 11 + number], [0xfd02, 0, 11 + u16::from(number)])
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// An end of the director's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// Where clients are.
    Clients,
    /// Where real servers are.
    Servers,
}

/// The two ends.
const ENDS: [End; 2] = [End::Clients, End::Servers];

impl End {
    /// The name of the peers' interface there.
    fn peers(self) -> &'static str {
        match self {
            End::Clients => "clients",
            End::Servers => "servers",
        }
    }

    /// The name of the director's interface there.
    pub(super) fn interface(self) -> &'static str {
        match self {
            End::Clients => "eth0",
            End::Servers => "back",
        }
    }

    /// A router there that is not the sender of what the director gets.
    pub(super) fn router(self, is_ipv6: bool) -> IpAddr {
        match (self, is_ipv6) {
            (End::Clients, false) => Ipv4Addr::new(10, 0, 1, 2).into(),
            (End::Clients, true) => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2).into(),
            (End::Servers, false) => Ipv4Addr::new(10, 2, 0, 99).into(),
            (End::Servers, true) => Ipv6Addr::new(0xfd02, 0, 0, 0, 0, 0, 0, 99).into(),
        }
    }

    /// The director's address there, and that of a neighbour.
    fn neighbours(self) -> (Ipv4Addr, Ipv4Addr) {
        match self {
            End::Clients => (Ipv4Addr::new(10, 0, 1, 1), Ipv4Addr::new(10, 0, 1, 2)),
            End::Servers => (Ipv4Addr::new(10, 2, 0, 1), Ipv4Addr::new(10, 2, 0, 11)),
        }
    }

    /// The hardware address of somebody there: 1 is the director, 2 the router.
    fn hardware(self, who: u8) -> [u8; 6] {
        let network = match self {
            End::Clients => 1,
            End::Servers => 2,
        };
        [2, 0, 0, 0, network, who]
    }
}

/// An interface of the peers: what is sent there, and what comes there from the director.
struct Port {
    index: u32,
    sender: FrameSender,
    /// What hears what comes out; without it that costs nothing.
    captured: Option<CaptureSocket>,
}

/// What came out of a director, in order, from the Ethernet header on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Out {
    /// Where clients are.
    pub(super) clients: Vec<Vec<u8>>,
    /// Where real servers are.
    pub(super) servers: Vec<Vec<u8>>,
}

/// A network with its director.
pub(super) struct Network {
    /// The host that balances.
    pub(super) director: BalancedHost,
    clients: Port,
    servers: Port,
    /// How often the director has been asked whether it is done.
    questions: u16,
    /// Whether what comes from clients gets a mark.
    is_marked: bool,
    /// How large packets towards the real servers may be.
    mtu: u16,
    /// Settings of IPVS that are not the default.
    settings: BTreeMap<&'static str, &'static str>,
    /// The default of each that was ever changed, of the kernel.
    defaults: BTreeMap<&'static str, String>,
    peers: Host,
    lab: Lab,
}

impl Network {
    /// Builds the network; elver is not started yet.
    pub(super) fn new(name: &str, balancer: Balancer<'_>) -> Network {
        let lab = Lab::new(name).expect("a lab");
        let director = lab.host("director").expect("a host");
        let peers = lab.host("peers").expect("a host");
        // Nobody there says a word but by frames from here.
        for setting in ["all", "default"] {
            peers
                .set_sysctl(&format!("net/ipv6/conf/{setting}/disable_ipv6"), "1")
                .expect("no IPv6");
        }
        for end in ENDS {
            lab.link((&director, end.interface()), (&peers, end.peers()))
                .expect("a link");
        }
        set_up_director(&director);
        let (clients, servers) = (
            Port::open(&peers, End::Clients),
            Port::open(&peers, End::Servers),
        );
        let network = Network {
            director: BalancedHost::new(&lab, director, balancer),
            clients,
            servers,
            questions: 0,
            is_marked: false,
            mtu: MTU,
            settings: BTreeMap::new(),
            defaults: BTreeMap::new(),
            peers,
            lab,
        };
        network.tc("qdisc add dev eth0 clsact");
        network
    }

    /// Starts elver and waits until it serves.
    pub(super) fn start(&mut self, elver: &Path) {
        self.start_with(elver, &[]);
    }

    /// [`Network::start`] with further options of `elver run`.
    pub(super) fn start_with(&mut self, elver: &Path, options: &[&str]) {
        self.write_settings();
        let settings = self.settings_file();
        let settings = ["--settings", settings.to_str().expect("a name in UTF-8")];
        let options = [&settings, options].concat();
        self.director
            .start_with(&self.lab, elver, ENDS.len(), &options);
    }

    /// Lets the peers receive several packets at a time, as they have to where XDP sends to
    /// them.
    pub(super) fn receive_in_batches(&self) {
        for end in ENDS {
            let mut command = self.peers.command("ethtool").expect("a command");
            command.args(["-K", end.peers(), "gro", "on"]);
            let output = self.peers.output(command, LIMIT).expect("ethtool ends");
            output.success().expect("GRO is on");
        }
    }

    /// Hears nothing any more of what comes out.
    pub(super) fn deafen(&mut self) {
        self.clients.captured = None;
        self.servers.captured = None;
    }

    /// Hears what comes out from now on.
    pub(super) fn listen(&mut self) {
        self.clients = Port::open(&self.peers, End::Clients);
        self.servers = Port::open(&self.peers, End::Servers);
    }

    /// Sends a packet to the director, and waits for nothing.
    pub(super) fn send_only(&self, end: End, packet: &[u8]) {
        self.port(end).send(end, packet);
    }

    /// Sends the director a frame that nobody takes, as long as that of a packet of so many
    /// octets.
    pub(super) fn send_in_vain(&self, end: End, length: usize) {
        /// For experiments (IEEE 802, table 2).
        const NOBODY: [u8; 2] = [0x88, 0xb5];
        let port = self.port(end);
        let (director, peer) = (end.hardware(1), end.hardware(2));
        let frame = [&director[..], &peer, &NOBODY, &vec![0; length]].concat();
        port.send_frame(&frame);
    }

    /// How many frames the director has sent out of an end.
    pub(super) fn sent(&self, end: End) -> u64 {
        let counters = self
            .director
            .host()
            .run(|| std::fs::read_to_string("/proc/thread-self/net/dev"))
            .expect("a namespace")
            .expect("counters");
        let name = format!("{}:", end.interface());
        let line = counters
            .lines()
            .find(|line| line.trim_start().starts_with(&name))
            .expect("the interface is there");
        // Eight numbers of what was received come first (proc(5)).
        let sent = line.split_whitespace().nth(1 + 8 + 1);
        sent.and_then(|number| number.parse().ok())
            .expect("a number")
    }

    fn port(&self, end: End) -> &Port {
        match end {
            End::Clients => &self.clients,
            End::Servers => &self.servers,
        }
    }

    /// Gives what comes from clients a firewall mark, before IPVS or elver sees it.
    pub(super) fn mark(&mut self, mark: u32) {
        self.is_marked = true;
        self.tc(&format!(
            "filter add dev eth0 ingress prio 1 matchall action skbedit mark {mark} continue"
        ));
    }

    /// How large packets towards the real servers may be.
    pub(super) fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu;
        let link = End::Servers.interface();
        self.director
            .host()
            .ip(&["link", "set", link, "mtu", &mtu.to_string()])
            .expect("the size is set");
        self.director.settle();
    }

    /// Undoes [`Network::set_mtu`].
    pub(super) fn reset_mtu(&mut self) {
        if self.mtu != MTU {
            self.set_mtu(MTU);
        }
    }

    /// Gives a setting of IPVS another value, and waits until it is in force.
    pub(super) fn set(&mut self, setting: &'static str, value: &'static str) {
        self.settings.insert(setting, value);
        if self.director.is_elver() {
            self.reload_settings();
        } else {
            let path = format!("net/ipv4/vs/{setting}");
            let before = self.director.host().sysctl(&path).expect("a setting");
            self.defaults.entry(setting).or_insert(before);
            self.director
                .host()
                .set_sysctl(&path, value)
                .expect("the setting is taken");
        }
        // Defences are looked at once a second, by both.
        std::thread::sleep(DEFENCE);
    }

    /// Undoes [`Network::set`].
    pub(super) fn reset_settings(&mut self) {
        if std::mem::take(&mut self.settings).is_empty() {
            return;
        }
        if self.director.is_elver() {
            self.reload_settings();
        }
        for (setting, value) in &self.defaults {
            let path = format!("net/ipv4/vs/{setting}");
            let host = self.director.host();
            host.set_sysctl(&path, value).expect("the setting is taken");
        }
        std::thread::sleep(DEFENCE);
    }

    fn reload_settings(&self) {
        self.write_settings();
        let output = self.director.elver().command(&["ctl", "reload"]);
        output.expect("it ends").success().expect("a reload");
    }

    fn write_settings(&self) {
        let lines = self.settings.iter();
        let lines = lines.map(|(setting, value)| format!("{setting} = {value}\n"));
        let text = format!("[ipvs]\n{}", lines.collect::<String>());
        std::fs::write(self.settings_file(), text).expect("a file");
    }

    fn settings_file(&self) -> PathBuf {
        self.lab.directory().join("elver.toml")
    }

    /// Takes the mark away again.
    pub(super) fn unmark(&mut self) {
        if std::mem::take(&mut self.is_marked) {
            self.tc("filter del dev eth0 ingress prio 1");
        }
    }

    fn tc(&self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = self.director.run(Path::new("tc"), &words);
        assert_eq!(said.status, Some(0), "tc {line}: {said:?}");
    }

    /// Sends a packet to the director, and gives all that it sends until it has done with it.
    ///
    /// Packets are handled in the order in which they come, so it has done with one when it
    /// answers an echo request that follows.
    pub(super) fn send(&mut self, end: End, packet: &[u8]) -> Out {
        self.questions += 1;
        let (director, neighbour) = end.neighbours();
        let question = echo_request(neighbour, director, 0xe1fe, self.questions);
        let port = self.port(end);
        port.send(end, packet);
        port.send(end, &question);
        let mut out = Out::default();
        let deadline = Instant::now() + wait::limit_here(LIMIT);
        loop {
            let mut is_done = false;
            let questions = self.questions;
            for (port, frames) in [
                (&self.servers, &mut out.servers),
                (&self.clients, &mut out.clients),
            ] {
                port.drain(|frame| {
                    if is_answer(frame, questions) {
                        is_done = true;
                    } else {
                        frames.push(frame.to_vec());
                    }
                });
            }
            if is_done {
                // What left at the other end before the answer did is there as well.
                self.servers.drain(|frame| out.servers.push(frame.to_vec()));
                self.clients.drain(|frame| out.clients.push(frame.to_vec()));
                return out;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "the director answers no echo request; it sent {out:02x?}"
            );
            let mut ready = [
                PollFd::new(self.clients.captured(), PollFlags::IN),
                PollFd::new(self.servers.captured(), PollFlags::IN),
            ];
            let left = Timespec::try_from(left).expect("a short time");
            // An interrupted wait is begun anew.
            let _ = poll(&mut ready, Some(&left));
        }
    }
}

impl Port {
    fn open(peers: &Host, end: End) -> Port {
        let (sender, captured, index) = peers
            .run(|| {
                let sender = FrameSender::open().expect("a packet socket");
                let captured = CaptureSocket::open(end.peers()).expect("a packet socket");
                let index = rustix::net::netdevice::name_to_index(&captured, end.peers())
                    .expect("an interface");
                (sender, captured, index)
            })
            .expect("a namespace");
        Port {
            index,
            sender,
            captured: Some(captured),
        }
    }

    fn captured(&self) -> &CaptureSocket {
        self.captured.as_ref().expect("somebody listens")
    }

    /// Sends a packet to the director, from its neighbour there.
    fn send(&self, end: End, packet: &[u8]) {
        let kind = if packet[0] >> 4 == 6 { IPV6 } else { IPV4 };
        let frame = [&end.hardware(1)[..], &end.hardware(2), &kind, packet].concat();
        self.send_frame(&frame);
    }

    /// Sends a frame, once there is room for it.
    fn send_frame(&self, frame: &[u8]) {
        loop {
            match self.sender.send(self.index, frame) {
                Ok(()) => return,
                Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("the frame is not sent: {error}"),
            }
        }
    }

    /// Takes every frame that has come from the director, but those by which it only
    /// makes itself known.
    fn drain(&self, mut take: impl FnMut(&[u8])) {
        let mut buffer = [0; FRAME];
        while let Ok(received) = self.captured().receive(&mut buffer) {
            let frame = &buffer[..received.length.min(FRAME)];
            if !received.outgoing && is_traffic(frame) {
                take(frame);
            }
        }
    }
}

/// Whether a frame is none of those by which IPv6 looks for neighbours and routers and by
/// which groups are joined.
fn is_traffic(frame: &[u8]) -> bool {
    let Some((header, packet)) = frame.split_at_checked(14) else {
        return false;
    };
    match [header[12], header[13]] {
        // IGMP.
        IPV4 => packet.get(9) != Some(&2),
        IPV6 => match packet.get(6) {
            // Hop-by-hop options, as before reports of multicast listeners.
            Some(0) | None => false,
            Some(&ICMPV6) => !matches!(packet.get(40), Some(130..=137 | 143)),
            Some(_) => true,
        },
        _ => false,
    }
}

fn is_answer(frame: &[u8], question: u16) -> bool {
    let [high, low] = question.to_be_bytes();
    frame.len() >= 42
        && frame[12..14] == IPV4
        && frame[23] == ICMP
        && frame[34] == 0
        && frame[38..42] == [0xe1, 0xfe, high, low]
}

/// Gives the director its addresses and its neighbours, who are never asked.
fn set_up_director(director: &Host) {
    for (name, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv6/conf/all/forwarding", "1"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/icmp_ratelimit", "0"),
        ("net/ipv6/icmp/ratelimit", "0"),
    ] {
        director.set_sysctl(name, value).expect("a setting");
    }
    for end in ENDS {
        let interface = end.interface();
        let hardware = text(end.hardware(1));
        director
            .ip(&["link", "set", interface, "address", &hardware])
            .expect("a hardware address");
        director
            .set_sysctl(&format!("net/ipv4/conf/{interface}/send_redirects"), "0")
            .expect("a setting");
    }
    let ip = |line: String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        director
            .ip(&words)
            .unwrap_or_else(|error| panic!("{error}"));
    };
    let router = text(End::Clients.hardware(2));
    for line in [
        "address add 10.0.1.1/24 dev eth0",
        "address add fd00:1::1/64 dev eth0 nodad",
        "address add 10.2.0.1/24 dev back",
        "address add fd02::1/64 dev back nodad",
    ] {
        ip(line.to_owned());
    }
    for address in ["10.0.1.2", "fd00:1::2"] {
        ip(format!(
            "neighbour replace {address} lladdr {router} dev eth0 nud permanent"
        ));
    }
    ip("route add 10.1.0.0/16 via 10.0.1.2".to_owned());
    ip("-6 route add fd01::/64 via fd00:1::2".to_owned());
    for family in FAMILIES {
        for number in 0..SERVERS {
            let address = family.server(number);
            let hardware = text(End::Servers.hardware(11 + number));
            ip(format!(
                "neighbour replace {address} lladdr {hardware} dev back nud permanent"
            ));
        }
    }
    // Many at once, as one command for each takes long on an emulated machine.
    let mut addresses = String::new();
    for run in 0..RUNS {
        addresses += &format!("address add {}/32 dev eth0\n", Family::V4.vip(run));
        addresses += &format!("address add {}/128 dev eth0 nodad\n", Family::V6.vip(run));
    }
    let batch = std::env::temp_dir().join(format!("{}.batch", director.namespace_name()));
    std::fs::write(&batch, addresses).expect("a file");
    ip(format!("-batch {}", batch.display()));
    std::fs::remove_file(&batch).expect("the file goes");
}

fn text(hardware: [u8; 6]) -> String {
    hardware.map(|octet| format!("{octet:02x}")).join(":")
}

/// An address with a port.
pub(super) fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}
