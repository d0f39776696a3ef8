//! Watching container engines: carries out what [`Engine`] asks for, and tells the director what
//! was found.
//!
//! Each engine has a task of its own, so that one that does not answer delays nobody.

mod docker;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use elver_core::config::model::Configuration;
use elver_core::discovery::Found;
use elver_core::discovery::claim::{Place, Rules};
use elver_core::discovery::engine::{self, Effect, Input};
use elver_core::discovery::merge::merge;
use elver_sys::netlink::{Netlink, Scope};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::docker::Connection;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::record::Record;
use crate::settings::{DockerSettings, Engine, Settings};

/// Who asks for discovery beside elver.toml, and for which virtual addresses.
#[derive(Default)]
pub(crate) struct Asked {
    /// `--docker`.
    pub(crate) docker: bool,
    /// The virtual addresses that labels may claim where elver.toml names none.
    pub(crate) vips: Option<Box<dyn Fn() -> BTreeSet<IpAddr> + Send>>,
}

/// What an engine has, as it is told to the director.
#[derive(Debug)]
pub(crate) struct News {
    engine: String,
    found: Vec<Found>,
}

/// A destination on record, with the engine that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Recorded {
    engine: String,
    found: Found,
}

/// All engines that are watched, and what they have.
///
/// What was found stays on record, so that a director that starts has it before an engine has
/// answered.
pub(crate) struct Discovery {
    asked: Asked,
    watched: Vec<(Engine, Vec<(IpAddr, u8)>)>,
    tasks: JoinSet<()>,
    found: BTreeMap<String, Vec<Found>>,
    record: Record<Recorded>,
    tell: mpsc::UnboundedSender<News>,
}

impl Discovery {
    /// Takes up what is on record, and watches what `settings` say. What is found comes by the
    /// channel.
    pub(crate) fn start(
        asked: Asked,
        settings: &Settings,
        instance: &Instance,
    ) -> Result<(Discovery, mpsc::UnboundedReceiver<News>), Failure> {
        let (tell, news) = mpsc::unbounded_channel();
        let record = Record::at(instance.discovered());
        let mut found: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        let recorded = record.read().unwrap_or_else(|error| {
            tracing::warn!("the record of what was discovered is not used: {error}");
            Vec::new()
        });
        for Recorded {
            engine,
            found: each,
        } in recorded
        {
            found.entry(engine).or_default().push(each);
        }
        let mut discovery = Discovery {
            asked,
            watched: Vec::new(),
            tasks: JoinSet::new(),
            found,
            record,
            tell,
        };
        discovery.configure(settings)?;
        Ok((discovery, news))
    }

    /// Watches what `settings` say, and nothing else.
    pub(crate) fn configure(&mut self, settings: &Settings) -> Result<(), Failure> {
        let usual = DockerSettings::default();
        let docker = match settings.docker() {
            Some(docker) => Some(docker),
            None => self.asked.docker.then_some(&usual),
        };
        let mut wanted = Vec::new();
        if let Some(docker) = docker {
            let allowed: Vec<_> = match (&docker.vips[..], &self.asked.vips) {
                ([], Some(vips)) => vips().into_iter().map(whole).collect(),
                (vips, _) => vips.iter().map(|prefix| prefix.network()).collect(),
            };
            let engines = docker.engines().map_err(Failure::Discovery)?;
            wanted.extend(engines.into_iter().map(|engine| (engine, allowed.clone())));
        }
        let names: BTreeSet<String> = wanted.iter().map(|(engine, _)| name(engine)).collect();
        self.found.retain(|engine, _| names.contains(engine));
        if wanted == self.watched {
            return Ok(());
        }
        self.tasks.abort_all();
        for (engine, allowed) in &wanted {
            if allowed.is_empty() {
                tracing::warn!(
                    "{}: labels may claim no virtual address: name some in elver.toml under \
                     [discovery.docker] vips",
                    engine.reached
                );
            }
            let task = watch(engine.clone(), allowed.clone(), self.tell.clone());
            self.tasks.spawn(task);
        }
        self.watched = wanted;
        Ok(())
    }

    /// Takes in what an engine has; whether that is something else than before.
    pub(crate) fn learn(&mut self, news: News) -> bool {
        // One that is not watched any more may have been about to say something.
        let mut watched = self.watched.iter();
        if !watched.any(|(engine, _)| name(engine) == news.engine) {
            return false;
        }
        let before = self.found.get(&news.engine);
        if before == Some(&news.found) {
            return false;
        }
        self.found.insert(news.engine, news.found);
        let recorded: Vec<Recorded> = self
            .found
            .iter()
            .flat_map(|(engine, found)| {
                found.iter().map(|found| Recorded {
                    engine: engine.clone(),
                    found: found.clone(),
                })
            })
            .collect();
        if let Err(error) = self.record.write(&recorded) {
            tracing::error!("the record of what was discovered: {error}");
        }
        true
    }

    /// The configuration with what was found.
    pub(crate) fn merged(&self, configuration: &Configuration) -> Configuration {
        let found: Vec<Found> = self.found.values().flatten().cloned().collect();
        merge(configuration, &found)
    }

    /// Forgets what was found, at the end.
    pub(crate) fn forget(&self) {
        if let Err(error) = self.record.remove() {
            tracing::error!("the record of what was discovered: {error}");
        }
    }
}

/// What an engine is known by: its address, and the real server that its containers are behind.
fn name(engine: &Engine) -> String {
    match engine.host {
        Some((host, _)) => format!("{} of {host}", engine.reached),
        None => engine.reached.to_string(),
    }
}

fn whole(address: IpAddr) -> (IpAddr, u8) {
    (address, if address.is_ipv4() { 32 } else { 128 })
}

/// Follows an engine until it is told to stop.
async fn watch(engine: Engine, allowed: Vec<(IpAddr, u8)>, tell: mpsc::UnboundedSender<News>) {
    let mut watcher = Watcher {
        name: name(&engine),
        engine,
        allowed,
        machine: engine::Engine::new(),
        connection: None,
        complaint: None,
        refusals: BTreeSet::new(),
        tell,
    };
    loop {
        watcher.carry_out().await;
        let timeout = watcher.machine.poll_timeout();
        let sleep = async {
            match timeout {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => watcher.machine.handle_timeout(Instant::now()),
            said = next(&mut watcher.connection) => match said {
                Ok(input) => watcher.machine.handle(Instant::now(), input),
                Err(error) => watcher.lost(&error),
            },
        }
    }
}

async fn next(connection: &mut Option<Connection>) -> Result<Input, String> {
    match connection {
        Some(connection) => connection.next().await,
        None => std::future::pending().await,
    }
}

/// One engine, and what is said to it.
struct Watcher {
    name: String,
    engine: Engine,
    allowed: Vec<(IpAddr, u8)>,
    machine: engine::Engine,
    connection: Option<Connection>,
    /// Why it cannot be reached, so that it is said once.
    complaint: Option<String>,
    /// What was refused, so that it is said once.
    refusals: BTreeSet<(String, String)>,
    tell: mpsc::UnboundedSender<News>,
}

impl Watcher {
    async fn carry_out(&mut self) {
        while let Some(effect) = self.machine.poll_effect() {
            match (effect, &mut self.connection) {
                (Effect::Connect, _) => match Connection::open(&self.engine.reached).await {
                    Ok(connection) => {
                        tracing::info!("{}: watched", self.name);
                        self.complaint = None;
                        self.connection = Some(connection);
                        self.machine.handle(Instant::now(), Input::Connected);
                    }
                    Err(error) => self.lost(&error),
                },
                (Effect::List(question), Some(connection)) => connection.list(question),
                (Effect::Inspect(question, id), Some(connection)) => {
                    connection.inspect(question, id);
                }
                // Who is lost is not asked; the machine knows.
                (Effect::List(_) | Effect::Inspect(..), None) => {}
                (Effect::Changed, _) => self.report(),
            }
        }
    }

    fn lost(&mut self, error: &str) {
        if self.complaint.as_deref() != Some(error) {
            tracing::warn!(
                "{}: does not answer, so what was found last holds: {error}",
                self.name
            );
            self.complaint = Some(error.to_owned());
        }
        self.connection = None;
        self.machine.handle(Instant::now(), Input::Lost);
    }

    fn report(&mut self) {
        if !self.machine.is_listed() {
            return;
        }
        let place = match self.engine.host {
            Some((host, method)) => Place::There { host, method },
            None => Place::Here {
                host: own_addresses(),
            },
        };
        let rules = Rules {
            allowed: self.allowed.clone(),
            place,
        };
        let (found, refused) = self.machine.found(&rules);
        let refused = refused.into_iter();
        let refused: BTreeSet<_> = refused.map(|(name, why)| (name, why.to_string())).collect();
        for (container, why) in refused.difference(&self.refusals) {
            tracing::warn!("{}: container {container}: {why}", self.name);
        }
        self.refusals = refused;
        let engine = self.name.clone();
        // The director may be at its end.
        let _ = self.tell.send(News { engine, found });
    }
}

/// The addresses of this host by which containers in its own network are reached.
fn own_addresses() -> Vec<IpAddr> {
    let addresses = Netlink::open().and_then(|mut netlink| netlink.addresses());
    match addresses {
        Ok(addresses) => addresses
            .into_iter()
            .filter(|address| address.scope == Scope::Global)
            .filter(|address| address.interface != elver_packet::frame::LOOPBACK)
            .map(|address| address.address)
            .collect(),
        Err(error) => {
            tracing::error!("reading addresses: {error}");
            Vec::new()
        }
    }
}
