//! The forwarding methods.
//!
//! NAT (`ip_vs_nat_xmit`, `handle_response` in the kernel): towards the real server the
//! destination is rewritten, towards the client the source; the hop count goes down by
//! one both ways, and both checksums are brought up to date.

use crate::checksum::Difference;
use crate::family::Family;
use crate::frame::{Frame, NextHop, Route, RouteQuery, Verdict};
use crate::reason::Reason;
use crate::table::Words;
use crate::table::connection::{Entry, Key};
use crate::wire::{EtherType, Ethernet, TcpStart};

/// What a packet is to say after it has been rewritten.
#[derive(Clone, Copy)]
pub struct Rewritten<F: Family> {
    /// Its source.
    pub source: F::Address,
    /// Its destination.
    pub destination: F::Address,
    /// Source port in the lower half, destination port in the upper one, as in memory.
    pub ports: u32,
}

/// A packet of a connection, on its way out.
pub struct Outgoing<'a, F: Family, W> {
    /// Its addresses and ports as they are now.
    pub key: &'a Key<F>,
    /// Hops that are left.
    pub time_to_live: u8,
    /// Where its transport header begins, in octets from the start of the frame.
    pub transport: u32,
    /// The largest packet on the link, in octets, that the frame becomes.
    pub largest: u32,
    /// The entry of its direction.
    pub entry: Entry<W>,
    /// The stamp of next hops that are learned now.
    pub stamp: u16,
}

/// Rewrites a packet and sends it to where the routes lead its new destination.
///
/// Nothing is written before the way out is known.
#[inline(always)]
pub fn translate<F: Family, P: Frame, W: Words>(
    frame: &mut P,
    packet: &Outgoing<'_, F, W>,
    new: &Rewritten<F>,
) -> Result<Verdict, Reason> {
    if packet.time_to_live <= 1 {
        return Err(Reason::TimeToLive);
    }
    let exit = packet.exit(frame, new)?;
    if !F::rewrite(frame, new.source, new.destination) {
        return Err(Reason::NotWritable);
    }
    let old = packet.key;
    if old.ports != new.ports && !frame.write(packet.transport, &new.ports.to_ne_bytes()) {
        return Err(Reason::NotWritable);
    }
    let addresses =
        F::difference(old.sender, new.source).add(F::difference(old.receiver, new.destination));
    let ports = Difference::of_word(old.ports, new.ports);
    if !frame.update_transport_checksum(packet.transport + TcpStart::CHECKSUM, addresses, ports) {
        return Err(Reason::NotWritable);
    }
    match exit {
        Exit::Neighbour(next_hop) => {
            let header = Ethernet::new(next_hop.destination, next_hop.source, ether_type::<F>());
            if !frame.write(0, &header) {
                return Err(Reason::NotWritable);
            }
            Ok(Verdict::Transmit {
                device: next_hop.device,
            })
        }
        Exit::Resolve(device) => Ok(Verdict::Resolve { device }),
    }
}

fn ether_type<F: Family>() -> EtherType {
    if F::NUMBER == 4 {
        EtherType::IPV4
    } else {
        EtherType::IPV6
    }
}

/// Where a packet leaves.
enum Exit {
    Neighbour(NextHop),
    Resolve(u32),
}

impl<F: Family, W: Words> Outgoing<'_, F, W> {
    /// The way out: by the next hop that the entry remembers, if that is still fresh, else
    /// by the routes.
    #[inline(always)]
    fn exit<P: Frame>(&self, frame: &P, new: &Rewritten<F>) -> Result<Exit, Reason> {
        if F::CACHES_NEXT_HOP
            && let Some(next_hop) = self.entry.next_hop(self.stamp, self.largest)
        {
            return Ok(Exit::Neighbour(next_hop));
        }
        let query = RouteQuery::<F> {
            source: new.source,
            destination: new.destination,
            protocol: self.key.protocol,
            length: self.largest,
        };
        match frame.route(&query) {
            // Once per stamp the kernel itself sends a packet to the neighbour, so that it
            // keeps on confirming the neighbour as it does for its own traffic.
            Route::Neighbour(next_hop, mtu) => {
                if F::CACHES_NEXT_HOP {
                    self.entry.remember_next_hop(&next_hop, mtu, self.stamp);
                }
                Ok(Exit::Resolve(next_hop.device))
            }
            Route::Unresolved(device) => Ok(Exit::Resolve(device)),
            Route::Local => Err(Reason::LocalDestination),
            Route::TooBig => Err(Reason::TooBig),
            Route::None => Err(Reason::NoRoute),
        }
    }
}
