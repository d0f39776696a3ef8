//! `encap`: what a route puts packets into.

use std::net::IpAddr;

use super::Words;
use crate::config::model::{Encapsulation, Envelope};
use crate::config::reader::Word;
use crate::config::route_names::number;

impl Words<'_, '_, '_> {
    /// What stands behind `encap`.
    pub(super) fn encapsulation(&mut self, option: &Word) -> Option<Encapsulation> {
        let kind = self.value(option)?;
        match &*kind.text {
            "ip" => {
                let envelope = self.envelope(kind, |address| match address {
                    IpAddr::V4(address) => Some(address),
                    IpAddr::V6(_) => None,
                })?;
                Some(Encapsulation::Ip(envelope))
            }
            "ip6" => {
                let envelope = self.envelope(kind, |address| match address {
                    IpAddr::V6(address) => Some(address),
                    IpAddr::V4(_) => None,
                })?;
                Some(Encapsulation::Ip6(envelope))
            }
            "mpls" => self.labels(kind).map(Encapsulation::Mpls),
            "ila" => self.locator(kind).map(Encapsulation::Ila),
            other => {
                let message = format!("`{other}` is no encapsulation: it is ip, ip6, mpls or ila");
                self.wrong(kind, message);
                None
            }
        }
    }

    /// Labels of 20 bits with slashes between them, of which keepalived takes two.
    fn labels(&mut self, option: &Word) -> Option<Vec<u32>> {
        const LARGEST: u32 = (1 << 20) - 1;
        let word = self.value(option)?;
        let labels = word.text.split('/').map(number);
        let labels: Option<Vec<u32>> = labels.collect();
        let labels = labels
            .filter(|labels| labels.len() <= 2 && labels.iter().all(|label| *label <= LARGEST));
        if labels.is_none() {
            let message = format!("`{}` are no labels of MPLS", word.text);
            self.wrong(word, message);
        }
        labels
    }

    /// Four groups of 16 bits, as in an IPv6 address.
    fn locator(&mut self, option: &Word) -> Option<u64> {
        let word = self.value(option)?;
        let groups: Vec<&str> = word.text.split(':').collect();
        let locator = groups.iter().try_fold(0, |locator: u64, group| {
            let group = u16::from_str_radix(group, 16).ok()?;
            Some(locator << 16 | u64::from(group))
        });
        let locator = locator.filter(|_| groups.len() == 4);
        if locator.is_none() {
            let message = format!("`{}` is no locator, like 2001:db8:0:1", word.text);
            self.wrong(word, message);
        }
        locator
    }

    fn envelope<A>(
        &mut self,
        kind: &Word,
        of_family: impl Fn(IpAddr) -> Option<A>,
    ) -> Option<Envelope<A>> {
        let mut envelope = Envelope {
            id: None,
            destination: None,
            source: None,
            traffic_class: None,
            hop_limit: None,
            flags: None,
        };
        while let Some(option) = self.peek() {
            if !matches!(
                &*option.text,
                "id" | "dst" | "src" | "tos" | "tc" | "ttl" | "hoplimit" | "flags"
            ) {
                break;
            }
            self.words.next();
            match &*option.text {
                "id" => envelope.id = self.tunnel(option),
                "dst" => envelope.destination = self.end(option, &of_family),
                "src" => envelope.source = self.end(option, &of_family),
                "tos" | "tc" => envelope.traffic_class = self.traffic_class(option),
                "ttl" | "hoplimit" => envelope.hop_limit = self.octet(option),
                _ => {
                    let flags = self.number_of(option, 0..=u16::MAX.into());
                    envelope.flags = flags.and_then(|flags| u16::try_from(flags).ok());
                }
            }
        }
        if envelope.id.is_none() && envelope.destination.is_none() && !self.broken {
            self.wrong(
                kind,
                "this encapsulation needs an `id` or a `dst`".to_owned(),
            );
        }
        Some(envelope)
    }

    /// The number of a tunnel.
    pub(super) fn tunnel(&mut self, option: &Word) -> Option<u64> {
        let word = self.value(option)?;
        let id = word.text.parse().ok();
        if id.is_none() {
            let message = format!("`{}` is no number of a tunnel", word.text);
            self.wrong(word, message);
        }
        id
    }

    fn end<A>(&mut self, option: &Word, of_family: impl Fn(IpAddr) -> Option<A>) -> Option<A> {
        let address = self.address(option)?;
        let end = of_family(address);
        if end.is_none() {
            let message = format!("{address} is not of the family of the encapsulation");
            self.wrong(option, message);
        }
        end
    }
}
