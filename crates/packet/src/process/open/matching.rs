//! Which service a packet is for.

use super::super::passage::Passage;
use crate::family::Family;
use crate::frame::{Frame, Route, RouteQuery};
use crate::reason::Reason;
use crate::table::mark::mark_of;
use crate::table::service::{Service, ServiceKey};
use crate::table::settings::Settings;
use crate::table::{Tables, Words, service};

/// By what a packet was found to be a service's.
#[derive(Clone, Copy)]
pub(super) enum Matched {
    /// By its firewall mark.
    Mark(u32),
    /// By its address and port, as in a packet; port 0: by its address.
    Port(u16),
}

/// The packet's firewall mark: the one that it came with, else the one that a rule gives it.
#[inline(always)]
pub(super) fn mark<F: Family, P: Frame, T: Tables>(
    frame: &P,
    tables: &T,
    passage: &Passage<F>,
) -> u32 {
    let has_rules = tables
        .settings()
        .is_some_and(|settings| Settings(settings).has_mark_rules());
    match frame.mark() {
        0 if has_rules => mark_of(tables, &passage.key),
        mark => mark,
    }
}

/// The id of the packet's service: that of its firewall mark, else the one with the packet's
/// own port, else the one for every port of the address (`ip_vs_service_find` in the kernel).
#[inline(always)]
pub(super) fn find_service<F: Family, T: Tables>(
    tables: &T,
    passage: &Passage<F>,
    mark: u32,
) -> Result<(u32, Matched), Reason> {
    if mark != 0
        && let Some(id) = tables.service_id(&ServiceKey::of_mark(mark, F::NUMBER))
    {
        return Ok((id, Matched::Mark(mark)));
    }
    let port = (passage.key.ports >> 16) as u16;
    let mut key = ServiceKey {
        address: F::to_octets(passage.key.receiver),
        mark: 0,
        port: port.to_ne_bytes(),
        protocol: passage.key.protocol,
        family: F::NUMBER,
    };
    if let Some(id) = tables.service_id(&key) {
        return Ok((id, Matched::Port(port)));
    }
    key.port = [0; 2];
    let id = tables.service_id(&key).ok_or(Reason::NoService)?;
    let settings = Settings(tables.settings().ok_or(Reason::NotReady)?);
    Ok((id, Matched::Port(settings.blur(0) as u16)))
}

/// Whether the packet's destination is one of this host's addresses. Of services with an
/// address the controller says so; a mark can be on packets to any.
#[inline(always)]
pub(super) fn is_held<F: Family, P: Frame, W: Words>(
    frame: &P,
    passage: &Passage<F>,
    service: Service<W>,
    matched: Matched,
) -> bool {
    match matched {
        Matched::Port(_) => service.flags() & service::flags::HELD != 0,
        Matched::Mark(_) => {
            let query = RouteQuery::<F> {
                source: passage.key.sender,
                destination: passage.key.receiver,
                protocol: passage.key.protocol,
                length: 0,
            };
            frame.route(&query) == Route::LocalOrNone
        }
    }
}
