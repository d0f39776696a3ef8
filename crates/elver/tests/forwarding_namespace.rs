//! `net_namespace_ipvs`: packets are forwarded in one network namespace, while VRRP and checks
//! are in another. Needs root.

use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use elver_lab::client::Conversation;
use elver_lab::director::Director;
use elver_lab::service::Service;
use elver_lab::wait::until_true;
use elver_lab::{Host, Lab};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
/// How long a client waits that is not served.
const PATIENCE: Duration = Duration::from_secs(2);
const ELVER: &str = env!("CARGO_BIN_EXE_elver");
const VIP: &str = "10.1.0.100";

/// A client and a real server on the two sides of `front`; the director meets the real server
/// alone, by another way.
struct Site {
    client: Host,
    front: Host,
    server: Host,
    director: Host,
    lab: Lab,
}

impl Site {
    fn new() -> Site {
        let lab = Lab::new("elsewhere").expect("a lab");
        let host = |name| lab.host(name).expect("a host");
        let site = Site {
            client: host("client"),
            front: host("front"),
            server: host("server"),
            director: host("director"),
            lab,
        };
        let cable = |(one, interface, address): (&Host, &str, &str), other: (&Host, &str, &str)| {
            let ends = ((one, interface), (other.0, other.1));
            site.lab.link(ends.0, ends.1).expect("a cable");
            one.add_address(interface, address).expect("an address");
            other.0.add_address(other.1, other.2).expect("an address");
        };
        let Site {
            client,
            front,
            server,
            director,
            ..
        } = &site;
        cable(
            (client, "eth0", "10.1.0.2/24"),
            (front, "eth0", "10.1.0.1/24"),
        );
        cable(
            (server, "eth0", "10.2.0.2/24"),
            (front, "eth1", "10.2.0.1/24"),
        );
        cable(
            (director, "eth0", "10.3.0.1/24"),
            (server, "eth1", "10.3.0.2/24"),
        );
        front
            .add_address("eth0", &format!("{VIP}/32"))
            .expect("an address");
        front
            .set_sysctl("net/ipv4/ip_forward", "1")
            .expect("a setting");
        server
            .add_default_route("10.2.0.1".parse().unwrap())
            .expect("a route");
        site
    }

    fn configuration(&self, namespace: &str) -> String {
        format!(
            "net_namespace_ipvs {namespace}
            vrrp_instance VI_1 {{
                interface eth0
                virtual_router_id 51
                priority 150
                virtual_ipaddress {{
                    10.3.0.100
                }}
            }}
            virtual_server {VIP} 80 {{
                delay_loop 1
                lb_algo rr
                lb_kind NAT
                protocol TCP
                real_server 10.2.0.2 8080 {{
                    TCP_CHECK {{
                        connect_ip 10.3.0.2
                        connect_timeout 1
                    }}
                }}
            }}\n"
        )
    }

    fn asks(&self, limit: Duration) -> elver_lab::Result<Conversation> {
        let vip = SocketAddrV4::new(VIP.parse().unwrap(), 80);
        Conversation::open(&self.client, vip, limit)
    }
}

#[test]
fn packets_are_forwarded_in_the_namespace_of_their_own() {
    let site = Site::new();
    let serve = || Service::start(&site.server, "server", "0.0.0.0:8080".parse().unwrap());
    let service = serve().expect("a service");
    let file = site.lab.directory().join("elver.conf");
    let text = site.configuration(site.front.namespace_name());
    std::fs::write(&file, text).expect("a file");
    let elver = Director::start(&site.lab, &site.director, Path::new(ELVER), &file);
    let elver = elver.expect("elver starts");
    let table = || elver.ipvsadm(&["-Ln"]).unwrap_or_default();
    let waits = |what: &str, is_met: &dyn Fn() -> bool| {
        let state = || format!("{}{}", table(), elver.program().log());
        until_true(what, LIMIT, || Ok(is_met()), state).expect(what);
    };
    waits("the real server to be checked", &|| {
        table().contains("10.2.0.2:8080")
    });
    let mut conversation = site.asks(LIMIT).expect("the client is served");
    assert_eq!(conversation.greeting().name, "server");
    assert_eq!(conversation.greeting().sees.ip().to_string(), "10.1.0.2");

    // VRRP is where the director was started.
    let holds = |host: &Host| host.has_address("eth0", "10.3.0.100/32").unwrap_or(false);
    waits("the director to be master", &|| holds(&site.director));
    assert!(!holds(&site.front));

    // A device that comes later is attached to as well.
    let attached = |device: &str| {
        elver
            .program()
            .log()
            .contains(&format!("{device}: attached"))
    };
    assert!(attached("eth1") && !attached("eth2"));
    let later = ((&site.front, "eth2"), (&site.client, "eth1"));
    site.lab.link(later.0, later.1).expect("a cable");
    waits("the device that came later", &|| attached("eth2"));

    // So are the checks: this one is about an address that the other namespace has no way to.
    drop(service);
    waits("the real server to go", &|| {
        !table().contains("10.2.0.2:8080")
    });
    let _service = serve().expect("a service");
    waits("the real server to come", &|| {
        table().contains("10.2.0.2:8080")
    });

    // Another namespace is for the next start.
    std::fs::write(&file, site.configuration("")).expect("a file");
    elver.program().signal(Signal::HUP).expect("a signal");
    let said = "net_namespace_ipvs: packets are forwarded where they were";
    waits("it to say so", &|| elver.program().log().contains(said));
    conversation = site.asks(LIMIT).expect("the client is served");
    conversation.echo("still").expect("it flows");

    elver.program().signal(Signal::TERM).expect("a signal");
    elver.program().wait(LIMIT).expect("it ends");
    site.asks(PATIENCE).expect_err("nobody serves any more");
    assert!(!holds(&site.director));
}

#[test]
fn a_namespace_that_is_not_there_is_named() {
    let lab = Lab::new("nowhere").expect("a lab");
    let (host, _peer) = lab
        .host_and_peer("director", &[("eth0", "10.66.0.1/24")])
        .expect("hosts");
    let file = lab.directory().join("elver.conf");
    std::fs::write(&file, "net_namespace_ipvs nowhere\n").expect("a file");
    let elver = Director::start(&lab, &host, Path::new(ELVER), &file).expect("it runs");
    let status = elver.program().wait(LIMIT).expect("it ends");
    assert!(!status.success());
    let said = "network namespace /run/netns/nowhere: No such file or directory";
    let log = elver.program().log();
    assert!(log.contains(said), "{log}");
}
