//! The network that directors are tested in.
//!
//! ```text
//!  client 172.17.42.110 ──┐ front ┌── director N, 172.17.42.(110+N) on eth0 ──┐ back
//!                         └───────┘              172.18.42.(110+N) on eth1    │
//!                                     real server N, 172.18.42.(120+N) ───────┘
//! ```

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use elver_lab::client::Conversation;
use elver_lab::director::{Director, unload_leftovers};
use elver_lab::nat::{DIP, SERVICE, VIP};
use elver_lab::service::Service;
use elver_lab::wait::{self, Look};
use elver_lab::{Host, Lab, Result};

use crate::configuration::Configuration;

/// How long anything may take that has to happen; generous, for a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn elver() -> PathBuf {
    let path = match std::env::var_os("ELVER") {
        Some(path) => PathBuf::from(path),
        None => {
            // target/PROFILE/deps/TEST
            let test = std::env::current_exe().expect("the path of this program");
            test.ancestors()
                .nth(2)
                .expect("target/PROFILE")
                .join("elver")
        }
    };
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build -p elver`, or name the program in ELVER",
        path.display()
    );
    path
}

/// A real server with what runs on it.
pub(crate) struct RealServer {
    pub(crate) host: Host,
    pub(crate) address: Ipv4Addr,
    /// The service itself, on port 3306.
    pub(crate) service: Option<Service>,
    /// What the check connects to, on port 22.
    pub(crate) checked: Option<Service>,
}

impl RealServer {
    pub(crate) fn serve(&mut self) {
        self.service = Some(self.listen(3306));
        self.start_checked();
    }

    pub(crate) fn start_checked(&mut self) {
        self.checked = Some(self.listen(22));
    }

    fn listen(&self, port: u16) -> Service {
        let address = std::net::SocketAddrV4::new(self.address, port);
        Service::start(&self.host, self.host.name(), address).expect("a service")
    }
}

pub(crate) struct Site {
    pub(crate) real_servers: Vec<RealServer>,
    pub(crate) directors: Vec<Host>,
    pub(crate) client: Host,
    /// The switches at the front and at the back.
    pub(crate) switches: [Host; 2],
    /// Last, so that it goes last.
    pub(crate) lab: Lab,
}

impl Site {
    /// Two real servers that serve, a client, and so many hosts for directors.
    pub(crate) fn new(name: &str, directors: u8) -> Self {
        unload_leftovers(name, &elver()).expect("the leftovers go");
        let lab = Lab::new(name).expect("a lab");
        let host = |name: &str| lab.host(name).expect("a host");
        let client = host("client");
        let directors: Vec<_> = (1..=directors)
            .map(|n| host(&format!("director{n}")))
            .collect();
        let real_servers: Vec<_> = (1..=2_u8)
            .map(|n| RealServer {
                host: host(&format!("real-server{n}")),
                address: Ipv4Addr::new(172, 18, 42, 120 + n),
                service: None,
                checked: None,
            })
            .collect();

        let front: Vec<_> = std::iter::once(&client)
            .chain(&directors)
            .map(|host| (host, "eth0"))
            .collect();
        let front = lab.segment("front", &front).expect("a segment");
        let servers = real_servers.iter().map(|server| (&server.host, "eth0"));
        let back: Vec<_> = directors
            .iter()
            .map(|host| (host, "eth1"))
            .chain(servers)
            .collect();
        let back = lab.segment("back", &back).expect("a segment");

        let add = |host: &Host, interface, address: String| {
            host.add_address(interface, &address).expect("an address");
        };
        add(&client, "eth0", "172.17.42.110/16".to_owned());
        for (n, director) in (1..).zip(&directors) {
            add(director, "eth0", format!("172.17.42.{}/16", 110 + n));
            add(director, "eth1", format!("172.18.42.{}/16", 110 + n));
            director
                .set_sysctl("net/ipv4/ip_forward", "1")
                .expect("forwarding");
        }
        for server in &real_servers {
            add(&server.host, "eth0", format!("{}/16", server.address));
            server.host.add_default_route(DIP).expect("a route");
        }
        let mut site = Self {
            real_servers,
            directors,
            client,
            switches: [front, back],
            lab,
        };
        site.real_servers.iter_mut().for_each(RealServer::serve);
        site
    }

    /// The addresses of the real servers, in order.
    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        self.real_servers
            .iter()
            .map(|server| server.address)
            .collect()
    }

    /// Writes a configuration for the director at `index`, from 0, and says where.
    pub(crate) fn write(&self, index: usize, text: &str) -> PathBuf {
        let path = self
            .lab
            .directory()
            .join(format!("{}.conf", self.directors[index].name()));
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Starts elver on the director at `index`.
    pub(crate) fn start(&self, index: usize, configuration: &Configuration) -> Director {
        let path = self.write(index, &configuration.text());
        Director::start(&self.lab, &self.directors[index], &elver(), &path).expect("a director")
    }

    /// Starts elver on the first director with both real servers, and waits until it serves.
    pub(crate) fn serve(&self) -> Director {
        let director = self.start(0, &Configuration::new(&self.addresses()));
        wait_until_master(&director);
        wait_for_real_servers(&director, &self.addresses());
        director
    }

    /// Connects the client to the virtual service.
    pub(crate) fn connect(&self) -> Result<Conversation> {
        Conversation::open(&self.client, SERVICE, LIMIT)
    }

    /// Connects the client, and tells which real server answered.
    pub(crate) fn who_answers(&self) -> String {
        self.connect()
            .expect("a connection")
            .greeting()
            .name
            .clone()
    }
}

/// Whether `host` holds both virtual addresses.
pub(crate) fn holds_addresses(host: &Host) -> [bool; 2] {
    [("eth0", VIP), ("eth1", DIP)].map(|(interface, address)| {
        host.has_address(interface, &format!("{address}/32"))
            .expect("a listing")
    })
}

/// Waits until `host` holds both virtual addresses, or neither.
pub(crate) fn wait_for_addresses(host: &Host, held: bool) {
    let awaited = format!(
        "{} {} VIP and DIP",
        host.name(),
        if held { "to hold" } else { "to drop" }
    );
    wait::until(&awaited, LIMIT, || {
        let now = holds_addresses(host);
        Ok(if now == [held; 2] {
            Look::Met(())
        } else {
            Look::NotYet(format!("held: {now:?}"))
        })
    })
    .expect("the addresses");
}

/// [`wait_for_addresses`] held by a director, which has to live.
pub(crate) fn wait_until_master(director: &Director) {
    wait::until("the director to hold VIP and DIP", LIMIT, || {
        director.check_running()?;
        let held = holds_addresses(director.host());
        Ok(if held == [true; 2] {
            Look::Met(())
        } else {
            Look::NotYet(format!(
                "held: {held:?}; its log:\n{}",
                director.program().log()
            ))
        })
    })
    .expect("a master");
}

/// Waits until the virtual service has exactly these real servers.
pub(crate) fn wait_for_real_servers(director: &Director, expected: &[Ipv4Addr]) {
    let expected: BTreeSet<_> = expected
        .iter()
        .map(|address| format!("{address}:3306"))
        .collect();
    let awaited = format!("the table to hold {expected:?}");
    wait::until(&awaited, LIMIT, || {
        director.check_running()?;
        let output = director.command(&["ipvsadm", "-Ln"])?;
        let has_service = output
            .stdout
            .lines()
            .any(|line| line.starts_with(&format!("TCP  {SERVICE} rr")));
        let found: BTreeSet<_> = output
            .stdout
            .lines()
            .filter_map(|line| {
                line.trim_start()
                    .strip_prefix("-> ")?
                    .split_whitespace()
                    .next()
            })
            // The second line of the head has an arrow, too.
            .filter(|server| *server != "RemoteAddress:Port")
            .map(str::to_owned)
            .collect();
        Ok(if has_service && found == expected {
            Look::Met(())
        } else {
            Look::NotYet(format!("{}{}", output.stdout, output.stderr))
        })
    })
    .expect("the real servers");
}

/// Whether anything below `directory` has `name` in its path.
pub(crate) fn is_named_below(directory: &Path, name: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return false;
    };
    entries.filter_map(std::result::Result::ok).any(|entry| {
        entry.file_name().to_string_lossy().contains(name)
            || entry.file_type().is_ok_and(|kind| kind.is_dir())
                && is_named_below(&entry.path(), name)
    })
}
