//! The command line of `elver`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use elver_core::lb::RealServerPattern;

use crate::director::Hook;
use crate::instance::Instance;
use crate::log::Log;
use crate::real_server;

/// The environment variable that names the instance where no option does.
pub(crate) const INSTANCE: &str = "ELVER_INSTANCE";
/// The instance where neither does.
pub(crate) const DEFAULT_INSTANCE: &str = "default";
/// The configuration that keepalived would read.
pub(crate) const DEFAULT_FILE: &str = "/etc/keepalived/keepalived.conf";

/// The Linux Virtual Server in Rust and eBPF: director, health checks, VRRP, ipvsadm.
#[derive(Debug, Parser)]
#[command(name = "elver", version, after_help = EXIT_CODES)]
pub(crate) struct CommandLine {
    /// Which of several directors on this host: letters, digits, - and _
    #[arg(
        long,
        global = true,
        env = INSTANCE,
        default_value = DEFAULT_INSTANCE,
        value_name = "NAME"
    )]
    pub(crate) instance: Instance,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
   1  another error of the system     11  a permission is missing
   2  the command line                12  the kernel lacks something
   3  configuration: cannot be read   13  the instance runs already
   4  configuration: cannot run       14  a keepalived runs beside it
   5  check, migrate: with doubts     15  the kernel's own IPVS has services
  10  an interface does not exist     16  the instance does not run
                                      17  another version left its tables";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a director in the foreground
    Run {
        /// The configuration file [default: /etc/keepalived/keepalived.conf, if it is there;
        /// without one the director is ruled by ipvsadm alone]
        #[arg(short, long)]
        file: Option<PathBuf>,
        /// The name that lines with @NAME hold for [default: the host name's first part]
        #[arg(short = 'i', long, value_name = "ID")]
        config_id: Option<String>,
        /// Where packets are met
        #[arg(long, value_enum, default_value_t = Hook::Auto)]
        hook: Hook,
        /// What that file cannot say: table sizes, settings of IPVS, marks, lists of access
        /// [default: /etc/elver/elver.toml, if it is there]
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// Have as real servers the containers of this host's Docker engine whose labels ask for
        /// that, like `elver.vip=192.0.2.10:80` and `elver.port=8080`; which virtual addresses
        /// they may claim is in that file, under [discovery.docker]
        #[arg(long)]
        docker: bool,
    },
    /// Read the configuration files and say what is wrong with them, and which rules of
    /// netfilter in this network namespace will not hold for virtual services
    Check {
        /// The configuration file
        #[arg(default_value = DEFAULT_FILE)]
        file: PathBuf,
        /// What that file cannot say
        /// [default: /etc/elver/elver.toml, if it is there]
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// Say in words what would run, and how soon it reacts
        #[arg(long)]
        explain: bool,
        /// Print what is in force, with every default, without passwords
        #[arg(long, value_enum, value_name = "FORM", conflicts_with = "explain")]
        dump: Option<DumpForm>,
        /// The configuration file of the other director: say what keeps the two from being a
        /// pair, such as the same priority
        #[arg(long, value_name = "FILE")]
        peer: Option<PathBuf>,
        /// The name that lines with @NAME hold for in the other director's file
        #[arg(long, value_name = "ID", requires = "peer")]
        peer_config_id: Option<String>,
        /// Print what there is to say as JSON
        #[arg(long, conflicts_with_all = ["explain", "dump"])]
        json: bool,
        /// The name that lines with @NAME hold for [default: the host name's first part]
        #[arg(short = 'i', long, value_name = "ID")]
        config_id: Option<String>,
    },
    /// Talk to a running director
    Ctl {
        #[command(subcommand)]
        request: Ctl,
    },
    /// List and change virtual services, as ipvsadm does
    #[command(disable_help_flag = true)]
    Ipvsadm {
        /// The arguments of ipvsadm(8)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Print all virtual services as commands of ipvsadm
    #[command(disable_help_flag = true)]
    IpvsadmSave {
        /// The arguments of ipvsadm-save(8)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Replace all virtual services by those of ipvsadm-save
    #[command(disable_help_flag = true)]
    IpvsadmRestore {
        /// The arguments of ipvsadm-restore(8)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Test a configuration or run, with the options of keepalived
    #[command(disable_help_flag = true)]
    Keepalived {
        /// The arguments of keepalived(8)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Print the digest of a page, for `digest` of HTTP_GET and SSL_GET
    #[command(disable_help_flag = true)]
    Genhash {
        /// The arguments of genhash(1)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Show what it would mean to put elver in the place of the keepalived that runs here, and
    /// of what the kernel's IPVS has; or do it
    ///
    /// keepalived is stopped and the kernel's table cleared, elver is started with keepalived's
    /// options, and goes on with the services that operators made by ipvsadm and with the open
    /// connections. If that fails, all is put back as it was. Without --apply nothing is changed,
    /// and the exit code is 5 if something will be different.
    Migrate {
        /// The configuration file [default: the one that keepalived runs with]
        #[arg(short, long)]
        file: Option<PathBuf>,
        /// Do it
        #[arg(long)]
        apply: bool,
        /// How long elver may take to start, before keepalived is started again
        #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "apply")]
        within: u64,
    },
    /// Remove what an instance that does not run has left in the kernel
    Unload,
    /// Make this host a real server for direct routing and tunnels, in the foreground
    ///
    /// Packets of the directors are taken out of tunnels (ipip, gre, gue), the virtual
    /// addresses are put on the loopback device, and nobody hears of them by ARP or neighbour
    /// discovery. When it ends, everything is as it was.
    RealServer {
        #[command(flatten)]
        sources: real_server::Sources,
        #[command(subcommand)]
        command: Option<RealServerCommand>,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder
        folder: PathBuf,
    },
    /// Print what completes command lines in a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
        /// Whose command lines
        #[arg(value_enum, default_value_t = Completed::Elver)]
        program: Completed,
    },
    /// Show a director at work in a network of namespaces made for it, or try a configuration out
    ///
    /// With -f the network is the one that the file speaks of: its interfaces, virtual addresses
    /// and real servers, with somebody who listens at every port and satisfies every check. The
    /// director runs on the file, a client connects to every service, and what answered is
    /// printed. The exit code is 0 only if every service answered. Scripts of the file are not
    /// run.
    #[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
    Lab {
        #[command(flatten)]
        rehearsal: Rehearsal,
        #[command(subcommand)]
        lab: Option<Lab>,
    },
    /// A part of a running director; started by it alone
    #[command(hide = true)]
    Process {
        #[command(subcommand)]
        part: Part,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RealServerCommand {
    /// Say what keeps this host from being a real server, also one that was set up by hand, and
    /// what to do about it
    Check,
    /// Print what became of packets
    Status,
    /// Remove what a real server that does not run has left
    Unload,
}

/// A program whose command lines can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Completed {
    /// elver itself
    Elver,
    /// ipvsadm
    Ipvsadm,
    /// keepalived
    Keepalived,
}

/// How the configuration in force is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DumpForm {
    /// As a keepalived.conf
    Conf,
    /// As JSON
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ctl {
    /// Show VRRP instances, checks, processes and devices
    Status,
    /// Print metrics in the text format of Prometheus; of the packets and tables without a
    /// director as well
    Metrics,
    /// Read the configuration file again
    Reload,
    /// Let the program that is installed now take the place of the running director
    ///
    /// Connections go on, and so does VRRP: no address leaves its interface.
    Upgrade,
    /// Let a real server have no more new connections, and wait until it has none left
    ///
    /// Its weight is 0 in every service until it is undrained. Clients that persistence binds
    /// to it still come to it, unless `expire_quiescent_template` is set. Without `--no-wait`
    /// the number of connections that are left is shown, and the command ends when none is,
    /// or at the deadline.
    Drain {
        /// Its address, or address and port
        #[arg(value_name = "RIP[:PORT]")]
        which: RealServerPattern,
        /// Take it out after this time, with the connections that it has left then
        #[arg(long, value_name = "SECONDS")]
        deadline: Option<u64>,
        /// Do not wait
        #[arg(long)]
        no_wait: bool,
    },
    /// Let a real server that was drained serve again
    Undrain {
        /// As it was drained
        #[arg(value_name = "RIP[:PORT]")]
        which: RealServerPattern,
    },
    /// Show what a reload would change, in the order in which it would, if this were the
    /// configuration file
    Diff {
        /// The configuration file
        #[arg(default_value = DEFAULT_FILE)]
        file: PathBuf,
    },
}

/// A configuration that is tried out.
#[derive(Debug, Args)]
pub(crate) struct Rehearsal {
    /// The configuration file to try out
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The name that lines with @NAME hold for [default: the host name's first part]
    #[arg(short = 'i', long, value_name = "ID", requires = "file")]
    pub(crate) config_id: Option<String>,
    /// End after the report, instead of staying up until interrupted
    #[arg(long, requires = "file")]
    pub(crate) once: bool,
    /// Print the report as JSON
    #[arg(long, requires = "file")]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lab {
    /// NAT: a client, a director with two VRRP instances, a real server
    Nat {
        /// End after the last step, instead of staying up until interrupted
        #[arg(long)]
        once: bool,
    },
    /// TUN: a client, a director and three real servers in one network
    Tun {
        /// End after the last step, instead of staying up until interrupted
        #[arg(long)]
        once: bool,
    },
    /// DR: the same network, and what ARP does to it
    Dr {
        /// End after the last step, instead of staying up until interrupted
        #[arg(long)]
        once: bool,
    },
    /// Containers: a real server with a Docker engine, behind a director by TUN
    Docker {
        /// End after the last step, instead of staying up until interrupted
        #[arg(long)]
        once: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// Hold virtual addresses
    Vrrp {
        /// Where it logs, as JSON [default: standard error]
        #[arg(long)]
        log: Option<Log>,
    },
    /// Check real servers
    Check,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn ipvsadm_gets_its_arguments_as_they_are() {
        let line = CommandLine::parse_from(["elver", "ipvsadm", "-L", "-n", "--help"]);
        match line.command {
            Command::Ipvsadm { arguments } => assert_eq!(arguments, ["-L", "-n", "--help"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_instance_may_stand_on_either_side_of_the_command() {
        for line in [
            ["elver", "--instance", "one", "unload"],
            ["elver", "unload", "--instance", "one"],
        ] {
            assert_eq!(CommandLine::parse_from(line).instance.name(), "one");
        }
        assert!(CommandLine::try_parse_from(["elver", "--instance", "a/b", "unload"]).is_err());
    }
}
