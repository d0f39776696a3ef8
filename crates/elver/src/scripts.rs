//! Running scripts of the configuration, without waiting for any of them.
//!
//! One runner for all kinds: those whose outcome counts (`vrrp_script`, `MISC_CHECK`), and
//! those that are told something (`notify…`, `quorum_up` …). Each is looked at every time
//! before it is executed ([`elver_sys::script`]).

use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use elver_core::config::model::{AwaitedScript, Global, Script, ScriptUser};
use elver_sys::privilege::User;
use elver_sys::script::{self, Signal};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

/// Who runs scripts for which no user is named, where there is such a user; root, where
/// there is none (keepalived's rule).
const USUAL_USER: &str = "keepalived_script";

/// Time from SIGTERM to SIGKILL for a script that does not end.
const GRACE: Duration = Duration::from_secs(2);

/// A script has ended, or could not be started.
#[derive(Debug)]
pub(crate) struct Ended<Name> {
    /// The name that it was started with.
    pub(crate) name: Name,
    /// How it ended.
    pub(crate) status: io::Result<ExitStatus>,
}

impl<Name> Ended<Name> {
    /// How it ended, in words that follow its name.
    pub(crate) fn words(&self) -> String {
        match &self.status {
            Ok(status) => format!("ended ({status})"),
            Err(error) => format!("cannot be run ({error})"),
        }
    }
}

/// The scripts that run.
///
/// Looking a user up and starting a program read from disks, which may stall; so that
/// happens in threads of their own.
pub(crate) struct Scripts<Name> {
    rules: Rules,
    signals: BTreeMap<Name, mpsc::UnboundedSender<Signal>>,
    sender: mpsc::UnboundedSender<Ended<Name>>,
    ended: mpsc::UnboundedReceiver<Ended<Name>>,
    herald: Option<std::sync::mpsc::Sender<Order>>,
}

/// How scripts are started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// Those that others than root could change do not run as root.
    pub(crate) security: bool,
    /// The permissions that their files do not get, if that is said.
    pub(crate) umask: Option<u16>,
    /// They have all groups of their user.
    pub(crate) supplementary_groups: bool,
}

impl Rules {
    pub(crate) fn of(global: &Global) -> Rules {
        Rules {
            security: global.script_security,
            umask: global.umask,
            supplementary_groups: global.supplementary_groups,
        }
    }
}

/// What the thread that starts notifications is given.
enum Order {
    Start {
        script: Script,
        rules: Rules,
    },
    /// Everything before this was started.
    Settle(oneshot::Sender<()>),
}

impl<Name: Ord + Clone + Send + 'static> Scripts<Name> {
    pub(crate) fn new() -> Scripts<Name> {
        let (sender, ended) = mpsc::unbounded_channel();
        Scripts {
            rules: Rules::default(),
            signals: BTreeMap::new(),
            sender,
            ended,
            herald: None,
        }
    }

    /// How scripts are started from now on.
    pub(crate) fn configure(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Starts a script whose outcome counts. Its end comes out of [`next`](Self::next), also
    /// when it cannot be started. It does not outlive this process.
    pub(crate) fn run(&mut self, name: Name, script: Script) {
        let (signal, signals) = mpsc::unbounded_channel();
        self.signals.insert(name.clone(), signal);
        let (sender, rules) = (self.sender.clone(), self.rules);
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            let _inside = runtime.enter();
            let started = start(&script, rules, true);
            runtime.spawn(async move {
                let status = match started {
                    Ok(child) => watch(child, signals).await,
                    Err(error) => Err(error),
                };
                // Nobody listens when the process itself ends.
                let _ = sender.send(Ended { name, status });
            });
        });
    }

    /// Ends a running script.
    pub(crate) fn signal(&self, name: &Name, signal: Signal) {
        if let Some(signals) = self.signals.get(name) {
            // It has ended just now.
            let _ = signals.send(signal);
        }
    }

    /// Asks a running script to end, and makes it where it does not.
    pub(crate) fn end(&self, name: &Name) {
        if let Some(signals) = self.signals.get(name).cloned() {
            tokio::spawn(async move {
                // Where there is nobody to hear it, it has ended.
                let _ = signals.send(Signal::Terminate);
                tokio::time::sleep(GRACE).await;
                let _ = signals.send(Signal::Kill);
            });
        }
    }

    /// The names of the scripts that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Name> {
        self.signals.keys()
    }

    /// The next script that has ended. Nothing is lost when this is cancelled.
    pub(crate) async fn next(&mut self) -> Option<Ended<Name>> {
        let ended = self.ended.recv().await?;
        self.signals.remove(&ended.name);
        Some(ended)
    }

    /// Starts a script that is told something. Such scripts start in the order of these
    /// calls and run beside each other, as long as they like.
    pub(crate) fn notify(&mut self, script: Script) {
        let rules = self.rules;
        self.order(Order::Start { script, rules });
    }

    /// Waits until all that were to be notified have been started.
    pub(crate) async fn settled(&mut self) {
        if self.herald.is_some() {
            let (done, settled) = oneshot::channel();
            self.order(Order::Settle(done));
            // If the thread is gone, there is nothing to wait for.
            let _ = settled.await;
        }
    }

    fn order(&mut self, order: Order) {
        let herald = self.herald.get_or_insert_with(|| {
            let (orders, queue) = std::sync::mpsc::channel();
            let runtime = tokio::runtime::Handle::current();
            std::thread::spawn(move || herald(&runtime, &queue));
            orders
        });
        // The thread ends after this has.
        let _ = herald.send(order);
    }
}

/// Starts notifications one after the other.
fn herald(runtime: &tokio::runtime::Handle, orders: &std::sync::mpsc::Receiver<Order>) {
    let _inside = runtime.enter();
    for order in orders {
        match order {
            Order::Start { script, rules } => match start(&script, rules, false) {
                Ok(mut child) => drop(runtime.spawn(async move { child.wait().await })),
                Err(error) => warn!("cannot run {}: {error}", script.command.join(" ")),
            },
            Order::Settle(done) => drop(done.send(())),
        }
    }
}

/// Whom `user` means; without one, whom scripts run as otherwise.
pub(crate) fn script_user(user: Option<&ScriptUser>) -> io::Result<User> {
    match user {
        Some(ScriptUser { name, group }) => User::find(name, group.as_deref()),
        None => match User::first_of(&[USUAL_USER])? {
            Some(user) => Ok(user),
            None => User::find("root", None),
        },
    }
}

fn start(script: &Script, rules: Rules, kill_on_drop: bool) -> io::Result<Child> {
    let user = script_user(script.user.as_ref())?;
    let groups = match rules.supplementary_groups {
        true => user.supplementary_groups()?,
        false => Vec::new(),
    };
    let mut command = script::command(&script.command, &user, groups, rules.security)
        .map_err(io::Error::other)?;
    if let Some(mask) = rules.umask {
        script::set_umask(&mut command, mask);
    }
    tokio::process::Command::from(command)
        .kill_on_drop(kill_on_drop)
        .spawn()
}

/// Runs a script at the start or the end of the director, and waits until it has ended. What
/// becomes of it changes nothing but the log. `what` is its keyword.
pub(crate) async fn run_awaited(what: &str, awaited: &AwaitedScript, global: &Global) {
    let rules = Rules::of(global);
    let mut child = match start(&awaited.script, rules, true) {
        Ok(child) => child,
        Err(error) => {
            warn!("{what}: cannot be run ({error})");
            return;
        }
    };
    let mut ended = tokio::time::timeout(awaited.timeout, child.wait()).await;
    for signal in [Signal::Terminate, Signal::Kill] {
        let (Err(_), Some(id)) = (&ended, child.id()) else {
            break;
        };
        warn!(
            "{what}: not ended after {} s: {signal:?}",
            awaited.timeout.as_secs()
        );
        if let Err(error) = script::signal(id, signal) {
            warn!("cannot end script process {id}: {error}");
        }
        ended = tokio::time::timeout(GRACE, child.wait()).await;
    }
    match ended {
        Ok(Ok(status)) if status.success() => tracing::info!("{what}: ended"),
        Ok(Ok(status)) => warn!("{what}: ended ({status})"),
        Ok(Err(error)) => warn!("{what}: lost ({error})"),
        Err(_) => warn!("{what}: runs on"),
    }
}

async fn watch(
    mut child: Child,
    mut signals: mpsc::UnboundedReceiver<Signal>,
) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            Some(signal) = signals.recv() => {
                // It has an id until it was waited for, so the id is its own.
                if let Some(id) = child.id()
                    && let Err(error) = script::signal(id, signal)
                {
                    warn!("cannot end script process {id}: {error}");
                }
            }
        }
    }
}
