//! What the instances are doing, in the forms that keepalived 2.2.7 writes it to files in, so
//! that programs that read those files can read these: `keepalived.stats`, `keepalived.json`
//! and `keepalived.data`. Passwords are left out.

mod data;

use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Number;

use super::addressing::home_of;
use super::process::ProcessTracker;
use super::receipt::RejectionKind;
use super::routers::{InstanceView, VirtualRouters};
use super::{State, Statistics, interface_of};
use crate::config::model::{
    Authentication, JsonVersion, ParameterMatch, Script, TrackedProcess, TrackedScript, Tracker,
    VirtualAddress, VrrpVersion,
};

/// What stands in the place of a password.
const SECRET: &str = "redacted";

/// One moment by two clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// By the clock that the machine is driven by.
    pub now: Instant,
    /// By the calendar: time since 1970 in UTC.
    pub since_epoch: Duration,
}

impl Moment {
    /// The calendar time of an earlier moment.
    fn at(self, earlier: Instant) -> Duration {
        let age = self.now.saturating_duration_since(earlier);
        self.since_epoch.saturating_sub(age)
    }
}

impl Statistics {
    fn rejected(&self, kind: RejectionKind) -> u64 {
        self.rejected.get(&kind).copied().unwrap_or_default()
    }
}

impl VirtualRouters {
    /// What every instance has counted: the text of `keepalived.stats`.
    pub fn statistics_dump(&self) -> String {
        let mut text = String::new();
        for instance in self.instances() {
            let counted = instance.statistics;
            let name = &instance.configuration.name;
            let rejected = |kind| counted.rejected(kind);
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "VRRP Instance: {name}
  Advertisements:
    Received: {}
    Sent: {}
  Became master: {}
  Released master: {}
  Packet Errors:
    Length: {}
    TTL: {}
    Invalid Type: {}
    Advertisement Interval: {}
    Address List: {}
  Authentication Errors:
    Invalid Type: {}
    Type Mismatch: {}
    Failure: {}
  Priority Zero:
    Received: {}
    Sent: {}",
                counted.advertisements_received,
                counted.advertisements_sent,
                counted.became_master,
                counted.released_master,
                rejected(RejectionKind::Length),
                rejected(RejectionKind::HopLimit),
                rejected(RejectionKind::Type),
                rejected(RejectionKind::Interval),
                rejected(RejectionKind::AddressList),
                rejected(RejectionKind::AuthenticationTypeInvalid),
                rejected(RejectionKind::AuthenticationTypeMismatch),
                rejected(RejectionKind::AuthenticationFailure),
                counted.priority_zero_received,
                counted.priority_zero_sent,
            );
        }
        text
    }

    /// What every instance is, does and has counted: the text of `keepalived.json`, in the
    /// first version of its format.
    ///
    /// # Errors
    /// None that this data can cause.
    pub fn json_dump(&self, moment: Moment, version: JsonVersion) -> serde_json::Result<String> {
        let scripts: Vec<&TrackedScript> = self.scripts.iter().map(|s| &s.configuration).collect();
        let dumped: Vec<Dumped<'_>> = self
            .instances()
            .map(|instance| Dumped {
                data: Data::of(instance, &scripts, moment),
                stats: Counted::of(instance.statistics),
            })
            .collect();
        let text = match version {
            JsonVersion::First => serde_json::to_string(&dumped),
            JsonVersion::Second => serde_json::to_string(&Second {
                vrrp: dumped,
                track_process: self.processes.iter().map(CountedProcess::of).collect(),
            }),
        };
        // As the library that keepalived uses writes it.
        Ok(text?.replace('/', "\\/") + "\n")
    }
}

/// The second version of the format.
#[derive(Serialize)]
struct Second<'a> {
    vrrp: Vec<Dumped<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_process: Vec<CountedProcess<'a>>,
}

/// Processes that are tracked.
#[derive(Serialize)]
struct CountedProcess<'a> {
    process: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    parameters: String,
    param_match: &'static str,
    min_processes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_processes: Option<u32>,
    current_processes: u32,
    have_quorum: bool,
    terminate_delay: f64,
    fork_delay: f64,
    full_command: bool,
}

impl CountedProcess<'_> {
    fn of(tracker: &ProcessTracker) -> CountedProcess<'_> {
        let TrackedProcess {
            program,
            by_command_line,
            parameters,
            parameter_match,
            least,
            most,
            rise_delay,
            fall_delay,
            ..
        } = &tracker.configuration;
        CountedProcess {
            process: program,
            parameters: parameters.join(" "),
            param_match: match parameter_match {
                None => "none",
                Some(ParameterMatch::Exact) => "exact",
                Some(ParameterMatch::Partial) => "partial",
                Some(ParameterMatch::Initial) => "initial",
            },
            min_processes: *least,
            max_processes: *most,
            current_processes: tracker.count,
            have_quorum: tracker.good == Some(true),
            terminate_delay: fall_delay.as_secs_f64(),
            fork_delay: rise_delay.as_secs_f64(),
            full_command: *by_command_line,
        }
    }
}

/// An instance; the names are keepalived's, here and below.
#[derive(Serialize)]
struct Dumped<'a> {
    data: Data<'a>,
    stats: Counted,
}

#[derive(Serialize)]
struct Data<'a> {
    iname: &'a str,
    dont_track_primary: u8,
    skip_check_adv_addr: u8,
    strict_mode: u8,
    vmac_ifname: &'a str,
    ifp_ifname: &'a str,
    master_priority: u8,
    last_transition: Option<Number>,
    garp_delay: u64,
    garp_refresh: u64,
    garp_rep: u32,
    garp_refresh_rep: u32,
    garp_lower_prio_delay: u64,
    garp_lower_prio_rep: u32,
    lower_prio_no_advert: u8,
    higher_prio_send_advert: u8,
    vrid: u8,
    base_priority: u8,
    effective_priority: u8,
    vipset: bool,
    promote_secondaries: bool,
    adver_int: Option<Number>,
    master_adver_int: Option<Number>,
    accept: u8,
    nopreempt: bool,
    preempt_delay: Option<Number>,
    state: u8,
    wantstate: u8,
    version: u8,
    smtp_alert: bool,
    notify_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_backup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_deleted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master_rx_lower_pri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_ifp: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_script: Vec<String>,
    auth_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<&'static str>,
}

impl<'a> Data<'a> {
    fn of(instance: InstanceView<'a>, scripts: &[&TrackedScript], moment: Moment) -> Data<'a> {
        let configuration = instance.configuration;
        let announcements = &configuration.announcements;
        let notify = &configuration.notify;
        let run = |script: &Option<Script>| script.as_ref().map(command);
        let set = instance.state == State::Master;
        let addresses = |addresses: &[VirtualAddress]| {
            let line = |each| address_line(each, home_of(each, configuration), set);
            addresses.iter().map(line).collect()
        };
        let trackers = || configuration.tracked.iter().map(|tracked| &tracked.tracker);
        let wanted = instance.wanted_state();
        let transition = instance.entered_at.map(|at| moment.at(at));
        Data {
            iname: &configuration.name,
            dont_track_primary: u8::from(!configuration.track_primary),
            skip_check_adv_addr: u8::from(configuration.trust_known_master),
            strict_mode: u8::from(configuration.strict),
            vmac_ifname: match interface_of(configuration) {
                own if own != configuration.interface => own,
                _ => "",
            },
            ifp_ifname: interface_of(configuration),
            master_priority: instance.master_priority,
            last_transition: seconds(transition.unwrap_or_default()),
            garp_delay: announcements.delay.as_secs(),
            garp_refresh: announcements.refresh.as_secs(),
            garp_rep: announcements.repeat,
            garp_refresh_rep: announcements.refresh_repeat,
            garp_lower_prio_delay: announcements.lower_priority_delay.as_secs(),
            garp_lower_prio_rep: announcements.lower_priority_repeat,
            lower_prio_no_advert: u8::from(!configuration.answer_lower_priority),
            higher_prio_send_advert: u8::from(configuration.advertise_before_yielding),
            vrid: configuration.virtual_router_id,
            base_priority: configuration.priority,
            effective_priority: instance.priority,
            vipset: set,
            promote_secondaries: configuration.promote_secondaries,
            adver_int: seconds(configuration.advertisement_interval),
            master_adver_int: seconds(instance.master_interval),
            accept: u8::from(configuration.accept),
            nopreempt: !configuration.preempt,
            preempt_delay: seconds(configuration.preempt_delay),
            state: number(instance.state),
            wantstate: number(wanted),
            version: match configuration.version {
                VrrpVersion::V2 => 2,
                VrrpVersion::V3 => 3,
            },
            smtp_alert: configuration.smtp_alert,
            notify_deleted: notify.deleted.is_some(),
            script_backup: run(&notify.backup),
            script_master: run(&notify.master),
            script_fault: run(&notify.fault),
            script_stop: run(&notify.stop),
            script_deleted: notify.deleted.as_ref().and_then(run),
            script: run(&notify.any),
            script_master_rx_lower_pri: run(&notify.lower_priority),
            vips: addresses(&configuration.virtual_addresses),
            evips: addresses(&configuration.excluded_addresses),
            track_ifp: trackers()
                .filter_map(|tracker| match tracker {
                    Tracker::Interface(name) => Some(name.as_str()),
                    _ => None,
                })
                .collect(),
            track_script: trackers()
                .filter_map(|tracker| match tracker {
                    Tracker::Script(name) => scripts.iter().find(|script| script.name == *name),
                    _ => None,
                })
                .map(|tracked| command(&tracked.script))
                .collect(),
            auth_type: match configuration.authentication {
                None => 0,
                Some(Authentication::Password(_)) => 1,
                Some(Authentication::Header(_)) => 2,
            },
            auth_data: configuration.authentication.as_ref().map(|_| SECRET),
        }
    }
}

#[derive(Serialize)]
struct Counted {
    advert_rcvd: u64,
    advert_sent: u64,
    become_master: u64,
    release_master: u64,
    packet_len_err: u64,
    advert_interval_err: u64,
    ip_ttl_err: u64,
    invalid_type_rcvd: u64,
    addr_list_err: u64,
    invalid_authtype: u64,
    authtype_mismatch: u64,
    auth_failure: u64,
    pri_zero_rcvd: u64,
    pri_zero_sent: u64,
}

impl Counted {
    fn of(counted: &Statistics) -> Counted {
        Counted {
            advert_rcvd: counted.advertisements_received,
            advert_sent: counted.advertisements_sent,
            become_master: counted.became_master,
            release_master: counted.released_master,
            packet_len_err: counted.rejected(RejectionKind::Length),
            advert_interval_err: counted.rejected(RejectionKind::Interval),
            ip_ttl_err: counted.rejected(RejectionKind::HopLimit),
            invalid_type_rcvd: counted.rejected(RejectionKind::Type),
            addr_list_err: counted.rejected(RejectionKind::AddressList),
            invalid_authtype: counted.rejected(RejectionKind::AuthenticationTypeInvalid),
            authtype_mismatch: counted.rejected(RejectionKind::AuthenticationTypeMismatch),
            auth_failure: counted.rejected(RejectionKind::AuthenticationFailure),
            pri_zero_rcvd: counted.priority_zero_received,
            pri_zero_sent: counted.priority_zero_sent,
        }
    }
}

/// keepalived's number of a state.
fn number(state: State) -> u8 {
    match state {
        State::Initialize => 0,
        State::Backup => 1,
        State::Master => 2,
        State::Fault => 3,
    }
}

/// Seconds to the microsecond, without a fraction where there is none. None of them is too
/// large for a number.
fn seconds(time: Duration) -> Option<Number> {
    const MICROSECONDS: f64 = 1e6;
    if time.subsec_micros() == 0 {
        return Some(Number::from(time.as_secs()));
    }
    // Exact as far as 285 years.
    #[allow(clippy::cast_precision_loss)]
    let microseconds = time.as_micros() as f64;
    Number::from_f64(microseconds / MICROSECONDS)
}

/// A command as keepalived quotes it.
fn command(script: &Script) -> String {
    let quoted: Vec<String> = script.command.iter().map(|w| format!("'{w}'")).collect();
    quoted.join(" ")
}

/// An address with the length of its prefix, unless that is the whole address.
fn with_prefix(address: IpAddr, length: u8) -> String {
    let whole = if address.is_ipv4() { 32 } else { 128 };
    if length == whole {
        address.to_string()
    } else {
        format!("{address}/{length}")
    }
}

/// A virtual address as keepalived shows it, on the interface that it lives on; `set` says whether
/// it is held.
fn address_line(address: &VirtualAddress, interface: &str, set: bool) -> String {
    let mut line = with_prefix(address.address, address.prefix_length);
    if let Some(broadcast) = address.broadcast {
        let _ = write!(line, " brd {broadcast}");
    }
    let _ = write!(line, " dev {interface} scope {}", scope(address.scope));
    if let Some(label) = &address.label {
        let _ = write!(line, " label {label}");
    }
    if let Some(peer) = address.peer {
        let _ = write!(line, " peer {peer}/{}", address.prefix_length);
    }
    for flag in &address.flags {
        let _ = write!(line, " {}", flag.keyword());
    }
    if !address.restore {
        line.push_str(" no_track");
    }
    if address.address.is_ipv6() {
        match address.preferred_lifetime {
            None => line.push_str(" preferred_lft forever"),
            Some(Duration::ZERO) => line.push_str(" deprecated"),
            Some(lifetime) => {
                let _ = write!(line, " preferred_lft {}", lifetime.as_secs());
            }
        }
    }
    if set {
        line.push_str(" set");
    }
    line
}

/// The name of a scope of rtnetlink(7).
fn scope(scope: u8) -> String {
    let name = match scope {
        0 => "global",
        200 => "site",
        253 => "link",
        254 => "host",
        255 => "nowhere",
        other => return other.to_string(),
    };
    name.to_owned()
}
