//! What connections that have come to their end show of real servers: seen by the sweep, so
//! nothing is asked of a packet on its way for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use elver_core::check::Endings;
use elver_packet::flow::tcp::TcpState;
use elver_packet::host::Slice;
use elver_packet::table::connection::Entry;

/// TCP (RFC 9293, section 3.1).
const TCP: u8 = 6;

/// [`Endings`] by real server.
#[derive(Debug, Default)]
pub(super) struct Observations(BTreeMap<SocketAddr, Endings>);

impl Observations {
    /// A connection of `destination` is taken out of the table because its time is over.
    pub(super) fn ended(&mut self, entry: Entry<Slice<'_>>, destination: SocketAddr) {
        if entry.protocol() != TCP || entry.is_template() {
            return;
        }
        let endings = self.0.entry(destination).or_default();
        match TcpState(entry.life().state) {
            state if state.is_embryonic() => endings.unanswered += 1,
            TcpState::CLOSE => endings.reset += 1,
            _ => endings.completed += 1,
        }
    }

    /// Forgets real servers that are no more.
    pub(super) fn retain(&mut self, present: &BTreeSet<SocketAddr>) {
        self.0.retain(|address, _| present.contains(address));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SocketAddr, &Endings)> {
        self.0.iter()
    }
}
