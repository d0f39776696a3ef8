//! `[discovery.docker]`: container engines whose containers show themselves by labels.

use std::net::IpAddr;
use std::path::PathBuf;

use elver_core::service::{ForwardingMethod, Tunnel};
use serde::Deserialize;

use super::Prefix;

/// Where an engine of this host has its socket, unless somebody says otherwise.
const SOCKET: &str = "/var/run/docker.sock";
/// The environment variable by which Docker's own programs are told of the engine.
const DOCKER_HOST: &str = "DOCKER_HOST";

/// Where real servers are found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DiscoverySettings {
    pub(crate) docker: Option<DockerSettings>,
}

/// Engines of Docker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DockerSettings {
    /// The virtual addresses that labels may claim.
    pub(crate) vips: Vec<Prefix>,
    /// The socket of this host's engine.
    socket: Option<PathBuf>,
    /// Hosts that are real servers, with their engines.
    hosts: Vec<HostSettings>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenHost")]
struct HostSettings(Engine);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHost {
    engine: String,
    address: IpAddr,
    method: Option<String>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// An engine, and where its containers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Engine {
    /// How it is reached.
    pub(crate) reached: Reached,
    /// The real server that its containers are behind; nothing for this host.
    pub(crate) host: Option<(IpAddr, ForwardingMethod)>,
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reached {
    /// By a socket of this host.
    Socket(PathBuf),
    /// By TLS, with certificates of both sides.
    Tls {
        /// `HOST:PORT`.
        address: String,
        /// Of who signed the engine's certificate.
        ca: PathBuf,
        /// Our own.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reached::Socket(path) => write!(f, "unix://{}", path.display()),
            Reached::Tls { address, .. } => write!(f, "tcp://{address}"),
        }
    }
}

impl TryFrom<WrittenHost> for HostSettings {
    type Error = String;

    fn try_from(written: WrittenHost) -> Result<HostSettings, String> {
        let engine = &written.engine;
        let method = match written.method.as_deref() {
            None | Some("tun") => ForwardingMethod::Tunnel(Tunnel::Ipip),
            Some("dr") => ForwardingMethod::DirectRouting,
            Some(other) => return Err(format!("the method `{other}` is none of tun and dr")),
        };
        let files = (written.ca, written.certificate, written.key);
        let reached = match (engine.split_once("://"), files) {
            (Some(("unix", path)), (None, None, None)) => Reached::Socket(path.into()),
            (Some(("unix", _)), _) => {
                return Err(format!(
                    "{engine}: a socket of this host needs no certificates"
                ));
            }
            (Some(("tcp" | "https", address)), (Some(ca), Some(certificate), Some(key))) => {
                let port = address
                    .rsplit_once(':')
                    .map(|(_, port)| port.parse::<u16>());
                if !matches!(port, Some(Ok(_))) {
                    return Err(format!(
                        "{engine}: the port is missing, like in {engine}:2376"
                    ));
                }
                Reached::Tls {
                    address: address.to_owned(),
                    ca,
                    certificate,
                    key,
                }
            }
            (Some(("tcp" | "https" | "http", _)), _) => {
                return Err(format!(
                    "{engine}: whoever reaches an engine rules its host, so another host's is \
                     reached by TLS with certificates of both sides alone: name ca, certificate \
                     and key, and see that the engine runs with --tlsverify"
                ));
            }
            _ => {
                return Err(format!(
                    "{engine}: write tcp://HOST:PORT, or unix://PATH for a socket of this host"
                ));
            }
        };
        Ok(HostSettings(Engine {
            reached,
            host: Some((written.address, method)),
        }))
    }
}

impl DockerSettings {
    /// The engines to watch. Without any other that of this host is meant.
    ///
    /// # Errors
    /// `DOCKER_HOST` names another host.
    pub(crate) fn engines(&self) -> Result<Vec<Engine>, String> {
        let mut engines: Vec<Engine> = self.hosts.iter().map(|host| host.0.clone()).collect();
        let socket = match &self.socket {
            Some(socket) => Some(socket.clone()),
            None if engines.is_empty() => Some(usual_socket()?),
            None => None,
        };
        if let Some(socket) = socket {
            engines.push(Engine {
                reached: Reached::Socket(socket),
                host: None,
            });
        }
        Ok(engines)
    }
}

/// The socket of this host's engine, by the environment or by custom.
fn usual_socket() -> Result<PathBuf, String> {
    let Ok(named) = std::env::var(DOCKER_HOST) else {
        return Ok(SOCKET.into());
    };
    match named.strip_prefix("unix://") {
        Some(path) => Ok(path.into()),
        None => Err(format!(
            "{DOCKER_HOST}={named} is no socket of this host (unix://PATH); another host's engine \
             is named in elver.toml under [[discovery.docker.hosts]], with its certificates"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DockerSettings, String> {
        #[derive(Deserialize)]
        struct All {
            discovery: DiscoverySettings,
        }
        let all: All = toml::from_str(text).map_err(|error| error.to_string())?;
        Ok(all.discovery.docker.expect("the table"))
    }

    #[test]
    fn this_hosts_engine_is_meant_where_no_other_is_named() {
        let docker = read("[discovery.docker]\nsocket = \"/run/d.sock\"").unwrap();
        let [engine] = &docker.engines().unwrap()[..] else {
            panic!("one engine");
        };
        assert_eq!(engine.reached, Reached::Socket("/run/d.sock".into()));
        assert_eq!(engine.host, None);
    }

    const HOST: &str = "[[discovery.docker.hosts]]\naddress = \"192.0.2.7\"\n";
    const FILES: &str = "ca = \"ca.pem\"\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";

    #[test]
    fn another_hosts_engine_is_reached_by_tls_of_both_sides_alone() {
        let whole = format!("{HOST}engine = \"tcp://192.0.2.7:2376\"\n{FILES}");
        let engines = read(&whole).unwrap().engines().unwrap();
        assert!(matches!(
            engines[..],
            [Engine {
                reached: Reached::Tls { .. },
                ..
            }]
        ));
        for file in ["ca", "certificate", "key"] {
            let lines = whole.lines().filter(|line| !line.starts_with(file));
            let without: String = lines.flat_map(|line| [line, "\n"]).collect();
            let error = read(&without).expect_err("it is refused");
            assert!(
                error.contains("certificates of both sides alone"),
                "{error}"
            );
        }
        let plain = format!("{HOST}engine = \"http://192.0.2.7:2375\"\n{FILES}");
        assert!(read(&plain).is_err());
        let no_port = format!("{HOST}engine = \"tcp://192.0.2.7\"\n{FILES}");
        assert!(read(&no_port).is_err());
    }

    #[test]
    fn methods_are_those_by_which_real_servers_answer_themselves() {
        let of = |method: &str| {
            read(&format!(
                "{HOST}engine = \"unix:///run/d.sock\"\nmethod = \"{method}\"\n"
            ))
        };
        assert!(of("tun").is_ok() && of("dr").is_ok());
        assert!(of("nat").is_err());
    }
}
