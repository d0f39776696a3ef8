//! What others are told when an instance or a sync group changes: a line for the pipes of
//! events, and scripts.
//!
//! Words, arguments and order are those of keepalived 2.2.7: a script for one state is run
//! with its own arguments, the one for all states is given
//! `INSTANCE|GROUP NAME STATE PRIORITY` behind them.

use super::State;
use crate::config::model::{NotifyScripts, VrrpInstance};
use crate::notification::{Mail, Notification};

/// A group has no priority; keepalived writes this.
const PRIORITY_OF_GROUPS: u8 = 0;

/// What they are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A state was entered.
    Entered(State),
    /// Everything ends.
    Stopped,
    /// The configuration does not have the instance any more.
    Deleted,
    /// The effective priority has changed, in this state.
    PriorityChanged(State),
    /// A master has heard a lower priority.
    HeardLowerPriority,
}

/// What is told of an instance with this effective priority, if anything.
pub(super) fn of_instance(
    instance: &VrrpInstance,
    occasion: Occasion,
    priority: u8,
) -> Option<Notification> {
    if matches!(occasion, Occasion::PriorityChanged(_)) && !instance.notify_priority_changes {
        return None;
    }
    let mut notification = of(
        "INSTANCE",
        &instance.name,
        &instance.notify,
        occasion,
        priority,
    )?;
    if instance.smtp_alert {
        notification.mail = mail(
            &format!("VRRP Instance {}", instance.name),
            occasion,
            |state| match state {
                State::Master => "VRRP Instance is now owning VRRP VIPs".to_owned(),
                _ => "VRRP Instance is no longer owning VRRP VIPs".to_owned(),
            },
        );
    }
    Some(notification)
}

/// What is mailed: `what` with what it has done, and `state_text` of the state that it has
/// entered.
fn mail(what: &str, occasion: Occasion, state_text: impl Fn(State) -> String) -> Option<Mail> {
    let (doing, text) = match occasion {
        Occasion::Entered(State::Initialize) => return None,
        Occasion::Entered(state) => (format!("Entering {state} state"), state_text(state)),
        Occasion::Stopped => ("Stopping".to_owned(), "VRRP Instance stopping".to_owned()),
        Occasion::Deleted => ("Deleted".to_owned(), "VRRP Deleted at reload".to_owned()),
        Occasion::PriorityChanged(_) | Occasion::HeardLowerPriority => return None,
    };
    Some(Mail {
        subject: format!("{what} - {doing}"),
        text: format!("=> {text} <="),
        about_fault: occasion == Occasion::Entered(State::Fault),
    })
}

/// What is told of a sync group, if anything.
pub(super) fn of_group(
    name: &str,
    scripts: &NotifyScripts,
    smtp_alert: bool,
    occasion: Occasion,
) -> Option<Notification> {
    let mut notification = of("GROUP", name, scripts, occasion, PRIORITY_OF_GROUPS)?;
    if smtp_alert {
        notification.mail = mail(&format!("VRRP Group {name}"), occasion, |state| {
            format!("All VRRP group instances are now in {state} state")
        });
    }
    Some(notification)
}

fn of(
    kind: &str,
    name: &str,
    scripts: &NotifyScripts,
    occasion: Occasion,
    priority: u8,
) -> Option<Notification> {
    let any = scripts.any.as_ref();
    let (word, one, any) = match occasion {
        Occasion::Entered(State::Master) => ("MASTER", scripts.master.as_ref(), any),
        Occasion::Entered(State::Backup) => ("BACKUP", scripts.backup.as_ref(), any),
        Occasion::Entered(State::Fault) => ("FAULT", scripts.fault.as_ref(), any),
        Occasion::Stopped => ("STOP", scripts.stop.as_ref(), any),
        Occasion::Deleted => match &scripts.deleted {
            Some(script) => ("DELETED", script.as_ref(), any),
            // Without the keyword it looks like a fault, but for the script of faults.
            None => ("FAULT", None, any),
        },
        Occasion::PriorityChanged(State::Master) => ("MASTER_PRIORITY", None, None),
        Occasion::PriorityChanged(State::Backup) => ("BACKUP_PRIORITY", None, None),
        Occasion::HeardLowerPriority => {
            ("MASTER_RX_LOWER_PRI", scripts.lower_priority.as_ref(), None)
        }
        Occasion::Entered(State::Initialize) | Occasion::PriorityChanged(_) => return None,
    };
    let any = any.map(|script| {
        let mut script = script.clone();
        let arguments = [kind, name, word].map(str::to_owned);
        script.command.extend(arguments);
        script.command.push(priority.to_string());
        script
    });
    Some(Notification {
        line: format!("{kind} \"{name}\" {word} {priority}"),
        scripts: one.cloned().into_iter().chain(any).collect(),
        mail: None,
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::model::{
        Pacing, RouterSettings, Script, Statics, SyncGroup, Trackers, VirtualAddress,
    };
    use crate::vrrp::{Effect, Input, InterfaceCondition, VirtualRouters};

    fn script(words: &str) -> Script {
        Script {
            command: words.split(' ').map(str::to_owned).collect(),
            user: None,
        }
    }

    fn instance(name: &str, id: u8) -> VrrpInstance {
        let mut instance = VrrpInstance::new(name, "e0", id);
        let address = Ipv4Addr::new(10, 9, 1, id).into();
        instance.virtual_addresses = vec![VirtualAddress::new(address, 32)];
        instance.notify = NotifyScripts {
            any: Some(script(&format!("inst{name}"))),
            fault: Some(script(&format!("fault{name}"))),
            stop: Some(script(&format!("stop{name}"))),
            ..NotifyScripts::default()
        };
        instance
    }

    struct Bench {
        routers: VirtualRouters,
        now: Instant,
    }

    impl Bench {
        fn handle(&mut self, input: Input<'_>) -> Vec<String> {
            self.routers.handle(self.now, input);
            self.told()
        }

        fn configure(&mut self, instances: &[VrrpInstance], group: &SyncGroup) -> Vec<String> {
            self.handle(Input::Configure {
                instances: instances.to_vec(),
                sync_groups: vec![group.clone()],
                statics: Statics::default(),
                trackers: Trackers::default(),
                pacing: Pacing::default(),
                settings: RouterSettings::default(),
                start_delay: Duration::ZERO,
                resume: Vec::new(),
            })
        }

        fn link(&mut self, up: bool) -> Vec<String> {
            let condition = InterfaceCondition {
                up,
                ipv4: Some(Ipv4Addr::new(10, 9, 0, 1)),
                ipv6_link_local: None,
                addresses: Vec::new(),
            };
            self.handle(Input::InterfaceChanged {
                interface: "e0".to_owned(),
                condition: Some(condition),
            })
        }

        fn pass(&mut self, time: Duration) -> Vec<String> {
            let end = self.now + time;
            while let Some(at) = self.routers.poll_timeout().filter(|at| *at <= end) {
                self.now = at;
                self.routers.handle_timeout(at);
            }
            self.now = end;
            self.told()
        }

        /// The lines, each with the scripts that are run with it.
        fn told(&mut self) -> Vec<String> {
            let mut told = Vec::new();
            while let Some(effect) = self.routers.poll_effect() {
                if let Effect::Notify(Notification { line, scripts, .. }) = effect {
                    let commands: Vec<String> =
                        scripts.iter().map(|s| s.command.join(" ")).collect();
                    told.push(format!("{line}: {}", commands.join(", ")));
                }
            }
            told
        }
    }

    /// The lines and calls of keepalived 2.2.7 for the same file and the same events.
    #[test]
    fn notifications_are_those_of_keepalived_in_its_order() {
        let (a, b, mut c, d) = (
            instance("A", 1),
            instance("B", 2),
            instance("C", 3),
            instance("D", 4),
        );
        c.notify.deleted = Some(Some(script("delC")));
        let group = SyncGroup {
            weights: false,
            smtp_alert: false,
            name: "G1".to_owned(),
            members: vec!["A".to_owned(), "B".to_owned()],
            notify: NotifyScripts {
                any: Some(script("group")),
                master: Some(script("gmaster x")),
                ..NotifyScripts::default()
            },
        };
        let mut bench = Bench {
            routers: VirtualRouters::new(),
            now: Instant::now(),
        };
        bench.link(true);
        let both = [a, b];
        let all: Vec<VrrpInstance> = both.iter().cloned().chain([c, d]).collect();
        assert_eq!(
            bench.configure(&all, &group),
            [
                "GROUP \"G1\" BACKUP 0: group GROUP G1 BACKUP 0",
                "INSTANCE \"A\" BACKUP 100: instA INSTANCE A BACKUP 100",
                "INSTANCE \"B\" BACKUP 100: instB INSTANCE B BACKUP 100",
                "INSTANCE \"C\" BACKUP 100: instC INSTANCE C BACKUP 100",
                "INSTANCE \"D\" BACKUP 100: instD INSTANCE D BACKUP 100",
            ]
        );
        let masters = bench.pass(Duration::from_secs(5));
        let of_group = |line: &&String| !line.contains("\"C\"") && !line.contains("\"D\"");
        assert_eq!(
            masters.iter().filter(of_group).collect::<Vec<_>>(),
            [
                "INSTANCE \"B\" MASTER 100: instB INSTANCE B MASTER 100",
                "INSTANCE \"A\" MASTER 100: instA INSTANCE A MASTER 100",
                "GROUP \"G1\" MASTER 0: gmaster x, group GROUP G1 MASTER 0",
            ]
        );
        assert_eq!(masters.len(), 5, "{masters:?}");
        assert_eq!(
            bench.link(false),
            [
                "INSTANCE \"A\" FAULT 100: faultA, instA INSTANCE A FAULT 100",
                "INSTANCE \"B\" FAULT 100: faultB, instB INSTANCE B FAULT 100",
                "GROUP \"G1\" FAULT 0: group GROUP G1 FAULT 0",
                "INSTANCE \"C\" FAULT 100: faultC, instC INSTANCE C FAULT 100",
                "INSTANCE \"D\" FAULT 100: faultD, instD INSTANCE D FAULT 100",
            ]
        );
        assert_eq!(
            bench.link(true),
            [
                "INSTANCE \"B\" BACKUP 100: instB INSTANCE B BACKUP 100",
                "INSTANCE \"A\" BACKUP 100: instA INSTANCE A BACKUP 100",
                "GROUP \"G1\" BACKUP 0: group GROUP G1 BACKUP 0",
                "INSTANCE \"C\" BACKUP 100: instC INSTANCE C BACKUP 100",
                "INSTANCE \"D\" BACKUP 100: instD INSTANCE D BACKUP 100",
            ]
        );
        bench.pass(Duration::from_secs(5));
        assert_eq!(
            bench.configure(&both, &group),
            [
                "INSTANCE \"C\" DELETED 100: delC, instC INSTANCE C DELETED 100",
                "INSTANCE \"D\" FAULT 100: instD INSTANCE D FAULT 100",
            ]
        );
        assert_eq!(
            bench.handle(Input::Shutdown),
            [
                "INSTANCE \"A\" STOP 100: stopA, instA INSTANCE A STOP 100",
                "INSTANCE \"B\" STOP 100: stopB, instB INSTANCE B STOP 100",
                "GROUP \"G1\" STOP 0: group GROUP G1 STOP 0",
            ]
        );
    }
}
