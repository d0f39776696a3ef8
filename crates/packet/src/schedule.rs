//! The choice of a destination for a new connection.

use crate::table::service::Service;
use crate::table::{Tables, Words};

/// The destination, by id, that is to take a new connection.
///
/// Round robin (`net/netfilter/ipvs/ip_vs_rr.c`): the next one after the last one used.
/// The member list has only destinations that take new connections, newest first.
#[inline(always)]
pub fn choose<T: Tables>(tables: &T, service: Service<T::Words>) -> Option<u32>
where
    T::Words: Words,
{
    let (first, members) = service.members();
    if members == 0 {
        return None;
    }
    let turn = service.advance_cursor() % u64::from(members);
    tables.member(first.wrapping_add(turn as u32))
}
