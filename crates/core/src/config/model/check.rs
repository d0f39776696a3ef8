//! Health checks: what is asked of a real server, and how often.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Script;

/// A health check with everything that it inherits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Check {
    /// Where it connects to, and from where.
    pub connection: Connection,
    /// What it wants to see there.
    pub probe: Probe,
    /// How often it asks, and what a failure leads to.
    pub timing: Timing,
}

/// How a check reaches its real server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Connection {
    /// Where it connects to.
    pub to: SocketAddr,
    /// `connect_timeout`: how long one attempt may take, from the first packet to the verdict.
    pub timeout: Duration,
    /// `bindto`: the source address.
    pub source: Option<IpAddr>,
    /// `bind_port`: the source port.
    pub source_port: Option<u16>,
    /// `bind_if`: the interface that it goes out by.
    pub interface: Option<String>,
    /// `fwmark`: the firewall mark of its packets; 0 for none.
    pub mark: u32,
    /// `check_path`: the way that its packets take.
    pub path: CheckPath,
}

impl Connection {
    /// Whether its socket has to be made ready by a process with privileges.
    pub fn needs_director(&self) -> bool {
        self.mark != 0 || self.path != CheckPath::Direct
    }
}

/// `check_path`: the way that the packets of a check take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CheckPath {
    /// `direct`: to the real server's own address, as a host of its network would send them.
    Direct,
    /// `forwarding`, of a real server that gets its clients' packets unchanged: to the virtual
    /// address, by direct routing to this one real server, or through the tunnel to it.
    Forwarding {
        /// VIP.
        virtual_address: IpAddr,
    },
}

/// When a check asks, and what a failure leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timing {
    /// `delay_loop`: time from the end of one check to the next.
    pub interval: Duration,
    /// `retry`: how often a failed check is repeated before the real server counts as down.
    pub retries: u32,
    /// Time from a failed check to its repetition.
    pub delay_before_retry: Duration,
    /// `warmup`: the first check comes at a random time up to this long after the start.
    pub warmup: Duration,
    /// `alpha`: the real server counts as down until the first success.
    pub alpha: bool,
    /// `log_all_failures`: a failure that does not count yet is logged as well.
    pub log_all_failures: bool,
}

/// What a check wants to see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Probe {
    /// `TCP_CHECK`: that a connection can be made.
    Tcp,
    /// `HTTP_GET`, `SSL_GET`: that pages are served.
    Http(HttpProbe),
    /// `SMTP_CHECK`: that a mail server greets.
    Smtp {
        /// `helo_name`: how the check names itself.
        helo_name: String,
    },
    /// `UDP_CHECK`: that no host refuses a datagram, or that the right one comes back.
    Udp(UdpProbe),
    /// `DNS_CHECK`: that a question is answered.
    Dns(DnsProbe),
    /// `PING_CHECK`: that an ICMP echo comes back.
    Ping,
    /// `MISC_CHECK`: that a program succeeds.
    Misc(MiscProbe),
    /// `FILE_CHECK`: the number in a file.
    File(FileProbe),
    /// `BFD_CHECK`: that a BFD session is up.
    Bfd {
        /// The name of the `bfd_instance`.
        instance: String,
    },
}

impl Probe {
    /// The keyword that it is written with.
    pub fn keyword(&self) -> &'static str {
        match self {
            Probe::Tcp => "TCP_CHECK",
            Probe::Http(HttpProbe { tls: None, .. }) => "HTTP_GET",
            Probe::Http(HttpProbe { tls: Some(_), .. }) => "SSL_GET",
            Probe::Smtp { .. } => "SMTP_CHECK",
            Probe::Udp(_) => "UDP_CHECK",
            Probe::Dns(_) => "DNS_CHECK",
            Probe::Ping => "PING_CHECK",
            Probe::Misc(_) => "MISC_CHECK",
            Probe::File(_) => "FILE_CHECK",
            Probe::Bfd { .. } => "BFD_CHECK",
        }
    }

    /// Whether it asks nothing of the real server, but follows what the director sees: then
    /// it has neither a connection nor times.
    pub fn follows(&self) -> bool {
        matches!(self, Probe::File(_) | Probe::Bfd { .. })
    }

    /// Whether one answer holds for all checks that ask the same. A program may do more than
    /// to ask, and weighs the real server that it is run for.
    pub fn is_shared(&self) -> bool {
        !matches!(self, Probe::Misc(_))
    }

    /// How many questions it asks, one in each attempt: the `url` blocks of an HTTP check.
    pub fn questions(&self) -> usize {
        match self {
            Probe::Http(http) => http.urls.len().max(1),
            _ => 1,
        }
    }

    /// Whether a success after a failure that counted is only the first step back: then all
    /// is asked anew, also of a single page.
    pub fn begins_anew(&self) -> bool {
        matches!(self, Probe::Http(_))
    }

    /// Whether what follows a success, on the way to the whole answer, is asked at once.
    pub fn fast_recovery(&self) -> bool {
        matches!(
            self,
            Probe::Http(HttpProbe {
                fast_recovery: true,
                ..
            })
        )
    }
}

/// `HTTP_GET` and `SSL_GET`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HttpProbe {
    /// Version of the request.
    pub version: HttpVersion,
    /// TLS, for `SSL_GET`.
    pub tls: Option<Tls>,
    /// `fast_recovery`: the urls are asked without a pause while the real server comes up.
    pub fast_recovery: bool,
    /// The pages that it asks for, in turn.
    pub urls: Vec<Url>,
}

/// `http_protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HttpVersion {
    /// `1.0`.
    Http10,
    /// `1.0C`: with `Connection: close`.
    Http10Close,
    /// `1.1`: with `Connection: close`.
    Http11,
}

/// TLS without looking at certificates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tls {
    /// `enable_sni`: the virtual host, or `sni_name`, is named in the handshake.
    pub enable_sni: bool,
    /// `sni_name`.
    pub sni_name: Option<String>,
    /// `tls_compliant`: a server that ends a connection without the farewell of TLS fails.
    pub compliant: bool,
}

/// `url`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Url {
    /// The path that is asked for.
    pub path: String,
    /// `virtualhost`: the host that is asked for; the real server's address without one.
    pub virtual_host: Option<String>,
    /// The status codes that are accepted, as ranges with both ends included.
    pub status_codes: Vec<(u16, u16)>,
    /// MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// What the body must match.
    pub regex: Option<Regex>,
    /// `tls_compliant`, where the page says it for itself.
    pub tls_compliant: Option<bool>,
}

/// `regex` with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Regex {
    /// The expression, as Perl would read it.
    pub pattern: String,
    /// `regex_no_match`: a match is a failure.
    pub must_not_match: bool,
    /// `regex_options`.
    pub options: RegexOptions,
    /// `regex_min_offset`: octets of the body before which no match begins.
    pub least_offset: usize,
    /// `regex_max_offset`: a match begins before this many octets; without a bound, anywhere.
    pub offset_limit: Option<usize>,
}

/// `regex_options`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct RegexOptions {
    /// `anchored`: a match begins where the search does.
    pub anchored: bool,
    /// `caseless`.
    pub caseless: bool,
    /// `dotall`: a dot matches the end of a line.
    pub dot_matches_newline: bool,
    /// `extended`: white space in the pattern says nothing.
    pub extended: bool,
    /// `multiline`: `^` and `$` match at lines.
    pub multiline: bool,
}

/// `MISC_CHECK`. It has no connection but the time that one may take: `misc_timeout`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MiscProbe {
    /// What is run.
    pub script: Script,
    /// `misc_dynamic`: exit statuses from 2 up are successes and say the weight, as 2 less.
    pub dynamic: bool,
}

/// `FILE_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileProbe {
    /// The name of the `track_file`.
    pub file: String,
    /// What the number is multiplied by and added to the weight; with 0, a number other than
    /// 0 is a failure.
    pub weight: i32,
    /// Whether it is the negative that is added; with a weight of 0, whether 0 is the failure.
    pub reverse: bool,
}

/// What a number in a file says of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMeaning {
    /// It is down.
    Fault,
    /// It is up, and its weight so much more.
    Weight(i64),
}

impl FileProbe {
    /// What `number` means (`track_file.c`, `update_track_file_status`).
    pub fn meaning(&self, number: i64) -> FileMeaning {
        // IPVS_WEIGHT_FAULT and IPVS_WEIGHT_MAX of keepalived's ipvswrapper.h.
        const FAULT: i64 = i32::MIN as i64;
        const MOST: i64 = i32::MAX as i64 - 1;
        if self.weight == 0 {
            return match (number == 0) == self.reverse {
                true => FileMeaning::Fault,
                false => FileMeaning::Weight(0),
            };
        }
        let sign = if self.reverse { -1 } else { 1 };
        match number
            .saturating_mul(i64::from(self.weight))
            .saturating_mul(sign)
        {
            ..=FAULT => FileMeaning::Fault,
            weight => FileMeaning::Weight(weight.min(MOST)),
        }
    }
}

/// `UDP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UdpProbe {
    /// What is sent; without it, octets that mean nothing.
    pub payload: Option<Vec<u8>>,
    /// The reply that must come, if one must.
    pub reply: Option<UdpReply>,
}

/// `require_reply`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UdpReply {
    /// What it begins with: octets, each with a mask of the bits that count.
    pub prefix: Vec<(u8, u8)>,
    /// The fewest octets.
    pub least_length: usize,
    /// The most octets.
    pub greatest_length: usize,
}

/// `DNS_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DnsProbe {
    /// The name that is asked for.
    pub name: String,
    /// The number of the record type (RFC 1035 section 3.2.2 and those that add to it).
    pub record_type: u16,
}

/// The record types that `type` can name.
pub const RECORD_TYPES: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("RRSIG", 46),
    ("DNSKEY", 48),
];
