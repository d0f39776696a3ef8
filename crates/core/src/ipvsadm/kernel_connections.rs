//! What the kernel's IPVS tells of its connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::service::ConnectionState;

/// Reads `/proc/net/ip_vs_conn`. Lines that are none of a connection, such as the heading, are
/// left out.
///
/// ```text
/// Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
/// TCP 0A420102 8E1C 0A420064 0050 0A420202 1F90 ESTABLISHED     898
/// ```
///
/// Numbers are hexadecimal, but for the seconds; addresses of IPv6 are in their usual form.
/// Source: `ip_vs_conn_seq_show` in the kernel.
pub fn kernel_connections(text: &str) -> impl Iterator<Item = ConnectionState> + '_ {
    text.lines().filter_map(connection)
}

fn connection(line: &str) -> Option<ConnectionState> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [protocol, rest @ ..] = &*fields else {
        return None;
    };
    let protocol = match *protocol {
        // A persistence template of a firewall mark.
        "IP" => 0,
        "TCP" => 6,
        "UDP" => 17,
        "SCTP" => 132,
        _ => return None,
    };
    let [
        from,
        from_port,
        to,
        to_port,
        destination,
        destination_port,
        state,
        expires,
        engine @ ..,
    ] = rest
    else {
        return None;
    };
    Some(ConnectionState {
        protocol,
        client: endpoint(from, from_port)?,
        virtual_address: endpoint(to, to_port)?,
        destination: endpoint(destination, destination_port)?,
        state: (*state).to_owned(),
        expires_in: Duration::from_secs(expires.parse().ok()?),
        engine_data: match engine {
            [engine, data, ..] => Some(((*engine).to_owned(), (*data).to_owned())),
            _ => None,
        },
    })
}

fn endpoint(address: &str, port: &str) -> Option<SocketAddr> {
    let ip = match u32::from_str_radix(address, 16) {
        Ok(bits) => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        Err(_) => IpAddr::V6(address.parse().ok()?),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}
