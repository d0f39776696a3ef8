//! A virtual address's port that leads into a container: the director sends it by a tunnel to
//! the host, where it comes out and goes on by NAT, and the answers go straight to the client.
//!
//! ```text
//! client 172.17.42.110 ──┬── director 172.17.42.111, VIP 172.17.42.200:36000
//!                        └── host 172.17.42.40 ── docker0 172.18.0.1 ── container 172.18.0.2:22
//! ```

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use elver_lab::capture::Capture;
use elver_lab::client::Conversation;
use elver_lab::decode::Decoded;
use elver_lab::director::{Director, unload_leftovers};
use elver_lab::service::Service;
use elver_lab::wait::{self, Look};
use elver_lab::{Host, Lab, Program};

use crate::{LIMIT, elver};

/// The director's configuration, as the document has it that elver sets out from.
const CONFIGURATION: &str = include_str!("../../examples/docker/keepalived.conf");

/// What the host does with what comes out of the tunnel.
const INTO_CONTAINER: &str = "\
virtual_server 172.17.42.200 36000 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 172.18.0.2 22 {
    }
}
";

const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(172, 17, 42, 200), 36_000);
const CONTAINER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(172, 18, 0, 2), 22);

struct Site {
    client: Host,
    director: Host,
    host: Host,
    _services: [Service; 2],
    director_file: PathBuf,
    container_file: PathBuf,
    lab: Lab,
}

impl Site {
    fn new(name: &str) -> Site {
        unload_leftovers(name, &elver()).expect("the leftovers go");
        let lab = Lab::new(name).expect("a lab");
        let host = |name: &str| lab.host(name).expect("a host");
        let (client, director, docker) = (host("client"), host("director"), host("docker"));
        let container = host("container");
        let ends = [(&client, "eth0"), (&director, "eth0"), (&docker, "eth0")];
        lab.segment("switch", &ends).expect("a segment");
        lab.link((&docker, "veth0"), (&container, "eth0"))
            .expect("a link");
        for arguments in [
            &["link", "add", "docker0", "type", "bridge"][..],
            &["link", "set", "veth0", "master", "docker0"],
            &["link", "set", "docker0", "up"],
        ] {
            docker.ip(arguments).expect("a bridge");
        }
        for (host, device, address) in [
            (&client, "eth0", "172.17.42.110/16"),
            (&director, "eth0", "172.17.42.111/16"),
            (&docker, "eth0", "172.17.42.40/16"),
            (&docker, "docker0", "172.18.0.1/16"),
            (&container, "eth0", "172.18.0.2/16"),
        ] {
            host.add_address(device, address).expect("an address");
        }
        let gateway = Ipv4Addr::new(172, 18, 0, 1);
        container.add_default_route(gateway).expect("a route");
        // As Docker has it.
        docker
            .set_sysctl("net/ipv4/ip_forward", "1")
            .expect("forwarding");
        // The seed's check knocks at the host's own port 22.
        let own = SocketAddrV4::new(Ipv4Addr::new(172, 17, 42, 40), 22);
        let services = [
            Service::start(&docker, "host", own).expect("a service"),
            Service::start(&container, "container", CONTAINER).expect("a service"),
        ];
        let write = |name: &str, text: &str| {
            let path = lab.directory().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        Site {
            director_file: write("keepalived.conf", CONFIGURATION),
            container_file: write("containers.conf", INTO_CONTAINER),
            client,
            director,
            host: docker,
            _services: services,
            lab,
        }
    }

    fn start_role(&self) -> Program {
        let mut command = self.host.command(elver()).expect("a command");
        let instance = self.host.namespace_name();
        command.args(["real-server", "--instance", instance, "-f"]);
        command.arg(&self.director_file);
        command.args(["--director", "172.17.42.111"]);
        let program = self.host.start("role", command).expect("a role");
        until_log(&program, " runs: ");
        program
    }

    fn start_nat(&self) -> Director {
        let director = Director::start(&self.lab, &self.host, &elver(), &self.container_file);
        let director = director.expect("a director");
        until_log(director.program(), "docker0: attached");
        director
    }

    /// The client reaches the container, and no answer passes the director.
    fn works(&self) {
        let capture = Capture::start(&self.director, "eth0").expect("a capture");
        let mut conversation =
            Conversation::open(&self.client, SERVICE, LIMIT).expect("a connection");
        assert_eq!(conversation.greeting().name, "container");
        assert_eq!(conversation.greeting().at, CONTAINER.into());
        let own = conversation.local_address().expect("an address");
        assert_eq!(
            conversation.greeting().sees,
            own,
            "the client's own address"
        );
        conversation.upload(16 << 20).expect("data");
        conversation.download(16 << 20).expect("data");
        let frames = capture.finish();
        let of = |is_it: &dyn Fn(&Decoded) -> bool| {
            frames.iter().filter(|frame| is_it(&frame.decode())).count()
        };
        let requests = of(
            &|decoded| matches!(decoded, Decoded::Tcp(tcp) if tcp.destination == SERVICE.into()),
        );
        let answers =
            of(&|decoded| matches!(decoded, Decoded::Tcp(tcp) if tcp.source == SERVICE.into()));
        assert!(requests > 0, "nothing came by the director");
        assert_eq!(answers, 0, "answers passed the director");
    }
}

fn until_log(program: &Program, words: &str) {
    wait::until(words, LIMIT, || {
        let log = program.log();
        Ok(if log.contains(words) {
            Look::Met(())
        } else {
            Look::NotYet(log)
        })
    })
    .expect("a program that runs");
}

/// The director with its table, its address and its tunnel.
fn direct(site: &Site) -> Director {
    let director = Director::start(&site.lab, &site.director, &elver(), &site.director_file);
    let director = director.expect("a director");
    wait::until("the director", LIMIT, || {
        let output = director.command(&["ipvsadm", "-Ln"])?;
        let vip = format!("{}/32", SERVICE.ip());
        let is_held = site.director.has_address("eth0", &vip)?;
        Ok(if is_held && output.stdout.contains("Tunnel") {
            Look::Met(())
        } else {
            Look::NotYet(format!("{}{}", output.stdout, output.stderr))
        })
    })
    .expect("a director that runs");
    director
}

#[test]
fn a_container_is_reached_by_tunnel_and_nat_without_a_rule_of_iptables() {
    let site = Site::new("container");
    let _director = direct(&site);
    let _role = site.start_role();
    let nat = site.start_nat();
    let status = nat.status().expect("a status");
    assert!(status.contains("docker0"), "{status}");
    assert!(!status.contains("veth0"), "a port is attached to: {status}");
    site.works();
}

/// What comes out of the tunnel is for the NAT whichever of the two has started first.
#[test]
fn the_order_of_starting_makes_no_difference() {
    let site = Site::new("container-order");
    let _director = direct(&site);
    let _nat = site.start_nat();
    let _role = site.start_role();
    site.works();
}
