//! The director that has a real server's containers as its destinations.
//!
//! It runs on a thread of its own, with the data plane of the instance: what comes out of a
//! tunnel, or by direct routing, goes on by NAT to a container. Signals reach both, so that both
//! end and read their files again together.

use std::sync::mpsc;
use std::thread::JoinHandle;

use super::Sources;
use crate::configuration::Origin;
use crate::director::{self, Files, Hook, Manner};
use crate::discovery::Asked;
use crate::failure::Failure;
use crate::instance::Instance;

/// The running director.
pub(super) struct Containers {
    thread: JoinHandle<()>,
    ended: tokio::sync::oneshot::Receiver<Result<(), Failure>>,
}

impl Containers {
    /// Starts it, and waits until it does its work.
    pub(super) fn start(sources: &Sources, instance: &Instance) -> Result<Containers, Failure> {
        let (tell_ready, is_ready) = mpsc::channel();
        let (tell_end, mut ended) = tokio::sync::oneshot::channel();
        let (sources, instance) = (sources.clone(), instance.clone());
        let thread = std::thread::Builder::new()
            .name("containers".to_owned())
            .spawn(move || {
                let outcome = run(sources, &instance, &mut || {
                    // Whoever waits is told by the end of the channel as well.
                    let _ = tell_ready.send(());
                });
                let _ = tell_end.send(outcome);
            })
            .map_err(Failure::system("starting a thread"))?;
        if is_ready.recv().is_err() {
            // It has ended before it was ready. A panic has said what there is to say.
            let _ = thread.join();
            return Err(match ended.try_recv() {
                Ok(Err(failure)) => failure,
                _ => Failure::Said,
            });
        }
        Ok(Containers { thread, ended })
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> Result<(), Failure> {
        (&mut self.ended).await.unwrap_or(Err(Failure::Said))
    }

    /// Waits for its end, after the signal that it has got as well.
    pub(super) fn join(self) {
        let _ = self.thread.join();
    }
}

fn run(sources: Sources, instance: &Instance, ready: &mut dyn FnMut()) -> Result<(), Failure> {
    let manner = Manner {
        of_real_server: true,
        ..Manner::foreground()
    };
    let settings = sources.settings();
    let of_role = instance.clone();
    let vips = move || match sources.wanted(&of_role) {
        Ok(wanted) => wanted.vips,
        // The role itself says what is wrong, and goes on with what it had; labels can wait.
        Err(_) => Default::default(),
    };
    let files = Files {
        origin: Origin {
            file: Default::default(),
            config_id: None,
            instance: instance.clone(),
            all_includes: false,
        },
        may_be_absent: true,
        settings,
        discovery: Asked {
            docker: true,
            vips: Some(Box::new(vips)),
        },
    };
    director::run(files, Hook::Auto, instance, manner, ready)
}
