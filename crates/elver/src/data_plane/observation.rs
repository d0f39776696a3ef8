//! What connections that have come to their end show of real servers: seen by the sweep, so
//! nothing is asked of a packet on its way for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use elver_packet::flow::tcp::TcpState;
use elver_packet::host::Slice;
use elver_packet::table::connection::Entry;

/// TCP (RFC 9293, section 3.1).
const TCP: u8 = 6;

/// How TCP connections of a real server have ended.
///
/// By NAT both ways are seen, by direct routing and tunnels what clients send: a client that
/// has got an answer says so with its next packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Endings {
    /// They came about, and ended in order or were left.
    pub(crate) completed: u64,
    /// Attempts that came to nothing: no answer, or one that the client did not confirm.
    pub(crate) unanswered: u64,
    /// Reset, by either side.
    pub(crate) reset: u64,
}

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
