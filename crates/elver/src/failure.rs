//! Why elver gives up, and the exit code for each reason.
//!
//! | code | reason |
//! |---|---|
//! | 0 | all went well |
//! | 1 | another error of the system |
//! | 2 | the command line cannot be understood |
//! | 3 | the configuration file cannot be read |
//! | 4 | the configuration cannot run |
//! | 5 | `elver check`, `elver migrate`, `elver real-server check`: it runs, but something deserves a look |
//! | 10 | an interface of the configuration does not exist |
//! | 11 | a permission is missing |
//! | 12 | the kernel lacks something |
//! | 13 | the instance runs already |
//! | 14 | a keepalived runs beside it |
//! | 15 | the kernel's own IPVS has services |
//! | 16 | the instance does not run |
//! | 17 | another version of elver left tables that this one does not read |
//!
//! 4 and 5 are those of `keepalived --config-test`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::instance::Instance;
use elver_sys::bpf::BpfError;

/// Why elver gives up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration file cannot be read.
    #[error("{}: cannot be read: {error}", path.display())]
    ConfigurationUnreadable { path: PathBuf, error: io::Error },
    /// What is wrong with the configuration was said already.
    #[error("{}: the configuration cannot run", path.display())]
    ConfigurationUnusable { path: PathBuf },
    /// elver.toml says something that is not understood.
    #[error("{}: {error}", path.display())]
    SettingsUnusable {
        path: PathBuf,
        error: toml::de::Error,
    },
    /// A container engine cannot be watched as it is named.
    #[error("{0}")]
    Discovery(String),
    /// Nothing says what a real server is to do.
    #[error("{0}")]
    RoleUnclear(String),
    /// `elver check`: there was something to say.
    #[error("{}: the configuration runs, but see above", path.display())]
    ConfigurationDoubtful { path: PathBuf },
    /// A VRRP instance names an interface that is not there.
    #[error(
        "vrrp_instance {instance}: there is no interface {interface} here; \
         this network namespace has {present}"
    )]
    NoSuchInterface {
        instance: String,
        interface: String,
        present: String,
    },
    /// Capabilities are missing.
    #[error("{missing} missing: run elver as root")]
    NoPermission { missing: String },
    /// The kernel lacks something.
    #[error("this kernel cannot run the data plane: {0}")]
    Kernel(String),
    /// XDP was asked for, and a device cannot have it.
    #[error("--hook xdp: {device} cannot have XDP: {cause}; --hook auto leaves such devices to tc")]
    NoXdp { device: String, cause: String },
    /// The pinned tables are another version's.
    #[error("{0}")]
    OtherLayout(BpfError),
    /// Another director has the instance.
    #[error(
        "instance {instance} runs already{}; another one on this host needs a name of its \
         own (--instance NAME)",
        process.map(|id| format!(" as process {id}")).unwrap_or_default()
    )]
    AlreadyRunning {
        instance: Instance,
        process: Option<u32>,
    },
    /// keepalived does the same work.
    #[error(
        "keepalived runs in this network namespace as process {process}, and both would hold \
         the virtual addresses; stop it first (systemctl disable --now keepalived), or let \
         `elver migrate --apply` take its place"
    )]
    KeepalivedRuns { process: u32 },
    /// The kernel's IPVS does the same work.
    #[error(
        "the kernel's IPVS has {services} virtual services in this network namespace, and \
         packets would be balanced by both; let `elver migrate --apply` take them over, or save \
         them (ipvsadm -S) and clear them (ipvsadm -C) with the kernel's own ipvsadm first"
    )]
    KernelIpvsInUse { services: usize },
    /// A process died, and no other is to follow.
    #[error("the {0} process died, and by --dont-respawn no other follows it")]
    NotRespawned(&'static str),
    /// There is nobody to talk to.
    #[error("instance {instance} does not run ({error})")]
    NotRunning {
        instance: Instance,
        error: io::Error,
    },
    /// The running director said no.
    #[error("{0}")]
    Refused(String),
    /// A step of a lab did not hold.
    #[error("the lab: {0}")]
    Lab(String),
    /// What went wrong has been logged already.
    #[error("")]
    Said,
    /// What went wrong has been printed in the form that was asked for.
    #[error("")]
    Told { code: u8 },
    /// Something else of the system, and what it was needed for.
    #[error("{what}: {error}")]
    System { what: String, error: io::Error },
}

impl Failure {
    /// An error of the system, met while doing `what`.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let what = what.into();
        move |error| Failure::System { what, error }
    }

    /// The code with which the program ends.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The same as a number.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::NotRespawned(_)
            | Failure::System { .. }
            | Failure::Refused(_)
            | Failure::Lab(_)
            | Failure::Said => 1,
            Failure::Told { code } => *code,
            Failure::ConfigurationUnreadable { .. } => 3,
            Failure::ConfigurationUnusable { .. }
            | Failure::SettingsUnusable { .. }
            | Failure::Discovery(_)
            | Failure::RoleUnclear(_) => 4,
            Failure::ConfigurationDoubtful { .. } => 5,
            Failure::NoSuchInterface { .. } => 10,
            Failure::NoPermission { .. } => 11,
            Failure::Kernel(_) | Failure::NoXdp { .. } => 12,
            Failure::AlreadyRunning { .. } => 13,
            Failure::KeepalivedRuns { .. } => 14,
            Failure::KernelIpvsInUse { .. } => 15,
            Failure::NotRunning { .. } => 16,
            Failure::OtherLayout(_) => 17,
        }
    }
}

impl From<BpfError> for Failure {
    fn from(error: BpfError) -> Failure {
        match error {
            BpfError::Layout { .. } => Failure::OtherLayout(error),
            _ => Failure::Kernel(error.to_string()),
        }
    }
}
