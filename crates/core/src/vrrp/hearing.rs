//! What an instance makes of an advertisement that it hears.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::State;
use super::advertisement::{Advertisement, PRIORITY_OWNER, PRIORITY_STOP};
use super::effect::{Effect, Event};
use super::instance::Instance;
use super::notification::Occasion;
use super::receipt::{Known, Packet, Rejection, verify};
use super::timers::skew_time;

/// A rejection of one kind is reported at most this often.
const REJECTION_QUIET: Duration = Duration::from_secs(60);

/// What a received advertisement means beyond the instance itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing.
    Nothing,
    /// This master has answered a lower priority; its group announces too.
    Answered,
    /// This master must give way.
    Superior,
}

impl Instance {
    /// Hears a packet that carries the VRID of this instance.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        packet: Packet<'_>,
        effects: &mut VecDeque<Effect>,
    ) -> Heard {
        if !matches!(self.state, State::Backup | State::Master) {
            return Heard::Nothing;
        }
        if self.configuration.deaf_as_owner && self.is_owner() {
            return Heard::Nothing;
        }
        let was_old = self.sums_as_of_group;
        let known = Known {
            master: self.known_master,
            sequence: &mut self.sequence,
            sums_as_of_group: &mut self.sums_as_of_group,
            trailers: &mut self.trailers,
        };
        let verified = verify(&self.configuration, packet, known);
        if self.sums_as_of_group != was_old {
            self.report(effects, Event::OldChecksumLearnt);
        }
        let advertisement = match verified {
            Ok(advertisement) => advertisement,
            Err(rejection) => {
                self.reject(now, rejection, effects);
                return Heard::Nothing;
            }
        };
        self.known_master = Some(packet.source);
        self.statistics.advertisements_received += 1;
        if advertisement.priority == PRIORITY_STOP {
            self.statistics.priority_zero_received += 1;
        }
        match self.state {
            State::Master => self.receive_as_master(now, packet.source, &advertisement, effects),
            _ => {
                self.receive_as_backup(now, packet.source, &advertisement, effects);
                Heard::Nothing
            }
        }
    }

    fn reject(&mut self, now: Instant, rejection: Rejection, effects: &mut VecDeque<Effect>) {
        let kind = rejection.kind();
        *self.statistics.rejected.entry(kind).or_default() += 1;
        let quiet = self
            .reported
            .get(&kind)
            .is_some_and(|at| now < *at + REJECTION_QUIET);
        if !quiet {
            self.reported.insert(kind, now);
            self.report(effects, Event::Rejected(rejection));
        }
    }

    /// RFC 3768 and RFC 9568, section 6.4.2.
    fn receive_as_backup(
        &mut self,
        now: Instant,
        source: IpAddr,
        advertisement: &Advertisement,
        effects: &mut VecDeque<Effect>,
    ) {
        let priority = advertisement.priority;
        self.master_priority = priority;
        if priority == PRIORITY_STOP {
            // 9568-6.4.2-h, 3768-6.4.2-f: "Set the Master_Down_Timer to Skew_Time".
            self.report(effects, Event::BackupReceivedPriorityZero);
            let skew = skew_time(
                self.configuration.version,
                self.priority,
                self.master_interval,
            );
            self.wait_for_master(now, skew);
        } else if !self.configuration.preempt
            || priority >= self.priority
            || self.is_preemption_delayed(now, effects)
        {
            // 9568-6.4.2-i, 3768-6.4.2-g: "If Preempt_Mode is False, or If the Priority in the ADVERTISEMENT is greater than
            // or equal to the local Priority, then": "Reset the Master_Down_Timer to
            // Master_Down_Interval".
            if priority >= self.priority && self.preempt_at.take().is_some() {
                self.report(effects, Event::PreemptDelayStopped);
            }
            self.learn_interval(advertisement.interval, effects);
            self.wants_master = false;
            self.restart_down_timer(now);
        } else {
            // 9568-6.4.2-j, 3768-6.4.2-h: "Discard the ADVERTISEMENT".
            self.report(effects, Event::LowerPriorityDiscarded { priority, source });
        }
    }

    /// Whether a master of lower priority is left alone for now. Its first
    /// advertisement starts the delay.
    fn is_preemption_delayed(&mut self, now: Instant, effects: &mut VecDeque<Effect>) -> bool {
        let delay = self.configuration.preempt_delay;
        if delay.is_zero() {
            return false;
        }
        let end = match self.preempt_at {
            Some(end) => end,
            None => {
                self.report(effects, Event::PreemptDelayStarted(delay));
                *self.preempt_at.insert(now + delay)
            }
        };
        now < end
    }

    /// RFC 3768 and RFC 9568, section 6.4.3.
    fn receive_as_master(
        &mut self,
        now: Instant,
        source: IpAddr,
        advertisement: &Advertisement,
        effects: &mut VecDeque<Effect>,
    ) -> Heard {
        let priority = advertisement.priority;
        if priority == PRIORITY_STOP {
            // 9568-6.4.3-j, 3768-6.4.3-f: "Send an ADVERTISEMENT", "Reset the Adver_Timer to Advertisement_Interval".
            self.advertise(now, effects);
            self.report(effects, Event::MasterReceivedPriorityZero);
            return Heard::Nothing;
        }
        // 9568-7.1-j, 9568-8.3.2-a, 9568-8.3.2-b: a second owner of the addresses "SHOULD be logged".
        if priority == PRIORITY_OWNER && self.is_owner() && Some(source) != self.source {
            self.yield_ownership(effects);
        }
        let ours = self.priority;
        // 9568-6.4.3-k, 3768-6.4.3-g: "or If the Priority in the ADVERTISEMENT is equal to the local Priority and the primary
        // IP Address of the sender is greater than the local primary IP Address".
        match priority.cmp(&ours).then(Some(source).cmp(&self.source)) {
            Ordering::Less => {
                self.report(
                    effects,
                    Event::LowerPriorityAnswered {
                        priority,
                        source,
                        ours,
                    },
                );
                self.notify(Occasion::HeardLowerPriority, effects);
                // 9568-6.4.3-l: "Send an ADVERTISEMENT immediately to assert the {Active}
                // state to the sending VRRP Router".
                if self.configuration.answer_lower_priority {
                    self.advertise(now, effects);
                }
                self.announce_after_conflict(now, effects);
                Heard::Answered
            }
            Ordering::Equal => {
                self.report(effects, Event::OwnAddress);
                Heard::Nothing
            }
            Ordering::Greater => {
                self.report(
                    effects,
                    if priority > ours {
                        Event::HigherPriority {
                            priority,
                            source,
                            ours,
                        }
                    } else {
                        Event::SamePriorityHigherAddress { priority, source }
                    },
                );
                if self.configuration.advertise_before_yielding {
                    self.advertise(now, effects);
                }
                // "Cancel Adver_Timer", "Set Master_Down_Timer to Master_Down_Interval",
                // "Transition to the {Backup} state".
                self.learn_interval(advertisement.interval, effects);
                Heard::Superior
            }
        }
    }

    /// Two routers that both own the addresses would both stay master for ever:
    /// keepalived lowers its own priority by one.
    fn yield_ownership(&mut self, effects: &mut VecDeque<Effect>) {
        self.report(effects, Event::SecondOwner);
        self.base_priority = PRIORITY_OWNER - 1;
        self.priority = PRIORITY_OWNER - 1;
    }

    /// 9568-6.4.2-k: "Set Active_Adver_Interval to Max Advertise Interval contained in
    /// the ADVERTISEMENT"; version 2 has verified that it is ours. That it is another one is
    /// logged (9568-7.1-k).
    fn learn_interval(&mut self, interval: Duration, effects: &mut VecDeque<Effect>) {
        if self.master_interval != interval {
            self.report(
                effects,
                Event::IntervalLearnt {
                    from: self.master_interval.as_millis(),
                    to: interval.as_millis(),
                },
            );
            self.master_interval = interval;
        }
    }
}
