//! Which rules would have mattered to which virtual services.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use super::{Action, Chain, Condition, Conditions, Network, Table, number};
use crate::service::{Family, Protocol, ServiceKey};

/// How deep chains lead into others, at the most; the kernel's own limit is of this kind.
const DEPTH: usize = 16;

/// Rules that are suggested in the place of one of netfilter's, at the most.
const MOST_MARK_RULES: usize = 8;

/// What `elver.toml` says already, so that it is not asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// The firewall marks that its rules give.
    pub marks: BTreeSet<u32>,
    /// Networks in its lists: for a service, or for all; and whether they are allowed.
    pub access: BTreeSet<(Option<ServiceKey>, Network, bool)>,
}

impl Written {
    /// Whether the networks are on a list for the service already.
    fn has(&self, service: &ServiceKey, networks: &[Network], is_allowed: bool) -> bool {
        networks.iter().all(|network| {
            [None, Some(*service)]
                .iter()
                .any(|of| self.access.contains(&(*of, *network, is_allowed)))
        })
    }
}

/// A rule that would have mattered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands: `nft: table inet filter, chain input`.
    pub place: String,
    /// The rule itself, or the policy of the chain.
    pub rule: String,
    /// To what it would have mattered.
    pub services: Vec<ServiceKey>,
    /// What it would have done.
    effect: Effect,
    /// What to write to `elver.toml`; nothing, where that has no word for it.
    pub instead: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Drop,
    Mark,
    Redirect,
}

impl Finding {
    /// Whether packets do not come to the services where netfilter sees them.
    pub fn keeps_out(&self) -> bool {
        self.effect != Effect::Mark
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<String> = self.services.iter().map(name).collect();
        let services = services.join(", ");
        write!(f, "{}: `{}` ", self.place, self.rule)?;
        match self.effect {
            Effect::Drop => write!(
                f,
                "would keep packets from {services}, but elver takes them"
            ),
            Effect::Mark => write!(f, "gives its mark too late for {services}: elver looks"),
            Effect::Redirect => write!(
                f,
                "would lead packets past {services}, but elver takes them"
            ),
        }?;
        write!(f, " before netfilter. ")?;
        match &self.instead {
            Some(lines) => write!(f, "Write to elver.toml instead:\n{}", lines.trim_end()),
            None => write!(
                f,
                "elver.toml has no word for it: filter in front of the director or on the real \
                 servers"
            ),
        }
    }
}

/// A service, as `elver.toml` names it.
fn name(service: &ServiceKey) -> String {
    match service {
        ServiceKey::Address { protocol, address } => {
            format!("{} {address}", protocol_name(protocol_number(*protocol)))
        }
        ServiceKey::Mark { mark, family } => match family {
            Family::Inet => format!("fwmark {mark}"),
            Family::Inet6 => format!("fwmark {mark} ipv6"),
        },
    }
}

fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

fn protocol_name(number: u8) -> &'static str {
    match number {
        6 => "tcp",
        17 => "udp",
        _ => "sctp",
    }
}

/// The rules of the tables that would have mattered to the services, in the order in which
/// they are found.
pub fn review(tables: &[Table], services: &[ServiceKey], written: &Written) -> Vec<Finding> {
    let mut review = Review {
        services,
        written,
        findings: Vec::new(),
        places: BTreeMap::new(),
    };
    for table in tables {
        for (name, chain) in table.chains.iter().filter(|(_, chain)| chain.is_met) {
            review.marks(table, name, chain, &Conditions::default(), DEPTH);
            for service in services {
                let ServiceKey::Address { protocol, address } = service else {
                    continue;
                };
                if table
                    .is_ipv4
                    .is_some_and(|is_ipv4| is_ipv4 != address.is_ipv4())
                {
                    continue;
                }
                let mut packets = Packets {
                    service,
                    protocol: protocol_number(*protocol),
                    address: *address,
                    allowed: Vec::new(),
                };
                let rest = Conditions::default();
                let end = review.walk(table, name, chain, &rest, &mut packets, DEPTH);
                if chain.drops && end == End::Open {
                    let place = (table, &**name);
                    review.drop(place, "policy drop", &rest, &packets);
                }
            }
        }
    }
    review.findings
}

struct Review<'a> {
    services: &'a [ServiceKey],
    written: &'a Written,
    findings: Vec<Finding>,
    /// Where the finding of a rule is.
    places: BTreeMap<(String, String, Effect), usize>,
}

/// Packets of clients to a service, on their way through a chain.
struct Packets<'a> {
    service: &'a ServiceKey,
    protocol: u8,
    address: SocketAddr,
    /// Networks whose packets have been accepted.
    allowed: Vec<Network>,
}

/// Whether packets meet what is asked of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meet {
    Never,
    Perhaps,
    /// All of them, as far as their source is one that is asked for.
    Surely,
}

/// What is left of packets behind rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Some may go on.
    Open,
    /// All have been decided about.
    Decided,
}

impl Packets<'_> {
    fn meet(&self, conditions: &Conditions) -> Meet {
        let of = |holds: bool| if holds { Meet::Surely } else { Meet::Never };
        let protocols = conditions
            .protocols
            .iter()
            .map(|asked| of(asked.any_of.contains(&self.protocol) != asked.is_negated));
        let destinations = conditions
            .destinations
            .iter()
            .map(|asked| of(self.has_family(asked) && holds(asked, self.address.ip())));
        // Of an other family's source they have none; which one they have is open.
        let sources = conditions
            .sources
            .iter()
            .map(|asked| of(self.has_family(asked)));
        let ports = conditions.ports.iter().map(|asked| self.meet_port(asked));
        let more = if conditions.more {
            Meet::Perhaps
        } else {
            Meet::Surely
        };
        protocols
            .chain(destinations)
            .chain(sources)
            .chain(ports)
            .min()
            .unwrap_or(Meet::Surely)
            .min(more)
    }

    fn has_family(&self, asked: &Condition<Network>) -> bool {
        asked
            .any_of
            .first()
            .is_none_or(|(address, _)| address.is_ipv4() == self.address.is_ipv4())
    }

    fn meet_port(&self, asked: &Condition<(u16, u16)>) -> Meet {
        let port = self.address.port();
        if port == 0 {
            // The service has every port.
            return Meet::Perhaps;
        }
        let is_in = asked
            .any_of
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&port));
        if is_in == asked.is_negated {
            Meet::Never
        } else {
            Meet::Surely
        }
    }
}

fn holds(asked: &Condition<Network>, address: IpAddr) -> bool {
    asked
        .any_of
        .iter()
        .any(|network| contains(*network, address))
        != asked.is_negated
}

fn contains((network, length): Network, address: IpAddr) -> bool {
    let ((network, bits), (address, other)) = (number(network), number(address));
    let shift = bits - u32::from(length).min(bits);
    bits == other && (shift == 128 || network >> shift == address >> shift)
}

impl Review<'_> {
    /// Follows packets through a chain that they enter under conditions.
    fn walk(
        &mut self,
        table: &Table,
        name: &str,
        chain: &Chain,
        entered: &Conditions,
        packets: &mut Packets<'_>,
        depth: usize,
    ) -> End {
        for rule in &chain.rules {
            let conditions = entered.and(&rule.conditions);
            let meet = packets.meet(&conditions);
            if meet == Meet::Never {
                continue;
            }
            let is_all = meet == Meet::Surely && conditions.sources.is_empty();
            for action in &rule.actions {
                let decided = match action {
                    Action::Accept => {
                        if let (Meet::Surely, [sources]) = (meet, &conditions.sources[..])
                            && !sources.is_negated
                        {
                            packets.allowed.extend(&sources.any_of);
                        }
                        true
                    }
                    Action::Drop | Action::Decide => {
                        let mut conditions = conditions.clone();
                        conditions.more |= meet != Meet::Surely || *action == Action::Decide;
                        self.drop((table, name), &rule.text, &conditions, packets);
                        *action == Action::Drop
                    }
                    Action::Redirect => {
                        self.add(
                            (table, name),
                            &rule.text,
                            packets.service,
                            Effect::Redirect,
                            None,
                        );
                        false
                    }
                    Action::Mark(_) => false,
                    Action::Return => return if is_all { End::Open } else { continue },
                    Action::Jump(to) | Action::Goto(to) => {
                        let Some((chain, depth)) = table.chains.get(to).zip(depth.checked_sub(1))
                        else {
                            continue;
                        };
                        let end = self.walk(table, to, chain, &conditions, packets, depth);
                        if is_all && matches!(action, Action::Goto(_)) {
                            return end;
                        }
                        end == End::Decided
                    }
                };
                if decided && is_all {
                    return End::Decided;
                }
            }
        }
        End::Open
    }

    /// A rule drops packets that meet the conditions, of those that are not accepted yet.
    fn drop(
        &mut self,
        place: (&Table, &str),
        rule: &str,
        conditions: &Conditions,
        packets: &Packets<'_>,
    ) {
        let service = packets.service;
        let (networks, is_allowed) = match &conditions.sources[..] {
            _ if conditions.more => (Vec::new(), false),
            [] => (packets.allowed.clone(), true),
            [sources] => (sources.any_of.clone(), sources.is_negated),
            _ => (Vec::new(), false),
        };
        let mut seen = BTreeSet::new();
        let networks: Vec<Network> = networks
            .into_iter()
            .filter(|network| seen.insert(*network))
            .collect();
        if networks.is_empty() {
            self.add(place, rule, service, Effect::Drop, None);
        } else if !self.written.has(service, &networks, is_allowed) {
            let list = if is_allowed { "allow" } else { "deny" };
            let networks: Vec<String> = networks
                .iter()
                .map(|(address, length)| format!("\"{address}/{length}\""))
                .collect();
            let lines = format!(
                "[access.services.\"{}\"]\n{list} = [{}]\n",
                name(service),
                networks.join(", ")
            );
            self.add(place, rule, service, Effect::Drop, Some(lines));
        }
    }

    /// Looks for marks that services are named by.
    fn marks(
        &mut self,
        table: &Table,
        name: &str,
        chain: &Chain,
        entered: &Conditions,
        depth: usize,
    ) {
        for rule in &chain.rules {
            let conditions = entered.and(&rule.conditions);
            for action in &rule.actions {
                match action {
                    Action::Mark(given) => {
                        for service in self.services {
                            let ServiceKey::Mark { mark, family } = service else {
                                continue;
                            };
                            let is_ipv4 = *family == Family::Inet;
                            if given.is_some_and(|given| given != *mark)
                                || table.is_ipv4.is_some_and(|table| table != is_ipv4)
                                || self.written.marks.contains(mark)
                            {
                                continue;
                            }
                            let lines = given.and_then(|_| mark_rules(*mark, is_ipv4, &conditions));
                            self.add((table, name), &rule.text, service, Effect::Mark, lines);
                        }
                    }
                    Action::Jump(to) | Action::Goto(to) => {
                        if let Some((chain, depth)) = table.chains.get(to).zip(depth.checked_sub(1))
                        {
                            self.marks(table, to, chain, &conditions, depth);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn add(
        &mut self,
        (table, chain): (&Table, &str),
        rule: &str,
        service: &ServiceKey,
        effect: Effect,
        instead: Option<String>,
    ) {
        let place = format!("{}, chain {chain}", table.name);
        let key = (place.clone(), rule.to_owned(), effect);
        if let Some(known) = self.places.get(&key) {
            let known = &mut self.findings[*known];
            if !known.services.contains(service) {
                known.services.push(*service);
                if let Some(lines) = instead {
                    known.instead.get_or_insert_default().push_str(&lines);
                }
            }
            return;
        }
        self.places.insert(key, self.findings.len());
        self.findings.push(Finding {
            place,
            rule: rule.to_owned(),
            services: vec![*service],
            effect,
            instead,
        });
    }
}

/// Rules of `elver.toml` that give a mark under conditions, if there are words for them.
fn mark_rules(mark: u32, is_ipv4: bool, conditions: &Conditions) -> Option<String> {
    fn values<T: Copy>(conditions: &[Condition<T>]) -> Option<Vec<Option<T>>> {
        match conditions {
            [] => Some(vec![None]),
            [one] if !one.is_negated => Some(one.any_of.iter().copied().map(Some).collect()),
            _ => None,
        }
    }
    if conditions.more {
        return None;
    }
    // A protocol may be asked for by its name and by its port.
    let mut protocols = conditions.protocols.clone();
    protocols.dedup();
    let mut rules = Vec::new();
    for protocol in values(&protocols)? {
        if protocol.is_some_and(|number| !matches!(number, 6 | 17 | 132)) {
            return None;
        }
        for destination in values(&conditions.destinations)? {
            for source in values(&conditions.sources)? {
                for ports in values(&conditions.ports)? {
                    let mut rule = format!("[[mark]]\nmark = {mark}\n");
                    let mut line = |key: &str, value: String| {
                        writeln!(rule, "{key} = \"{value}\"").expect("memory takes it");
                    };
                    if let Some(number) = protocol {
                        line("protocol", protocol_name(number).to_owned());
                    }
                    let of = |(address, length): Network| format!("{address}/{length}");
                    match destination {
                        Some(destination) => line("destination", of(destination)),
                        // IPv4 goes without saying.
                        None if source.is_none() && !is_ipv4 => line("destination", "::/0".into()),
                        None => {}
                    }
                    if let Some(source) = source {
                        line("source", of(source));
                    }
                    if let Some((first, last)) = ports {
                        line(
                            "ports",
                            if first == last {
                                first.to_string()
                            } else {
                                format!("{first}-{last}")
                            },
                        );
                    }
                    rules.push(rule);
                }
            }
        }
    }
    (rules.len() <= MOST_MARK_RULES).then(|| rules.concat())
}
