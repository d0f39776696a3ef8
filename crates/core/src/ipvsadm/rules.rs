//! Which options go together: with a command, with a tunnel type, with each other.

use super::options::{CommandName, OptionName};

/// The options that a command line has given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Given(u64);

impl Given {
    /// Adds an option; false if it was there.
    pub(super) fn add(&mut self, option: OptionName) -> bool {
        let before = self.0;
        self.0 |= 1 << option as u64;
        before != self.0
    }

    pub(super) fn has(self, option: OptionName) -> bool {
        self.0 & (1 << option as u64) != 0
    }

    pub(super) fn has_any(self, options: &[OptionName]) -> bool {
        options.iter().any(|option| self.has(*option))
    }
}

/// Whether something takes an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acceptance {
    Required,
    Optional,
    /// At most one of all the options marked so.
    Exclusive,
    Illegal,
}

/// The options that a command or a tunnel type takes; every other one is illegal.
struct Accepts {
    required: &'static [OptionName],
    optional: &'static [OptionName],
    exclusive: &'static [OptionName],
}

impl Accepts {
    fn acceptance(&self, option: OptionName) -> Acceptance {
        if self.required.contains(&option) {
            Acceptance::Required
        } else if self.optional.contains(&option) {
            Acceptance::Optional
        } else if self.exclusive.contains(&option) {
            Acceptance::Exclusive
        } else {
            Acceptance::Illegal
        }
    }

    /// Holds `given` against the rules for `options`, in their order. `whose` is the end of
    /// the message, such as "the 'list' command". Gives the message about the first breach.
    fn check(&self, options: &[OptionName], given: Given, whose: &str) -> Result<(), String> {
        let mut exclusive: Option<OptionName> = None;
        for &option in options {
            let name = option.as_str();
            match (self.acceptance(option), given.has(option)) {
                (Acceptance::Required, false) => {
                    return Err(format!(
                        "You need to supply the '{name}' option for {whose}"
                    ));
                }
                (Acceptance::Illegal, true) => {
                    return Err(format!("Illegal '{name}' option with {whose}"));
                }
                (Acceptance::Exclusive, true) => match exclusive {
                    None => exclusive = Some(option),
                    Some(other) => {
                        return Err(format!(
                            "The option '{name}' conflicts with the '{}' option in {whose}",
                            other.as_str()
                        ));
                    }
                },
                _ => {}
            }
        }
        Ok(())
    }
}

impl CommandName {
    /// The name in messages.
    fn as_str(self) -> &'static str {
        match self {
            CommandName::AddService => "add-service",
            CommandName::EditService => "edit-service",
            CommandName::DeleteService => "delete-service",
            CommandName::Flush => "flush",
            CommandName::List => "list",
            CommandName::AddServer => "add-server",
            CommandName::DeleteServer => "delete-server",
            CommandName::EditServer => "edit-server",
            CommandName::Set => "set",
            CommandName::StartDaemon => "start-daemon",
            CommandName::StopDaemon => "stop-daemon",
            CommandName::Restore => "restore",
            CommandName::Save => "save",
            CommandName::Zero => "zero",
        }
    }

    fn accepts(self) -> Accepts {
        use OptionName::*;
        let (required, optional, exclusive): (&[_], &[_], &[_]) = match self {
            CommandName::AddService | CommandName::EditService => (
                &[ServiceAddress],
                &[
                    Scheduler,
                    Persistent,
                    Netmask,
                    OnePacket,
                    PersistenceEngine,
                    SchedulerFlags,
                ],
                &[],
            ),
            CommandName::DeleteService => (&[ServiceAddress], &[], &[]),
            CommandName::AddServer | CommandName::EditServer => (
                &[ServiceAddress, RealServer],
                &[
                    ForwardingMethod,
                    Weight,
                    UpperThreshold,
                    LowerThreshold,
                    TunnelType,
                    TunnelPort,
                    TunnelNoChecksum,
                    TunnelChecksum,
                    TunnelRemoteChecksum,
                ],
                &[],
            ),
            CommandName::DeleteServer => (&[ServiceAddress, RealServer], &[], &[]),
            CommandName::List => (
                &[],
                &[
                    Numeric,
                    Stats,
                    Rate,
                    Thresholds,
                    PersistentConnections,
                    NoSort,
                    SyncId,
                    Exact,
                    TunnelInfo,
                ],
                &[Connection, ServiceAddress, Timeout, Daemon],
            ),
            CommandName::StartDaemon => (
                &[],
                &[
                    MulticastInterface,
                    SyncId,
                    MulticastGroup,
                    MulticastPort,
                    MulticastTtl,
                    SyncMaxLength,
                ],
                &[],
            ),
            CommandName::StopDaemon => (&[], &[SyncId], &[]),
            CommandName::Save => (&[], &[Numeric], &[]),
            CommandName::Zero => (&[], &[ServiceAddress], &[]),
            CommandName::Flush | CommandName::Set | CommandName::Restore => (&[], &[], &[]),
        };
        Accepts {
            required,
            optional,
            exclusive,
        }
    }

    /// Whether the command goes with the options; if not, the message that says so.
    pub(super) fn check(self, given: Given) -> Result<(), String> {
        let options = OptionName::ALL.map(|(option, _)| option);
        let whose = format!("the '{}' command", self.as_str());
        self.accepts().check(&options, given, &whose)
    }
}

/// A kind of tunnel as `--tun-type` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TunnelType {
    #[default]
    Ipip,
    Gue,
    Gre,
}

impl TunnelType {
    pub(super) const ALL: [(TunnelType, &'static str); 3] = [
        (TunnelType::Ipip, "ipip"),
        (TunnelType::Gue, "gue"),
        (TunnelType::Gre, "gre"),
    ];

    pub(super) fn from_name(name: &str) -> Option<TunnelType> {
        let (tunnel_type, _) = Self::ALL.into_iter().find(|(_, n)| *n == name)?;
        Some(tunnel_type)
    }

    /// Whether the tunnel type goes with the tunnel options; if not, the message that says so.
    pub(super) fn check(self, given: Given) -> Result<(), String> {
        use OptionName::*;
        const CHECKSUMS: &[OptionName] = &[TunnelNoChecksum, TunnelChecksum, TunnelRemoteChecksum];
        let (required, exclusive): (&[_], &[_]) = match self {
            Self::Ipip => (&[], &[]),
            Self::Gue => (&[TunnelPort], CHECKSUMS),
            Self::Gre => (&[], &[TunnelNoChecksum, TunnelChecksum]),
        };
        let options = [
            TunnelPort,
            TunnelNoChecksum,
            TunnelChecksum,
            TunnelRemoteChecksum,
        ];
        let whose = format!("the '{}' tunnel type", Self::ALL[self as usize].1);
        Accepts {
            required,
            optional: &[],
            exclusive,
        }
        .check(&options, given, &whose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnel_types_stand_in_their_order() {
        for (position, (tunnel_type, _)) in TunnelType::ALL.iter().enumerate() {
            assert_eq!(*tunnel_type as usize, position);
        }
    }
}
