//! What is listened to on this host, by `/proc/net` (proc(5)).

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use elver_core::service::Protocol;

/// The states of sockets that take new connections or datagrams: `TCP_LISTEN`, and for UDP
/// `TCP_CLOSE`, which there means one that is not connected.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// The addresses and ports of TCP sockets that listen, and of UDP sockets that take datagrams
/// of everybody.
pub(super) fn read() -> io::Result<BTreeSet<(Protocol, SocketAddr)>> {
    let tables = [
        (Protocol::Tcp, "tcp", LISTENS),
        (Protocol::Tcp, "tcp6", LISTENS),
        (Protocol::Udp, "udp", UNCONNECTED),
        (Protocol::Udp, "udp6", UNCONNECTED),
    ];
    let mut all = BTreeSet::new();
    for (protocol, name, state) in tables {
        match std::fs::read_to_string(format!("/proc/net/{name}")) {
            Ok(text) => all.extend(sockets(&text, state).map(|address| (protocol, address))),
            // Without IPv6 there are no tables of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The local ends of sockets in a state: `SLOT: LOCAL:PORT REMOTE:PORT STATE …`.
fn sockets(table: &str, state: &str) -> impl Iterator<Item = SocketAddr> {
    table.lines().filter_map(move |line| {
        let mut words = line.split_whitespace();
        let (_, local, _) = (words.next()?, words.next()?, words.next()?);
        if words.next()? != state {
            return None;
        }
        let (address, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(SocketAddr::new(address_of(address)?, port))
    })
}

/// An address in words of 32 bits, each as the machine has it.
fn address_of(digits: &str) -> Option<IpAddr> {
    let word = |from: usize| {
        let digits = digits.get(from..from + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match digits.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_listens_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let datagrams = std::net::UdpSocket::bind("[::1]:0").unwrap();
        let all = read().unwrap();
        assert!(all.contains(&(Protocol::Tcp, listener.local_addr().unwrap())));
        assert!(all.contains(&(Protocol::Udp, datagrams.local_addr().unwrap())));
    }
}
