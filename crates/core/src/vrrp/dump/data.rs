//! The text of `keepalived.data`: what every instance, group and tracker is, and is doing.
//!
//! The sections about sockets, interfaces and `global_defs` are left out: they are about
//! keepalived's own inside.

use std::fmt::Write;

use super::{Moment, SECRET, address_line, command, with_prefix};
use crate::config::model::{
    Authentication, ParameterMatch, Script, TrackedProcess, Tracker, VrrpVersion,
};
use crate::vrrp::addressing::home_of;
use crate::vrrp::group::Group;
use crate::vrrp::instance::Instance;
use crate::vrrp::process::ProcessTracker;
use crate::vrrp::routers::VirtualRouters;
use crate::vrrp::script::ScriptTracker;
use crate::vrrp::{State, group_of};

/// Writes a line. Writing into a string does not fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {
        let _ = writeln!($text, $($format)*);
    };
}

impl VirtualRouters {
    /// What every instance, group and tracker is, and is doing: the text of `keepalived.data`.
    pub fn data_dump(&self, moment: Moment) -> String {
        let mut text = String::new();
        let mut section = |title: &str, body: String| {
            if !body.is_empty() {
                line!(text, "------< {title} >------");
                text += &body;
            }
        };
        let instances = self.instances.iter();
        let instances = instances.map(|instance| self.instance_text(instance, moment));
        section("VRRP Topology", instances.collect());
        let groups = self.groups.iter().map(|group| self.group_text(group));
        section("VRRP Sync groups", groups.collect());
        let scripts = self.scripts.iter().map(|script| self.script_text(script));
        section("VRRP Scripts", scripts.collect());
        let files = self.files.iter();
        let files = files.map(|(name, value)| self.file_text(name, *value));
        section("VRRP Track files", files.collect());
        let processes = self.processes.iter();
        let processes = processes.map(|process| self.process_text(process));
        section("VRRP Track processes", processes.collect());
        text
    }

    fn instance_text(&self, instance: &Instance, moment: Moment) -> String {
        let configuration = &instance.configuration;
        let verdict = self.verdict(instance);
        let mut text = String::new();
        line!(text, " VRRP Instance = {}", configuration.name);
        line!(text, "   VRRP Version = {}", number(configuration.version));
        if let Some(group) = instance.group {
            line!(text, "   Sync group = {}", self.groups[group].name);
        }
        if instance.is_ipv6() {
            line!(text, "   Using Native IPv6");
        }
        line!(text, "   State = {}", instance.state);
        let learns = instance.state == State::Backup && configuration.version == VrrpVersion::V3;
        if instance.state == State::Backup {
            let master = instance.known_master.map_or_else(
                || if instance.is_ipv6() { "::" } else { "0.0.0.0" }.to_owned(),
                |address| address.to_string(),
            );
            line!(text, "   Master router = {master}");
            line!(text, "   Master priority = {}", instance.master_priority);
            if learns {
                let interval = instance.master_interval.as_secs_f64();
                line!(text, "   Master advert int = {interval:.2} sec");
            }
        }
        let unicast = !configuration.unicast_peers.is_empty();
        let flagged = unicast
            || !configuration.preempt
            || !configuration.track_primary
            || configuration.trust_known_master;
        line!(text, "   Flags:{}", if flagged { "" } else { " none" });
        if unicast {
            line!(text, "     Using unicast");
        }
        let wanted = instance.view().wanted_state();
        line!(text, "   Wantstate = {wanted}");
        line!(text, "   Number of config faults = 0");
        let faults = verdict.faults + u32::from(instance.source.is_none());
        line!(
            text,
            "   Number of interface and track script faults = {faults}"
        );
        line!(
            text,
            "   Number of track scripts init = {}",
            verdict.unknown
        );
        let entered = instance.entered_at.map(|at| moment.at(at));
        let entered = calendar(entered.unwrap_or_default());
        line!(text, "   Last transition = {entered}");
        match instance.deadline() {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(moment.now);
                line!(
                    text,
                    "   Read timeout = {}",
                    calendar(moment.since_epoch + left)
                );
            }
            None => {
                line!(text, "   Read timeout = DISABLED");
            }
        }
        let down = instance.master_down_interval().as_micros();
        line!(text, "   Master down timer = {down} usecs");
        match (&configuration.virtual_mac, &configuration.ipvlan) {
            (Some(mac), _) => {
                let (name, base) = (&mac.interface, &configuration.interface);
                let on_base = mac.transmit_on_base;
                line!(
                    text,
                    "   Use VMAC, i/f name {name}, is_up = true, xmit_base = {on_base}"
                );
                let on_base = if on_base { ", xmit base i/f" } else { "" };
                line!(text, "   Interface = {name}, vmac on {base}{on_base}");
            }
            (None, Some(ipvlan)) => {
                let (name, base) = (&ipvlan.interface, &configuration.interface);
                let kind = ipvlan.neighbourhood.word();
                let address = match ipvlan.address {
                    Some((address, length)) => {
                        format!(", i/f address = {}", with_prefix(address, length))
                    }
                    None => String::new(),
                };
                line!(
                    text,
                    "   Use IPVLAN, i/f {name}, is_up = true{address}, type {kind}"
                );
                line!(text, "   Interface = {name}, ipvlan on {base}");
            }
            (None, None) => {
                line!(text, "   Interface = {}", configuration.interface);
            }
        }
        for (on, words) in [
            (
                !configuration.track_primary,
                "VRRP interface tracking disabled",
            ),
            (
                configuration.trust_known_master,
                "Skip checking advert IP addresses",
            ),
            (configuration.strict, "Enforcing strict VRRP compliance"),
        ] {
            if on {
                line!(text, "   {words}");
            }
        }
        let source = instance.source.map(|source| source.to_string());
        let configured = match configuration.source {
            Some(_) => " (from configuration)",
            None => "",
        };
        line!(
            text,
            "   Using src_ip = {}{configured}",
            source.as_deref().unwrap_or("(none)")
        );
        if !unicast {
            line!(text, "   Multicast address {}", group_of(configuration));
        }
        self.settings(&mut text, instance, learns);
        let set = instance.state == State::Master;
        let addresses = &configuration.virtual_addresses;
        if !addresses.is_empty() {
            line!(text, "   Virtual IP ({}):", addresses.len());
        }
        for address in addresses {
            line!(
                text,
                "     {}",
                address_line(address, home_of(address, configuration), set)
            );
        }
        if !configuration.excluded_addresses.is_empty() {
            line!(text, "   Virtual IP Excluded :");
        }
        for address in &configuration.excluded_addresses {
            line!(
                text,
                "     {}",
                address_line(address, home_of(address, configuration), set)
            );
        }
        if unicast {
            let hop_limit = configuration.unicast_hop_limit;
            line!(text, "   Unicast TTL = {hop_limit}");
            let checked = if configuration.check_unicast_source {
                "yes"
            } else {
                "no"
            };
            line!(text, "   Check unicast src : {checked}");
            line!(text, "   Unicast Peer :");
            for peer in &configuration.unicast_peers {
                line!(
                    text,
                    "     {} min_ttl {} max_ttl {}",
                    peer.address,
                    peer.least_hop_limit,
                    peer.most_hop_limit
                );
            }
        }
        tracked(&mut text, instance);
        let alert = if configuration.smtp_alert {
            "yes"
        } else {
            "no"
        };
        line!(text, "   Using smtp notification = {alert}");
        let notify = &configuration.notify;
        let deleted = if notify.deleted.is_some() {
            "Deleted"
        } else {
            "Fault"
        };
        line!(text, "   Notify deleted = {deleted}");
        for (what, script) in [
            ("Backup", &notify.backup),
            ("Master", &notify.master),
            ("Fault", &notify.fault),
            ("Stop", &notify.stop),
            ("Deleted", notify.deleted.as_ref().unwrap_or(&None)),
            ("Generic", &notify.any),
            ("Master rx lower pri", &notify.lower_priority),
        ] {
            transition_script(&mut text, what, script.as_ref());
        }
        line!(
            text,
            "   Notify priority changes = {}",
            configuration.notify_priority_changes
        );
        text
    }

    fn settings(&self, text: &mut String, instance: &Instance, learns: bool) {
        let configuration = &instance.configuration;
        let announcements = &configuration.announcements;
        for (what, value) in [
            ("delay", announcements.delay.as_secs()),
            ("repeat", announcements.repeat.into()),
            ("refresh", announcements.refresh.as_secs()),
            ("refresh repeat", announcements.refresh_repeat.into()),
            (
                "lower priority delay",
                announcements.lower_priority_delay.as_secs(),
            ),
            (
                "lower priority repeat",
                announcements.lower_priority_repeat.into(),
            ),
        ] {
            line!(text, "   Gratuitous ARP {what} = {value}");
        }
        line!(
            text,
            "   Down timer adverts = {}
   Send advert after receive lower priority advert = {}
   Send advert after receive higher priority advert = {}
   Virtual Router ID = {}
   Priority = {}
   Effective priority = {}
   Total priority = {}",
            configuration.down_timer_advertisements,
            configuration.answer_lower_priority,
            configuration.advertise_before_yielding,
            configuration.virtual_router_id,
            instance.base_priority,
            instance.priority,
            self.verdict(instance).total,
        );
        let interval = configuration.advertisement_interval;
        match configuration.version {
            VrrpVersion::V2 => {
                line!(text, "   Advert interval = {} sec", interval.as_secs());
            }
            VrrpVersion::V3 => {
                line!(
                    text,
                    "   Advert interval = {} milli-sec",
                    interval.as_millis()
                );
            }
        }
        if learns {
            let interval = instance.master_interval.as_millis();
            line!(text, "   Master advert interval = {interval} milli-sec");
        }
        line!(text, "   Accept = {}", enabled(configuration.accept));
        line!(text, "   Preempt = {}", enabled(configuration.preempt));
        if !configuration.preempt_delay.is_zero() {
            let delay = configuration.preempt_delay.as_secs_f64();
            line!(text, "   Preempt delay = {delay} secs");
        }
        let promotes = enabled(configuration.promote_secondaries);
        line!(text, "   Promote_secondaries = {promotes}");
        match (&configuration.authentication, configuration.version) {
            (Some(Authentication::Password(_)), _) => {
                line!(text, "   Authentication type = SIMPLE_PASSWORD");
                line!(text, "   Password = {SECRET}");
            }
            (Some(Authentication::Header(_)), _) => {
                line!(text, "   Authentication type = IPSEC_AH");
            }
            (None, VrrpVersion::V2) => {
                line!(text, "   Authentication type = none");
            }
            (None, VrrpVersion::V3) => {}
        }
    }

    fn group_text(&self, group: &Group) -> String {
        let members = || group.members.iter().map(|member| &self.instances[*member]);
        let faults = members().filter(|member| !member.is_usable()).count();
        let unknown = members().filter(|member| member.tracks_unknown).count();
        let mut text = String::new();
        line!(text, " VRRP Sync Group = {}, {}", group.name, group.state);
        line!(
            text,
            "   Num member fault {faults}, num member init {unknown}"
        );
        line!(text, "   VRRP member instances :");
        for member in members() {
            line!(text, "     {}", member.configuration.name);
        }
        if group.weights {
            line!(text, "   sync group tracking weight set");
        }
        let alert = if group.smtp_alert { "yes" } else { "no" };
        line!(text, "   Using smtp notification = {alert}");
        for (what, script) in [
            ("Backup", &group.scripts.backup),
            ("Master", &group.scripts.master),
            ("Fault", &group.scripts.fault),
            ("Stop", &group.scripts.stop),
            ("Generic", &group.scripts.any),
        ] {
            transition_script(&mut text, what, script.as_ref());
        }
        text
    }

    fn script_text(&self, script: &ScriptTracker) -> String {
        let configuration = &script.configuration;
        let tracker = Tracker::Script(configuration.name.clone());
        let mut text = String::new();
        line!(
            text,
            " VRRP Script = {}
   Command = {}
   Interval = {} sec
   Timeout = {} sec
   Rise = {}
   Fall = {}
   Init state = {}
   Status = {}
   VRRP instances :",
            configuration.name,
            command(&configuration.script),
            configuration.interval.as_secs(),
            configuration.timeout.as_secs(),
            configuration.rise,
            configuration.fall,
            match script.good {
                None => "INIT",
                Some(_) => "unknown",
            },
            if script.good == Some(true) {
                "GOOD"
            } else {
                "BAD"
            },
        );
        self.tracking(&mut text, &tracker);
        line!(text, "   State = {}", script.doing());
        text
    }

    fn file_text(&self, name: &str, value: i64) -> String {
        let mut text = String::new();
        line!(text, " Track file = {name}");
        line!(text, "   Status = {value}");
        self.tracking(&mut text, &Tracker::File(name.to_owned()));
        text
    }

    fn process_text(&self, process: &ProcessTracker) -> String {
        let TrackedProcess {
            name,
            program,
            by_command_line,
            parameters,
            parameter_match,
            least,
            most,
            rise_delay,
            fall_delay,
        } = &process.configuration;
        let mut text = String::new();
        line!(text, " VRRP Track process = {name}");
        line!(text, "   Process = {program}");
        if !parameters.is_empty() {
            line!(text, "   Parameters = {}", parameters.join(" "));
        }
        if let Some(how) = parameter_match {
            let how = match how {
                ParameterMatch::Exact => "",
                ParameterMatch::Partial => " = partial",
                ParameterMatch::Initial => " = initial",
            };
            line!(text, "   Param match{how}");
        }
        line!(text, "   Min processes = {least}");
        if let Some(most) = most {
            line!(text, "   Max processes = {most}");
        }
        line!(text, "   Current processes = {}", process.count);
        line!(text, "   Have quorum = {}", process.good == Some(true));
        line!(
            text,
            "   Terminate delay = {:.6}s",
            fall_delay.as_secs_f64()
        );
        line!(text, "   Fork delay = {:.6}s", rise_delay.as_secs_f64());
        line!(text, "   Full command = {by_command_line}");
        self.tracking(&mut text, &Tracker::Process(name.clone()));
        text
    }

    /// Who tracks something.
    fn tracking(&self, text: &mut String, tracker: &Tracker) {
        line!(text, "   Tracking instances :");
        for instance in &self.instances {
            let configuration = &instance.configuration;
            let mut tracked = configuration.tracked.iter();
            if let Some(tracked) = tracked.find(|tracked| tracked.tracker == *tracker) {
                let reverse = if tracked.reverse { " reverse" } else { "" };
                let (name, weight) = (&configuration.name, tracked.weight);
                line!(text, "     {name}, weight {weight}{reverse}");
            }
        }
    }
}

fn number(version: VrrpVersion) -> u8 {
    match version {
        VrrpVersion::V2 => 2,
        VrrpVersion::V3 => 3,
    }
}

/// What an instance tracks, a list for each kind.
fn tracked(text: &mut String, instance: &Instance) {
    let name = String::new;
    for (kind, title, comma) in [
        (Tracker::Interface(name()), "interfaces", ""),
        (Tracker::Script(name()), "scripts", ""),
        (Tracker::File(name()), "files", ","),
        (Tracker::Process(name()), "processes", ","),
        (Tracker::Session(name()), "BFDs", ":"),
    ] {
        let tracked = instance.configuration.tracked.iter();
        let mut tracked = tracked
            .filter(|tracked| tracked.tracker.keyword() == kind.keyword())
            .peekable();
        if tracked.peek().is_some() {
            line!(text, "   Tracked {title} :");
        }
        for tracked in tracked {
            let reverse = if tracked.reverse { " reverse" } else { "" };
            let (name, weight) = (tracked.tracker.name(), tracked.weight);
            line!(text, "     {name}{comma} weight {weight}{reverse}");
        }
    }
}

fn transition_script(text: &mut String, what: &str, script: Option<&Script>) {
    if let Some(script) = script {
        line!(
            text,
            "   {what} state transition script = {}",
            command(script)
        );
    }
}

/// Seconds since 1970 and, in brackets, the same as a date: `1795344725.987634 (Sun Nov 22
/// 10:52:05.987634 2026)`, in UTC.
fn calendar(since_epoch: std::time::Duration) -> String {
    const DAY: u64 = 86_400;
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let (seconds, micros) = (since_epoch.as_secs(), since_epoch.subsec_micros());
    let (mut day, time) = (seconds / DAY, seconds % DAY);
    let weekday = WEEKDAYS[(day % 7) as usize];
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    loop {
        let length = 365 + u64::from(is_leap(year));
        if day < length {
            break;
        }
        day -= length;
        year += 1;
    }
    let mut name = "Dec";
    for (month, days) in MONTHS {
        let days = days + u64::from(month == "Feb" && is_leap(year));
        if day < days {
            name = month;
            break;
        }
        day -= days;
    }
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!(
        "{seconds}.{micros:06} ({weekday} {name} {:2} {hour:02}:{minute:02}:{second:02}.{micros:06} {year})",
        day + 1
    )
}

fn enabled(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "Thu Jan  1 00:00:00.000000 1970"),
            (951_782_400, "Tue Feb 29 00:00:00.000000 2000"),
            (1_795_344_725, "Sun Nov 22 10:52:05.000000 2026"),
            (4_107_542_399, "Sun Feb 28 23:59:59.000000 2100"),
            (4_107_542_400, "Mon Mar  1 00:00:00.000000 2100"),
        ] {
            let expected = format!("{seconds}.000000 ({date})");
            assert_eq!(calendar(Duration::from_secs(seconds)), expected);
        }
    }
}
