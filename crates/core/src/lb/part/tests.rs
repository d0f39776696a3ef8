use super::*;
use crate::config::model::Configuration;
use crate::config::{Source, load};
use crate::lb::{Quorums, desired};

const SLOW_START: Duration = Duration::from_secs(60);

/// A virtual server with two real servers that start slowly.
fn configuration(weights: [u32; 2]) -> Configuration {
    let text = format!(
        "virtual_server 192.0.2.1 80 {{
            protocol TCP
            lb_algo wrr
            lb_kind NAT
            slow_start 60
            real_server 10.0.0.1 80 {{
                weight {}
            }}
            real_server 10.0.0.2 80 {{
                weight {}
            }}
        }}",
        weights[0], weights[1]
    );
    load(&Text(text), "a.conf").configuration.unwrap()
}

struct Text(String);

impl Source for Text {
    fn read(&self, _path: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }

    fn list(&self, _directory: &str) -> Vec<String> {
        Vec::new()
    }
}

/// The weights in the data plane, in the order of the file.
fn weights(parts: &Parts, configuration: &Configuration) -> Vec<(u8, u32)> {
    let part_of = |server: &VirtualServer, real: &RealServer| {
        parts.of(server, real, Some(real.settings.weight))
    };
    let services = desired(&configuration.virtual_servers, part_of, &Quorums::default());
    let destinations = services[0].destinations.iter();
    let last_octet = |address: &SocketAddr| match address.ip() {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(_) => 0,
    };
    destinations
        .map(|(address, settings)| (last_octet(address), settings.weight))
        .collect()
}

#[test]
fn a_slow_start_comes_to_the_whole_weight_step_by_step() {
    let configuration = configuration([1, 3]);
    let server = &configuration.virtual_servers[0];
    let (mut now, mut parts) = (Instant::now(), Parts::default());
    assert_eq!(parts.poll_timeout(), None);
    let begun = now;
    parts.came_up(now, server.key, &server.real_servers[0]);
    // A weight of 1 has no parts, so all weights are twenty times as large meanwhile.
    assert_eq!(weights(&parts, &configuration), [(1, 1), (2, 60)]);
    let mut shares = Vec::new();
    while let Some(next) = parts.poll_timeout() {
        assert!(next > now);
        now = next;
        assert!(parts.concern(server.key, server.real_servers[0].address));
        parts.handle_timeout(now);
        shares.push(weights(&parts, &configuration)[0].1);
    }
    assert_eq!(now - begun, SLOW_START);
    let (last, rising) = shares.split_last().unwrap();
    assert_eq!(rising, (1..STEPS).collect::<Vec<_>>());
    assert_eq!(*last, 1);
    assert_eq!(weights(&parts, &configuration), [(1, 1), (2, 3)]);
}

#[test]
fn a_slow_start_ends_when_the_real_server_goes_down() {
    let configuration = configuration([40, 0]);
    let server = &configuration.virtual_servers[0];
    let (now, mut parts) = (Instant::now(), Parts::default());
    parts.came_up(now, server.key, &server.real_servers[0]);
    parts.handle_timeout(now + SLOW_START / 2);
    assert_eq!(weights(&parts, &configuration), [(1, 20), (2, 0)]);
    parts.went_down(server.key, server.real_servers[0].address);
    assert_eq!(parts.poll_timeout(), None);
}

#[test]
fn weights_that_leave_no_room_are_not_multiplied() {
    let configuration = configuration([1, i32::MAX as u32]);
    let server = &configuration.virtual_servers[0];
    let (now, mut parts) = (Instant::now(), Parts::default());
    parts.came_up(now, server.key, &server.real_servers[0]);
    let expected = [(1, 1), (2, i32::MAX as u32)];
    assert_eq!(weights(&parts, &configuration), expected);
}

#[test]
fn who_drains_has_no_weight_and_goes_at_the_deadline() {
    let configuration = configuration([1, 3]);
    let (now, mut parts) = (Instant::now(), Parts::default());
    let which: RealServerPattern = "10.0.0.2:80".parse().unwrap();
    parts.drain(which, Some(now + SLOW_START));
    assert_eq!(weights(&parts, &configuration), [(1, 1), (2, 0)]);
    assert_eq!(parts.poll_timeout(), Some(now + SLOW_START));
    parts.handle_timeout(now + SLOW_START);
    assert_eq!(weights(&parts, &configuration), [(1, 1)]);
    assert_eq!(parts.poll_timeout(), None);
    assert!(parts.undrain(&which));
    assert!(!parts.undrain(&which));
    assert_eq!(weights(&parts, &configuration), [(1, 1), (2, 3)]);
}

#[test]
fn operators_name_real_servers_with_and_without_port() {
    for (text, matches) in [
        ("10.0.0.1", [true, true]),
        ("10.0.0.1:80", [true, false]),
        ("10.0.0.2", [false, false]),
    ] {
        let pattern: RealServerPattern = text.parse().unwrap();
        assert_eq!(pattern.to_string(), text);
        let of = |text: &str| pattern.matches(&text.parse().unwrap());
        assert_eq!([of("10.0.0.1:80"), of("10.0.0.1:81")], matches, "{text}");
    }
    let pattern: RealServerPattern = "[2001:db8::1]:80".parse().unwrap();
    assert!(pattern.matches(&"[2001:db8::1]:80".parse().unwrap()));
    let error = "web-7".parse::<RealServerPattern>().unwrap_err();
    assert!(error.contains("neither the address"), "{error}");
}
