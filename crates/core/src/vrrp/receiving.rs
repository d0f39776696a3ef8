//! Which instance a packet is for, and what follows from it for the others.

use std::time::{Duration, Instant};

use super::State;
use super::addressing;
use super::advertisement::Advertisement;
use super::effect::{Effect, Event, Report};
use super::hearing::Heard;
use super::instance::Instance;
use super::receipt::Packet;
use super::routers::VirtualRouters;

/// An unknown virtual router is reported at most this often.
const STRANGER_QUIET: Duration = Duration::from_secs(60);

impl VirtualRouters {
    pub(super) fn received(&mut self, now: Instant, interface: &str, packet: Packet<'_>) {
        let Some(vrid) = Advertisement::peek_virtual_router_id(packet.payload) else {
            return;
        };
        let addressed = |instance: &Instance| {
            instance.configuration.virtual_router_id == vrid
                && instance.is_ipv6() == packet.source.is_ipv6()
                && addressing::hears_on(&instance.configuration) == interface
                && (!packet.destination.is_multicast()
                    || packet.destination == addressing::group_of(&instance.configuration))
        };
        // 9568-7.1-f, 3768-7.1-i: "MUST verify that the VRID is configured on the receiving
        // interface".
        let Some(position) = self.instances.iter().position(addressed) else {
            self.report_stranger(now, interface, vrid);
            return;
        };
        let heard = self.instances[position].receive(now, packet, &mut self.effects);
        match heard {
            Heard::Nothing => {}
            Heard::Answered => {
                for member in self.fellows(position) {
                    let member = &mut self.instances[member];
                    if member.state == State::Master {
                        member.announce_after_conflict(now, &mut self.effects);
                    }
                }
            }
            Heard::Superior => {
                let instance = &mut self.instances[position];
                instance.leave_master(now, State::Backup, false, &mut self.effects);
                self.lead_group(now, position, State::Backup);
            }
        }
    }

    /// Says that a virtual router is heard that nobody has configured.
    fn report_stranger(&mut self, now: Instant, interface: &str, virtual_router_id: u8) {
        if !self.settings.logs_unknown {
            return;
        }
        let key = (interface.to_owned(), virtual_router_id);
        let reported = self.strangers.get(&key);
        if reported.is_none_or(|at| now >= *at + STRANGER_QUIET) {
            self.strangers.insert(key, now);
            self.effects.push_back(Effect::Report(Report {
                name: interface.to_owned(),
                event: Event::UnknownRouter(virtual_router_id),
            }));
        }
    }
}
