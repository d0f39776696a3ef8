//! Telling others of virtual and real servers, and keeping the pipes of events.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use elver_core::config::model::{Global, NotifyFifo, Script};
use elver_core::notification::{Mail, Notification};
use elver_sys::script::Signal;

use super::ScriptName;
use crate::mailer::Mailer;
use crate::notify_fifos::NotifyFifos;
use crate::scripts::{Rules, Scripts, script_user};

/// After this time a reader that has ended is started again.
const START_AGAIN: Duration = Duration::from_secs(1);
/// So long the last scripts may take to be started, and readers to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The pipes of all processes, and the readers that the file names.
#[derive(Default)]
pub(super) struct Notifications {
    fifos: NotifyFifos,
    /// Pipes that this process has made, and takes away.
    made: Vec<PathBuf>,
    /// By the path of their pipe: what is run, and when next if it does not run.
    readers: BTreeMap<String, (Script, Option<Instant>)>,
    mailer: Mailer,
}

impl Notifications {
    /// Makes the pipes of the file that are not there, opens those for virtual and real
    /// servers, and starts readers.
    pub(super) fn configure(&mut self, global: &Global, scripts: &mut Scripts<ScriptName>) {
        scripts.configure(Rules::of(global));
        self.mailer.configure(global);
        let all = [
            &global.notify_fifo,
            &global.vrrp_notify_fifo,
            &global.lvs_notify_fifo,
        ];
        let mut readers = BTreeMap::new();
        for fifo in all.into_iter().flatten() {
            self.make(fifo);
            if let Some(reader) = &fifo.reader {
                let mut script = reader.clone();
                script.command.push(fifo.path.clone());
                readers.insert(fifo.path.clone(), script);
            }
        }
        let ours = [&global.notify_fifo, &global.lvs_notify_fifo];
        let ours = ours.into_iter().flatten().map(|fifo| fifo.path.as_ref());
        self.fifos.open(ours);
        self.readers.retain(|path, (script, _)| {
            let stays = readers.get(path) == Some(script);
            if !stays {
                scripts.signal(&ScriptName::Reader(path.clone()), Signal::Terminate);
            }
            stays
        });
        for (path, script) in readers {
            self.readers.entry(path.clone()).or_insert_with(|| {
                scripts.run(ScriptName::Reader(path), script.clone());
                (script, None)
            });
        }
    }

    fn make(&mut self, fifo: &NotifyFifo) {
        let path = PathBuf::from(&fifo.path);
        let made = script_user(fifo.user.as_ref())
            .and_then(|owner| elver_sys::notify_fifo::NotifyFifo::create(&path, &owner));
        match made {
            Ok(true) => self.made.push(path),
            Ok(false) => {}
            Err(error) => tracing::warn!("{}: cannot be made: {error}", fifo.path),
        }
    }

    pub(super) fn tell(&mut self, notification: Notification, scripts: &mut Scripts<ScriptName>) {
        self.fifos.write(&notification.line);
        for script in notification.scripts {
            scripts.notify(script);
        }
        if let Some(mail) = notification.mail {
            self.mail(mail);
        }
    }

    pub(super) fn mail(&mut self, mail: Mail) {
        self.mailer.send(mail);
    }

    /// A reader has ended.
    pub(super) fn reader_ended(&mut self, path: &str, words: &str) {
        if let Some((_, start_at)) = self.readers.get_mut(path) {
            tracing::warn!("the reader of {path} {words}: started again");
            *start_at = Some(Instant::now() + START_AGAIN);
        }
    }

    /// When [`Self::deadline_reached`] is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.readers.values().filter_map(|(_, at)| *at).min()
    }

    /// Starts readers again.
    pub(super) fn deadline_reached(&mut self, scripts: &mut Scripts<ScriptName>) {
        let now = Instant::now();
        for (path, (script, start_at)) in &mut self.readers {
            if start_at.is_some_and(|at| at <= now) {
                *start_at = None;
                scripts.run(ScriptName::Reader(path.clone()), script.clone());
            }
        }
    }

    /// Lets the last scripts start and readers end, and takes away the pipes that were made.
    pub(super) async fn finish(mut self, scripts: &mut Scripts<ScriptName>) {
        let _ = tokio::time::timeout(FAREWELL, scripts.settled()).await;
        self.readers.retain(|_, (_, start_at)| start_at.is_none());
        for path in self.readers.keys() {
            scripts.signal(&ScriptName::Reader(path.clone()), Signal::Terminate);
        }
        let all_ended = async {
            while !self.readers.is_empty() {
                let Some(ended) = scripts.next().await else {
                    return;
                };
                if let ScriptName::Reader(path) = &ended.name {
                    self.readers.remove(path);
                }
            }
        };
        // Those that stay are killed with this process's last handle of them.
        let _ = tokio::time::timeout(FAREWELL, all_ended).await;
        for path in self.made {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!("{}: {error}", path.display());
            }
        }
    }
}
