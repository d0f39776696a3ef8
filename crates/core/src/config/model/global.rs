//! `global_defs`, and what stands outside of every block.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    AutomaticPriority, AwaitedScript, DumpFiles, FlushOnStop, Nftables, NotifyFifo,
    ProcessSettings, Reloading, RouterSettings,
};
use crate::service::Timeouts;

/// A network namespace in which packets are forwarded, while all else runs in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardingNamespace {
    /// The one in which the system was started.
    OfTheSystem,
    /// That of this name below `/run/netns`.
    Named(String),
}

/// `global_defs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Global {
    /// Name of this director in mails and logs.
    pub router_id: Option<String>,
    /// Who gets mail.
    pub notification_email: Vec<String>,
    /// Whom mail is from.
    pub notification_email_from: Option<String>,
    /// The mail server as written, with its port.
    pub smtp_server: Option<(String, u16)>,
    /// How long a mail connection may take to be made.
    pub smtp_connect_timeout: Option<Duration>,
    /// How the vrrp process runs.
    pub vrrp_process: ProcessSettings,
    /// How the check process runs.
    pub check_process: ProcessSettings,
    /// What the file says of a process for BFD; the vrrp process, which does its work, runs like
    /// this where it has no settings of its own.
    pub bfd_process: ProcessSettings,
    /// `process_name`: the director's own name in the kernel's list.
    pub process_name: Option<String>,
    /// What follows when a process comes too late.
    pub automatic_priority: AutomaticPriority,
    /// `net_namespace`: the network namespace that everything runs in.
    pub network_namespace: Option<String>,
    /// `net_namespace_ipvs`: the one that packets are forwarded in, where that is another.
    pub forwarding_namespace: Option<ForwardingNamespace>,
    /// `instance`: the name of the director among others.
    pub instance: Option<String>,
    /// `dynamic_interfaces`: interfaces need not be there.
    pub dynamic_interfaces: bool,
    /// What concerns all virtual routers together.
    pub routers: RouterSettings,
    /// `vmac_addr_prefix`: what the names of devices of single addresses begin with.
    pub address_mac_prefix: Option<String>,
    /// `set_supplementary_groups`: scripts have all groups of their user.
    pub supplementary_groups: bool,
    /// When the file is read again by itself, and who is told that it is being read.
    pub reloading: Reloading,
    /// `config_save_dir`: where a copy of every configuration that comes into force is kept.
    pub copies: Option<String>,
    /// What this host calls itself to the mail server; its own name without one.
    pub smtp_helo_name: Option<String>,
    /// `no_email_faults`: faults are not mailed.
    pub no_mail_of_faults: bool,
    /// `enable_script_security`: what others than root could change does not run as root.
    pub script_security: bool,
    /// `notify_fifo`: all events.
    pub notify_fifo: Option<NotifyFifo>,
    /// `vrrp_notify_fifo`: those of VRRP.
    pub vrrp_notify_fifo: Option<NotifyFifo>,
    /// `lvs_notify_fifo`: those of virtual and real servers.
    pub lvs_notify_fifo: Option<NotifyFifo>,
    /// `vrrp_startup_delay`: time from the start of the director to that of VRRP.
    pub startup_delay: Duration,
    /// `vrrp_delay_after_boot`: time from the start of the host to that of VRRP.
    pub delay_after_boot: Duration,
    /// `lvs_timeouts`: how long idle connections stay; those of zero are left as they are.
    pub timeouts: Option<Timeouts>,
    /// `nftables`, `nftables_…`: how rules of netfilter are made.
    pub nftables: Nftables,
    /// `startup_script`: run before anything else begins.
    pub startup: Option<AwaitedScript>,
    /// `shutdown_script`: run after everything has ended.
    pub shutdown: Option<AwaitedScript>,
    /// `child_wait_time`: how long processes may take to leave.
    pub patience: Duration,
    /// `lvs_flush`: services that are there at the start, and not of the configuration, go.
    pub flush: bool,
    /// `lvs_flush_on_stop`.
    pub flush_on_stop: FlushOnStop,
    /// `state_dump_file`, `stats_dump_file`, `json_dump_file`.
    pub dump_files: DumpFiles,
    /// `data_use_instance`: the name of the instance is in those of these files.
    pub dumps_by_instance: bool,
    /// `umask`: the permissions that files of scripts do not get; without it, as the director
    /// was started.
    pub umask: Option<u16>,
    /// `no_checker_emails`: a single check of several is not mailed about, only what becomes
    /// of its real server.
    pub mail_of_real_servers_only: bool,
    /// `rs_init_notifies`: it is told of real servers that are up at the start.
    pub notify_at_start: bool,
}

impl Default for Global {
    fn default() -> Global {
        Global {
            router_id: None,
            notification_email: Vec::new(),
            notification_email_from: None,
            smtp_server: None,
            smtp_connect_timeout: None,
            vrrp_process: ProcessSettings::default(),
            check_process: ProcessSettings::default(),
            bfd_process: ProcessSettings::default(),
            process_name: None,
            automatic_priority: AutomaticPriority::default(),
            network_namespace: None,
            forwarding_namespace: None,
            instance: None,
            dynamic_interfaces: false,
            routers: RouterSettings::default(),
            address_mac_prefix: None,
            supplementary_groups: false,
            reloading: Reloading::default(),
            copies: None,
            smtp_helo_name: None,
            no_mail_of_faults: false,
            script_security: false,
            notify_fifo: None,
            vrrp_notify_fifo: None,
            lvs_notify_fifo: None,
            startup_delay: Duration::ZERO,
            delay_after_boot: Duration::ZERO,
            timeouts: None,
            nftables: Nftables::default(),
            startup: None,
            shutdown: None,
            patience: Duration::from_secs(5),
            flush: false,
            flush_on_stop: FlushOnStop::No,
            dump_files: DumpFiles::default(),
            dumps_by_instance: false,
            umask: None,
            mail_of_real_servers_only: false,
            notify_at_start: false,
        }
    }
}

impl Global {
    /// How the vrrp process runs; `sessions` is whether it has any of BFD.
    pub fn vrrp_process(&self, sessions: bool) -> ProcessSettings {
        match sessions {
            true => self.vrrp_process.or(&self.bfd_process),
            false => self.vrrp_process.clone(),
        }
    }
}
