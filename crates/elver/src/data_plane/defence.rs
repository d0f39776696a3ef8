//! Defence against floods that leave a host without memory (`update_defense_level` in the
//! kernel, `Documentation/networking/ipvs-sysctl.rst`): `drop_entry`, `drop_packet` and
//! `secure_tcp`, each of which is in force always (3), while memory is short (1 and 2), or never.

use std::fmt;
use std::time::Duration;

use elver_packet::flow::sctp::SctpState;
use elver_packet::flow::tcp::TcpState;
use elver_packet::host::Slice;
use elver_packet::table::Words;
use elver_packet::table::connection::{
    Direction, Entry, STRIDE, TEMPLATE_ASSURED, control, reclaim,
};
use elver_packet::table::settings::{DROP_RATE_WORD, Settings, behaviour, ticks_between};
use elver_packet::wire::protocol;
use elver_sys::bpf::Clock;

use super::DataPlane;

/// Parts of the connection table, of which `drop_entry` looks at one a second
/// (`ip_vs_random_dropentry` in the kernel).
const PARTS: u32 = 32;
/// Datagrams' connections are given up that have seen none for so long (`todrop_entry`).
const IDLE: Duration = Duration::from_secs(60);

/// When a defence is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum When {
    /// Never.
    #[default]
    Never,
    /// While memory is short.
    MemoryIsShort,
    /// Always.
    Always,
}

impl When {
    /// Whether it is now.
    fn holds(self, is_memory_short: bool) -> bool {
        match self {
            When::Never => false,
            When::MemoryIsShort => is_memory_short,
            When::Always => true,
        }
    }
}

/// How a director defends itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Defence {
    /// When connections that have not come about, or are idle, are given up before their time.
    pub(crate) drop_entry: When,
    /// When one of so many packets that would open a connection is dropped.
    pub(crate) drop_packet: When,
    /// When connections of TCP go through stricter states.
    pub(crate) secure_tcp: When,
    /// With fewer free pages than that memory is short (`amemthresh`).
    pub(crate) least_free_pages: u64,
    /// Of how many packets one is dropped, where that is always in force (`am_droprate`).
    pub(crate) drop_rate: u32,
}

/// What is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measures {
    drops_entries: bool,
    /// Of how many packets that would open a connection one is dropped; 0: none.
    drop_rate: u32,
    secures_tcp: bool,
}

impl Defence {
    /// What is to be in force with so many free pages.
    fn measures(&self, free_pages: u64) -> Measures {
        let is_memory_short = free_pages < self.least_free_pages;
        let drop_rate = match self.drop_packet {
            When::Always => self.drop_rate,
            // The less is free, the more are dropped; with nothing, each.
            when if when.holds(is_memory_short) => {
                let missing = self.least_free_pages - free_pages;
                (self.least_free_pages / missing)
                    .try_into()
                    .unwrap_or(u32::MAX)
            }
            _ => 0,
        };
        Measures {
            drops_entries: self.drop_entry.holds(is_memory_short),
            drop_rate,
            secures_tcp: self.secure_tcp.holds(is_memory_short),
        }
    }
}

impl Measures {
    const NONE: Measures = Measures {
        drops_entries: false,
        drop_rate: 0,
        secures_tcp: false,
    };
}

impl fmt::Display for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Measures::NONE {
            return f.write_str("defence against floods is over");
        }
        f.write_str("defence against floods:")?;
        let mut separator = "";
        let mut say = |is_so: bool, what: &dyn fmt::Display| {
            if is_so {
                write!(f, "{separator} {what}")?;
                separator = ",";
            }
            Ok(())
        };
        say(
            self.drops_entries,
            &"connections that have not come about, or are idle, are given up (drop_entry)",
        )?;
        say(
            self.drop_rate != 0,
            &format_args!(
                "one in {} packets that would open a connection is dropped (drop_packet)",
                self.drop_rate
            ),
        )?;
        say(
            self.secures_tcp,
            &"connections of TCP come about by an answer to the client's last step (secure_tcp)",
        )
    }
}

/// How far the defence has come.
#[derive(Debug)]
pub(super) struct Defending {
    in_force: Measures,
    /// Which part of the table is to be looked at next for entries to give up.
    next_part: u32,
}

impl Default for Defending {
    fn default() -> Defending {
        Defending {
            in_force: Measures::NONE,
            next_part: 0,
        }
    }
}

impl DataPlane {
    /// Puts the defence in force that fits the memory there is. To be called once a second.
    pub(crate) fn defend(&mut self) {
        let measures = self.defence.measures(free_pages());
        if let Some(settings) = self.inventory.maps.settings() {
            let secure = u64::from(behaviour::SECURE_TCP);
            let bits = if measures.secures_tcp { secure } else { 0 };
            self.replace_behaviour(secure, bits);
            // The other half of the word is the programs' own.
            if settings.load(DROP_RATE_WORD) as u32 != measures.drop_rate {
                settings.store(DROP_RATE_WORD, measures.drop_rate.into());
            }
        }
        if measures.drops_entries {
            self.give_entries_up();
        }
        if self.defending.in_force != measures {
            tracing::warn!("{measures}");
            self.defending.in_force = measures;
        }
    }

    /// Gives up connections in the part of the table whose turn it is.
    fn give_entries_up(&mut self) {
        let maps = &self.inventory.maps;
        let clock = self.inventory.clock;
        let Some(settings) = maps.settings().map(Settings) else {
            return;
        };
        let sets = maps.connection_lines() / STRIDE;
        let begins = |part: u32| (u64::from(sets) * u64::from(part) / u64::from(PARTS)) as u32;
        let part = self.defending.next_part;
        for index in (begins(part) * STRIDE)..(begins(part + 1) * STRIDE) {
            if index.is_multiple_of(STRIDE) {
                continue;
            }
            if control(&maps, index).is_some_and(|control| control.is_live())
                && let Some(entry) = maps.connection(index).map(Entry)
                && gives_way(entry, settings, clock)
            {
                reclaim(&maps, index);
            }
        }
        self.defending.next_part = (part + 1) % PARTS;
    }
}

/// Whether an entry is given up before its time.
fn gives_way(entry: Entry<Slice<'_>>, settings: Settings<Slice<'_>>, clock: Clock) -> bool {
    if entry.direction() != Direction::Forward {
        return false;
    }
    let life = entry.life();
    if entry.is_template() {
        return life.state != TEMPLATE_ASSURED && entry.held_connections() == 0;
    }
    match entry.protocol() {
        protocol::TCP => {
            matches!(
                TcpState(life.state),
                TcpState::SYN_RECEIVED | TcpState::SYN_ACK
            )
        }
        protocol::SCTP => matches!(SctpState(life.state), SctpState::INIT1 | SctpState::INIT),
        protocol => {
            let left = ticks_between(clock.now(), life.expires);
            let whole = settings.timeout(protocol, life.state) as i32;
            whole - left >= clock.ticks(IDLE) as i32
        }
    }
}

/// Pages that are free or in buffers (`si_meminfo` in the kernel); none if the kernel does not say.
fn free_pages() -> u64 {
    let info = rustix::system::sysinfo();
    let free = info.freeram + info.bufferram;
    free * u64::from(info.mem_unit) / rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defence(when: When) -> Defence {
        Defence {
            drop_entry: when,
            drop_packet: when,
            secure_tcp: when,
            least_free_pages: 1000,
            drop_rate: 10,
        }
    }

    #[test]
    fn nothing_is_in_force_unless_it_is_asked_for() {
        for free in [0, 999, 1000, 1_000_000] {
            assert_eq!(defence(When::Never).measures(free), Measures::NONE);
        }
    }

    /// `amemthresh / (amemthresh - available)` in the kernel: the less there is, the more are
    /// dropped.
    #[test]
    fn packets_are_dropped_by_how_much_memory_is_missing() {
        let rate = |free| {
            let measures = defence(When::MemoryIsShort).measures(free);
            assert_eq!(measures.drops_entries, free < 1000);
            assert_eq!(measures.secures_tcp, free < 1000);
            measures.drop_rate
        };
        let rates = [0, 500, 900, 999, 1000, 5000].map(rate);
        assert_eq!(rates, [1, 2, 10, 1000, 0, 0]);
    }

    #[test]
    fn always_is_always_and_at_the_rate_that_was_given() {
        for free in [0, 1_000_000] {
            let measures = defence(When::Always).measures(free);
            assert_eq!(measures.drop_rate, 10);
            assert!(measures.drops_entries && measures.secures_tcp);
        }
    }

    #[test]
    fn what_is_in_force_is_said() {
        let said = defence(When::Always).measures(0).to_string();
        assert_eq!(
            said,
            "defence against floods: connections that have not come about, or are idle, are given \
             up (drop_entry), one in 10 packets that would open a connection is dropped \
             (drop_packet), connections of TCP come about by an answer to the client's last step \
             (secure_tcp)"
        );
        assert_eq!(Measures::NONE.to_string(), "defence against floods is over");
    }
}
