//! Running scripts beside the virtual routers, without waiting for any of them.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;

use elver_core::config::model::ScriptUser;
use elver_sys::privilege::User;
use elver_sys::process::{self, ScriptSignal};
use tokio::sync::mpsc;
use tracing::warn;

/// Who runs scripts for which no user is named, where there is such a user; root, where
/// there is none (keepalived's rule).
const USUAL_USER: &str = "keepalived_script";

/// A script has ended, or could not be started.
#[derive(Debug)]
pub(super) struct Ended {
    /// Name of the script.
    pub(super) name: String,
    /// How it ended.
    pub(super) status: io::Result<ExitStatus>,
}

/// The scripts that run.
pub(super) struct Scripts {
    signals: BTreeMap<String, mpsc::UnboundedSender<ScriptSignal>>,
    sender: mpsc::UnboundedSender<Ended>,
    ended: mpsc::UnboundedReceiver<Ended>,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        let (sender, ended) = mpsc::unbounded_channel();
        Scripts {
            signals: BTreeMap::new(),
            sender,
            ended,
        }
    }

    /// Starts a script. Its end comes out of [`next`](Self::next), also when it cannot be
    /// started.
    pub(super) fn run(&mut self, name: &str, command: Vec<String>, user: Option<ScriptUser>) {
        let (signal, signals) = mpsc::unbounded_channel();
        self.signals.insert(name.to_owned(), signal);
        let (name, sender) = (name.to_owned(), self.sender.clone());
        let runtime = tokio::runtime::Handle::current();
        // Looking a user up and starting a program read from disks, which may stall: not here.
        std::thread::spawn(move || {
            let _inside = runtime.enter();
            let started = start(&command, user.as_ref());
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
    pub(super) fn signal(&self, name: &str, signal: ScriptSignal) {
        if let Some(signals) = self.signals.get(name) {
            // It has ended just now.
            let _ = signals.send(signal);
        }
    }

    /// The next script that has ended. Nothing is lost when this is cancelled.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        let ended = self.ended.recv().await?;
        self.signals.remove(&ended.name);
        Some(ended)
    }
}

fn start(command: &[String], user: Option<&ScriptUser>) -> io::Result<tokio::process::Child> {
    let user = match user {
        Some(ScriptUser { name, group }) => Some(User::find(name, group.as_deref())?),
        None => User::first_of(&[USUAL_USER])?,
    };
    let command = process::script(command, user.as_ref())?;
    tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
}

async fn watch(
    mut child: tokio::process::Child,
    mut signals: mpsc::UnboundedReceiver<ScriptSignal>,
) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            Some(signal) = signals.recv() => {
                // It has an id until it was waited for, so the id is its own.
                if let Some(id) = child.id()
                    && let Err(error) = process::signal_script(id, signal)
                {
                    warn!("cannot end script process {id}: {error}");
                }
            }
        }
    }
}
