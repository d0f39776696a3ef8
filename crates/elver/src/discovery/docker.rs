//! A connection to a Docker engine.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bollard::models::{ContainerInspectResponse, EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use bollard::{API_DEFAULT_VERSION, Docker};
use elver_core::discovery::Container;
use elver_core::discovery::claim::VIP;
use elver_core::discovery::engine::{Input, Question};
use futures_util::{Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::settings::Reached;

/// How long an answer may take, in seconds.
const PATIENCE: u64 = 20;
/// How many containers are asked for at a time.
const QUESTIONS: usize = 8;
/// What the engine answers of a container that is not there.
const NOT_FOUND: u16 = 404;
/// The signal of `docker stop`, if the image names no other (signal(7)).
const SIGTERM: i32 = 15;

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

/// A connection to an engine, whose events come.
pub(super) struct Connection {
    docker: Docker,
    events: Events,
    answers: JoinSet<Result<Input, String>>,
    questions: Arc<Semaphore>,
}

impl Connection {
    /// Connects, and listens to events.
    pub(super) async fn open(reached: &Reached) -> Result<Connection, String> {
        let docker = match reached {
            Reached::Socket(path) => {
                let path = path.display().to_string();
                Docker::connect_with_unix(&path, PATIENCE, API_DEFAULT_VERSION)
            }
            Reached::Tls {
                address,
                ca,
                certificate,
                key,
            } => {
                let address = format!("tcp://{address}");
                Docker::connect_with_ssl(
                    &address,
                    key,
                    certificate,
                    ca,
                    PATIENCE,
                    API_DEFAULT_VERSION,
                )
            }
        };
        let docker = docker.map_err(words)?;
        let docker = docker.negotiate_version().await.map_err(words)?;
        let kinds = ["container", "network"].map(str::to_owned);
        let options = EventsOptions {
            filters: Some(HashMap::from([("type".to_owned(), kinds.to_vec())])),
            ..EventsOptions::default()
        };
        Ok(Connection {
            events: Box::pin(docker.events(Some(options))),
            docker,
            answers: JoinSet::new(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
        })
    }

    /// The next event or answer; an error ends the connection.
    pub(super) async fn next(&mut self) -> Result<Input, String> {
        loop {
            tokio::select! {
                event = self.events.next() => match event {
                    Some(Ok(event)) => {
                        if let Some(input) = input_of(event) {
                            return Ok(input);
                        }
                    }
                    Some(Err(error)) => return Err(words(error)),
                    None => return Err("it has ended the stream of events".to_owned()),
                },
                Some(answer) = self.answers.join_next() => {
                    return answer.map_err(|error| error.to_string())?;
                }
            }
        }
    }

    /// Asks for all containers that have a label of ours.
    pub(super) fn list(&mut self, question: Question) {
        let (docker, questions) = (self.docker.clone(), Arc::clone(&self.questions));
        self.answers.spawn(async move {
            let options = ListContainersOptions {
                filters: Some(HashMap::from([("label".to_owned(), vec![VIP.to_owned()])])),
                ..ListContainersOptions::default()
            };
            let _turn = questions.acquire().await;
            let listed = docker.list_containers(Some(options)).await.map_err(words)?;
            let mut containers = Vec::new();
            for id in listed.into_iter().filter_map(|container| container.id) {
                containers.extend(look_at(&docker, &id).await?);
            }
            Ok(Input::Listed(question, containers))
        });
    }

    /// Asks for a container.
    pub(super) fn inspect(&mut self, question: Question, id: String) {
        let (docker, questions) = (self.docker.clone(), Arc::clone(&self.questions));
        self.answers.spawn(async move {
            let _turn = questions.acquire().await;
            let container = look_at(&docker, &id).await?;
            Ok(Input::Inspected(question, id, container))
        });
    }
}

async fn look_at(docker: &Docker, id: &str) -> Result<Option<Container>, String> {
    match docker.inspect_container(id, None).await {
        Ok(container) => Ok(container_of(id, container)),
        Err(bollard::errors::Error::DockerResponseServerError {
            status_code: NOT_FOUND,
            ..
        }) => Ok(None),
        Err(error) => Err(words(error)),
    }
}

/// What the error says, with what is behind it.
fn words(error: bollard::errors::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = error.source();
    }
    words
}

/// What an event says of a container that may be ours.
fn input_of(event: EventMessage) -> Option<Input> {
    let actor = event.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    match event.typ? {
        EventMessageTypeEnum::CONTAINER => {
            let action = event.action.unwrap_or_default();
            // Health checks are such programs, by the second.
            if !attributes.contains_key(VIP) || action.starts_with("exec_") {
                return None;
            }
            let signal = attributes.get("signal").filter(|_| action == "kill");
            Some(Input::Event {
                id: actor.id?,
                signal: signal.and_then(|signal| signal.parse().ok()),
            })
        }
        EventMessageTypeEnum::NETWORK => Some(Input::Event {
            id: attributes.get("container")?.clone(),
            signal: None,
        }),
        _ => None,
    }
}

/// What the engine says of a container; nothing if that is nothing to us.
fn container_of(id: &str, said: ContainerInspectResponse) -> Option<Container> {
    let config = said.config.unwrap_or_default();
    let labels: BTreeMap<String, String> = config.labels.unwrap_or_default().into_iter().collect();
    if !labels.contains_key(VIP) {
        return None;
    }
    let state = said.state.unwrap_or_default();
    let is_healthy = state.health.and_then(|health| {
        use bollard::models::HealthStatusEnum as Status;
        match health.status? {
            Status::EMPTY | Status::NONE => None,
            Status::HEALTHY => Some(true),
            Status::STARTING | Status::UNHEALTHY => Some(false),
        }
    });
    let networks = said.network_settings.unwrap_or_default().networks;
    let networks = networks.unwrap_or_default().into_iter();
    let networks = networks.map(|(name, endpoint)| {
        let texts = [endpoint.ip_address, endpoint.global_ipv6_address];
        let addresses = texts.into_iter().flatten();
        let addresses: Vec<IpAddr> = addresses.filter_map(|text| text.parse().ok()).collect();
        (name, addresses)
    });
    let mode = said.host_config.unwrap_or_default().network_mode;
    Some(Container {
        id: said.id.unwrap_or_else(|| id.to_owned()),
        name: said
            .name
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        labels,
        run: state.started_at.unwrap_or_default(),
        is_running: state.running == Some(true) && state.restarting != Some(true),
        is_paused: state.paused == Some(true),
        is_healthy,
        is_on_host_network: mode.as_deref() == Some("host"),
        networks: networks.collect(),
        stop_signal: config.stop_signal.map_or(SIGTERM, |name| signal(&name)),
    })
}

/// The number of a signal by its name or number (signal(7)); that which `docker stop` sends, if
/// it has no such name.
fn signal(name: &str) -> i32 {
    let known = match name.trim_start_matches("SIG") {
        "HUP" => Some(libc::SIGHUP),
        "INT" => Some(libc::SIGINT),
        "QUIT" => Some(libc::SIGQUIT),
        "KILL" => Some(libc::SIGKILL),
        "USR1" => Some(libc::SIGUSR1),
        "USR2" => Some(libc::SIGUSR2),
        "WINCH" => Some(libc::SIGWINCH),
        "RTMIN+3" => Some(libc::SIGRTMIN() + 3),
        number => number.parse().ok(),
    };
    known.unwrap_or(SIGTERM)
}

#[cfg(test)]
mod recorded;
