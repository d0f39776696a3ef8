//! What completes command lines in shells: of elver from its command line, of ipvsadm
//! and keepalived from their tables of options.

use std::io::{self, Write};

use clap::{Arg, ArgAction, CommandFactory};
use clap_complete::Shell;
use elver_core::ipvsadm;

use crate::command_line::{CommandLine, Completed};
use crate::failure::Failure;
use crate::keepalived;

/// Prints the script for a shell.
pub(crate) fn write(shell: Shell, program: Completed) -> Result<(), Failure> {
    let written = io::stdout().write_all(&script(shell, program));
    written.map_err(Failure::system("output"))
}

fn script(shell: Shell, program: Completed) -> Vec<u8> {
    let (name, mut command) = match program {
        Completed::Elver => ("elver", CommandLine::command()),
        Completed::Ipvsadm => ("ipvsadm", ipvsadm()),
        Completed::Keepalived => ("keepalived", keepalived::command()),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// The options of ipvsadm as clap would have them; it never reads a command line.
fn ipvsadm() -> clap::Command {
    let options = ipvsadm::options().into_iter().map(|option| {
        let action = match option.takes_argument {
            true => ArgAction::Set,
            false => ArgAction::SetTrue,
        };
        let mut shorts = option.shorts.iter();
        let mut argument = Arg::new(option.long)
            .long(option.long)
            .help(option.explanation)
            .action(action);
        if let Some(short) = shorts.next() {
            argument = argument.short(*short);
        }
        argument.visible_short_aliases(shorts.copied().collect::<Vec<_>>())
    });
    clap::Command::new("ipvsadm")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_ipvsadm_is_completed() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell, Completed::Ipvsadm)).expect("text");
            for option in ipvsadm::options() {
                assert!(script.contains(option.long), "{shell}: --{}", option.long);
            }
        }
        let bash = String::from_utf8(script(Shell::Bash, Completed::Ipvsadm)).expect("text");
        assert!(bash.contains(" -a ") && bash.contains(" -l "), "{bash}");
    }

    #[test]
    fn the_options_of_keepalived_are_completed() {
        let bash = String::from_utf8(script(Shell::Bash, Completed::Keepalived)).expect("text");
        for word in ["--dont-fork", "--config-test", "-f"] {
            assert!(bash.contains(word), "{word}");
        }
    }

    #[test]
    fn the_commands_of_elver_are_completed() {
        let bash = String::from_utf8(script(Shell::Bash, Completed::Elver)).expect("text");
        for word in ["ctl", "metrics", "--settings"] {
            assert!(bash.contains(word), "{word}");
        }
    }
}
