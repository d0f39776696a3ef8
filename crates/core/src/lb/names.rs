//! How keepalived's log names services, in which people search for them.

use std::fmt;
use std::net::SocketAddr;

use crate::config::model::VirtualServer;
use crate::service::{Protocol, ServiceKey};

/// A virtual server as keepalived writes it: that of a group by the group's name and its number
/// there, `[WEB]:0`, any other one as its service.
pub fn virtual_server_name(server: &VirtualServer) -> String {
    match &server.group {
        Some(group) => format!("[{}]:{}", group.name, group.number),
        None => VirtualServerName(&server.key).to_string(),
    }
}

/// A virtual service as keepalived writes it: `[10.9.0.100]:tcp:80`, `FWM 7`.
#[derive(Debug, Clone, Copy)]
pub struct VirtualServerName<'a>(pub &'a ServiceKey);

impl fmt::Display for VirtualServerName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ServiceKey::Address { protocol, address } => {
                write_endpoint(f, protocol_word(*protocol), address)
            }
            ServiceKey::Mark { mark, .. } => write!(f, "FWM {mark}"),
        }
    }
}

/// A real server as keepalived writes it, with the protocol of its service:
/// `[10.9.0.2]:tcp:80`, and `[10.9.0.2]:none:0` for a firewall mark.
#[derive(Debug, Clone, Copy)]
pub struct RealServerName<'a> {
    /// Its virtual service.
    pub service: &'a ServiceKey,
    /// RIP and rport.
    pub address: &'a SocketAddr,
}

impl fmt::Display for RealServerName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.service {
            ServiceKey::Address { protocol, .. } => protocol_word(*protocol),
            ServiceKey::Mark { .. } => "none",
        };
        write_endpoint(f, protocol, self.address)
    }
}

fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

fn write_endpoint(f: &mut fmt::Formatter<'_>, protocol: &str, address: &SocketAddr) -> fmt::Result {
    write!(f, "[{}]:{protocol}:{}", address.ip(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Family;

    #[test]
    fn names_are_those_of_keepalived() {
        let service = ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: "10.9.0.100:80".parse().unwrap(),
        };
        let mark = ServiceKey::Mark {
            mark: 7,
            family: Family::Inet,
        };
        let named = |service, address: &str| {
            let address = address.parse().unwrap();
            RealServerName {
                service,
                address: &address,
            }
            .to_string()
        };
        assert_eq!(
            VirtualServerName(&service).to_string(),
            "[10.9.0.100]:tcp:80"
        );
        assert_eq!(VirtualServerName(&mark).to_string(), "FWM 7");
        assert_eq!(named(&service, "10.9.0.2:80"), "[10.9.0.2]:tcp:80");
        assert_eq!(named(&mark, "10.9.0.2:0"), "[10.9.0.2]:none:0");
        assert_eq!(named(&service, "[2001:db8::1]:80"), "[2001:db8::1]:tcp:80");
    }
}
