//! The part of the director that does what it is asked over the control socket.

use elver_core::api::{CheckStatus, MOST_CONNECTIONS, MOST_EDITS, Request, Response, Status};
use elver_core::check::Health;
use elver_core::lb::{RealServerName, VirtualServerName};
use elver_core::service::ConnectionState;

use super::child::Role;
use super::hook::FastPath;
use super::{AttachedDevice, Director};
use crate::configuration;
use crate::data_plane::Adoption;

impl Director {
    /// Does what somebody asks over the control socket.
    pub(super) fn answer(&mut self, request: Request) -> Response {
        match request {
            Request::Edit(edits) if edits.len() > MOST_EDITS => {
                Response::Failed(format!("more than {MOST_EDITS} edits at once"))
            }
            Request::Edit(edits) => {
                let edited = edits.iter().map(|edit| self.data_plane.apply(edit).err());
                let edited = edited.collect();
                self.watch_leaving();
                Response::Edited(edited)
            }
            Request::Adopt(connections) if connections.len() > MOST_CONNECTIONS => {
                Response::Failed(format!("more than {MOST_CONNECTIONS} connections at once"))
            }
            Request::Adopt(connections) => self.adopt(&connections),
            Request::Reload => match self.reload() {
                Ok(()) => Response::Done,
                Err(failure) => Response::Failed(failure.to_string()),
            },
            Request::Difference(file) => {
                let origin = configuration::Origin {
                    file,
                    ..self.files.origin.clone()
                };
                match configuration::load_in_silence(&origin) {
                    Ok(configuration) => {
                        let configuration = self.manner.left_out.of(configuration);
                        let configuration = self.discovery.merged(&configuration);
                        Response::Difference(self.difference(&configuration))
                    }
                    Err(failure) => Response::Failed(failure.to_string()),
                }
            }
            Request::Upgrade if self.manner.of_real_server => Response::Failed(
                "this director is a part of `elver real-server`: restart that instead".to_owned(),
            ),
            Request::Upgrade => Response::Failed(self.upgrade().to_string()),
            Request::Drain { which, deadline } => self.drain(which, deadline),
            Request::Undrain(which) => self.undrain(&which),
            Request::Status => Response::Status(self.status()),
        }
    }

    /// Takes over connections of another director.
    fn adopt(&self, connections: &[ConnectionState]) -> Response {
        let outcomes: Vec<Adoption> = connections
            .iter()
            .map(|connection| self.data_plane.adopt(connection))
            .collect();
        let are = |outcome| {
            let places = outcomes.iter().enumerate();
            places.filter_map(move |(place, each)| (*each == outcome).then_some(place))
        };
        Response::Adopted {
            entered: are(Adoption::Entered).count(),
            without_real_server: are(Adoption::NoRealServer).collect(),
        }
    }

    fn status(&self) -> Status {
        let checks = self.health.iter().map(|(name, standing)| CheckStatus {
            service: VirtualServerName(&name.service).to_string(),
            real_server: RealServerName {
                service: &name.service,
                address: &name.real_server,
            }
            .to_string(),
            up: standing.health == Health::Up,
            detail: standing.detail.clone(),
        });
        let children = [
            self.vrrp
                .child
                .as_ref()
                .map(|child| (Role::Vrrp, child.id())),
            self.check
                .child
                .as_ref()
                .map(|child| (Role::Check, child.id())),
        ];
        let own = ("director".to_owned(), std::process::id());
        Status {
            instances: self.virtual_routers.states(&self.configuration),
            checks: checks.collect(),
            processes: std::iter::once(own)
                .chain(
                    children
                        .into_iter()
                        .flatten()
                        .map(|(role, id)| (role.to_string(), id)),
                )
                .collect(),
            devices: self
                .attached
                .values()
                .map(|device| {
                    let AttachedDevice { name, kind, .. } = device;
                    let words = match &device.fast_path {
                        FastPath::Attached => format!("XDP, {kind}"),
                        FastPath::Absent(why) => format!("{kind}, no XDP: {why}"),
                    };
                    (name.clone(), words)
                })
                .collect(),
            endings: self.endings(),
            drains: self.drains(),
            packets: self.data_plane.packets(),
        }
    }
}
