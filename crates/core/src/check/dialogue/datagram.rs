//! `UDP_CHECK`, `DNS_CHECK` and `PING_CHECK`: one datagram out, one back.

use super::{Turn, wrong};
use crate::check::Outcome;
use crate::config::model::{DnsProbe, UdpProbe, UdpReply};

/// Length of the payload of a `UDP_CHECK` that has none of its own, and of an echo.
const FILLING: usize = 32;

/// A request and what is made of its answer.
#[derive(Debug)]
pub(super) struct Datagram {
    request: Vec<u8>,
    sent: bool,
    wanted: Wanted,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Wanted {
    /// Whatever comes, and silence, will do.
    Anything,
    Reply(UdpReply),
    Dns,
    Echo {
        reply_type: u8,
    },
}

impl Datagram {
    pub(super) fn udp(probe: &UdpProbe, random: u64) -> Datagram {
        let request = match &probe.payload {
            Some(payload) => payload.clone(),
            None => random.to_be_bytes().repeat(FILLING / 8),
        };
        Datagram::new(
            request,
            match &probe.reply {
                Some(reply) => Wanted::Reply(reply.clone()),
                None => Wanted::Anything,
            },
        )
    }

    /// A query: header (RFC 1035 section 4.1.1) with only RD set, one question (4.1.2).
    pub(super) fn dns(probe: &DnsProbe, random: u64) -> Datagram {
        let [high, low, ..] = random.to_be_bytes();
        let mut request = vec![high, low, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in probe.name.split('.').filter(|label| !label.is_empty()) {
            // The reader of the configuration has seen to it that labels fit (RFC 1035
            // section 2.3.4: "63 octets or less").
            let label = &label.as_bytes()[..label.len().min(63)];
            request.push(label.len() as u8);
            request.extend_from_slice(label);
        }
        request.push(0);
        request.extend_from_slice(&probe.record_type.to_be_bytes());
        request.extend_from_slice(&1u16.to_be_bytes());
        Datagram::new(request, Wanted::Dns)
    }

    /// An echo request (RFC 792; RFC 4443 section 4.1): type, code, checksum, identifier,
    /// sequence number, data. The kernel sets identifier and checksum.
    pub(super) fn echo(ipv6: bool, random: u64) -> Datagram {
        let (request_type, reply_type) = if ipv6 { (128, 129) } else { (8, 0) };
        let mut request = vec![request_type, 0, 0, 0, 0, 0];
        request.extend_from_slice(&random.to_be_bytes()[..2]);
        request.extend_from_slice(&random.to_be_bytes().repeat(FILLING / 8));
        Datagram::new(request, Wanted::Echo { reply_type })
    }

    fn new(request: Vec<u8>, wanted: Wanted) -> Datagram {
        Datagram {
            request,
            sent: false,
            wanted,
            outcome: None,
        }
    }

    pub(super) fn turn(&mut self) -> Turn {
        if let Some(outcome) = &self.outcome {
            Turn::Done(outcome.clone())
        } else if self.sent {
            Turn::Receive
        } else {
            self.sent = true;
            Turn::Send(self.request.clone())
        }
    }

    pub(super) fn received(&mut self, octets: &[u8]) {
        self.outcome = match &self.wanted {
            Wanted::Anything => Some(Outcome::Passed("replies".to_owned())),
            Wanted::Reply(reply) => Some(reply.judge(octets)),
            Wanted::Dns => self.dns_answer(octets),
            Wanted::Echo { reply_type } => self.echo_answer(octets, *reply_type),
        };
    }

    /// What is not the answer to this query, as an identifier or a question that differs
    /// shows, is as if it had not come: anyone can send it.
    fn dns_answer(&self, octets: &[u8]) -> Option<Outcome> {
        let flags = *octets.get(2)?;
        let is_response = flags & 0x80 != 0;
        if octets.get(..2) != self.request.get(..2) || !is_response || octets.len() < 12 {
            return None;
        }
        let code = octets[3] & 0x0f;
        // Some servers leave the question out when they refuse.
        let asked = self.request.get(12..)?;
        let answered = octets.get(12..)?.get(..asked.len());
        let same = answered.is_some_and(|answered| answered.eq_ignore_ascii_case(asked));
        if code == 0 && !same {
            return None;
        }
        Some(match code {
            0 => Outcome::Passed("answers".to_owned()),
            1 => wrong("the answer is FORMERR"),
            2 => wrong("the answer is SERVFAIL"),
            3 => wrong("the answer is NXDOMAIN"),
            4 => wrong("the answer is NOTIMP"),
            5 => wrong("the answer is REFUSED"),
            code => wrong(format!("the answer has code {code}")),
        })
    }

    fn echo_answer(&self, octets: &[u8], reply_type: u8) -> Option<Outcome> {
        let ours = octets.first() == Some(&reply_type) && octets.get(6..) == self.request.get(6..);
        ours.then(|| Outcome::Passed("answers echo requests".to_owned()))
    }
}

impl UdpReply {
    fn judge(&self, octets: &[u8]) -> Outcome {
        let length = octets.len();
        if length < self.least_length || length > self.greatest_length {
            return wrong(format!(
                "the reply has {length} octets, not {} to {}",
                self.least_length, self.greatest_length
            ));
        }
        // As many as there are of both are compared.
        let differs = octets
            .iter()
            .zip(&self.prefix)
            .position(|(octet, (wanted, mask))| (octet ^ wanted) & mask != 0);
        match differs {
            Some(at) => wrong(format!("octet {at} of the reply is {:#04x}", octets[at])),
            None => Outcome::Passed("replies".to_owned()),
        }
    }
}
