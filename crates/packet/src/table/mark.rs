//! Rules that give packets a firewall mark, for services of marks. A mark that netfilter
//! sets comes too late: packets are forwarded before netfilter sees them.
//!
//! ```text
//! word 0       flags 8 (1: in use) | family 8 (4 or 6) | protocol 8, 0 for all | spare 8 | mark 32
//! word 1       first destination port 16 | last destination port 16, in the machine's order
//! words 2, 3   destination network, as in a packet     words 4, 5   its mask
//! words 6, 7   source network                          words 8, 9   its mask
//! words 10…15  spare
//! ```
//!
//! The first rule that fits counts. Rules stand one after the other from 0 on.

use super::{Tables, Words, part};
use crate::family::Family;
use crate::table::connection::Key;

/// Words of a rule.
pub const WORDS: usize = 16;
/// How many rules there can be.
pub const RULES: u32 = 32;

/// The mark that the rules give a packet; 0 if none fits.
#[inline(never)]
pub fn mark_of<F: Family, T: Tables>(tables: &T, key: &Key<F>) -> u32 {
    let mut mark = 0;
    let mut number: u64 = 0;
    while number < u64::from(RULES) {
        let Some(rule) = tables.mark_rule(number as u32) else {
            return mark;
        };
        let heading = rule.load(0);
        if heading & 1 == 0 {
            return mark;
        }
        let is_free = u32::from(mark == 0).wrapping_neg();
        mark |= (heading >> 32) as u32 & fits::<F, T::Words>(rule, heading, key) & is_free;
        number += 1;
    }
    mark
}

/// All ones if a rule fits a packet, else 0. Without a branch: the verifier in the kernel
/// would follow both ways of each.
#[inline(always)]
fn fits<F: Family, W: Words>(rule: W, heading: u64, key: &Key<F>) -> u32 {
    let ports = rule.load(1);
    let port = u64::from(u16::from_be((key.ports >> 16) as u16));
    let protocol = part(heading, 16, 0xff);
    let [receiver_first, receiver_second] = F::to_words(key.receiver);
    let [sender_first, sender_second] = F::to_words(key.sender);
    // Every term is 0 where it fits.
    let differs = (part(heading, 8, 0xff) ^ u64::from(F::NUMBER))
        | ((protocol ^ u64::from(key.protocol)) & u64::from(protocol != 0).wrapping_neg())
        | ((receiver_first & rule.load(4)) ^ rule.load(2))
        | ((receiver_second & rule.load(5)) ^ rule.load(3))
        | ((sender_first & rule.load(8)) ^ rule.load(6))
        | ((sender_second & rule.load(9)) ^ rule.load(7))
        | (port.wrapping_sub(part(ports, 0, 0xffff)) >> 63)
        | (part(ports, 16, 0xffff).wrapping_sub(port) >> 63);
    u32::from(differs == 0).wrapping_neg()
}
