//! Names of hosts, ports and interfaces: hosts as nsswitch.conf(5) says (/etc/hosts, DNS
//! and the like), ports by /etc/services.

use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use socket2::SockAddr;

/// The first IPv4 address of a host; `None` if it has none, or the resolver does not answer.
/// Waits for DNS as long as resolv.conf(5) says.
pub fn ipv4_address_of_host(name: &str) -> Option<Ipv4Addr> {
    let name = CString::new(name).ok()?;
    // SAFETY: addrinfo consists of integers and of pointers, all of which may be zero.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = libc::AF_INET;
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut found: *mut libc::addrinfo = std::ptr::null_mut();
    // SAFETY: name is a C string, hints and found live through the call, and a null service
    // is allowed with a name.
    let error = unsafe { libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &hints, &mut found) };
    if error != 0 || found.is_null() {
        return None;
    }
    // SAFETY: on success found points to an entry with an address of the family asked for,
    // which for AF_INET is a sockaddr_in.
    let address = unsafe {
        let address: *const libc::sockaddr_in = (*found).ai_addr.cast();
        (!address.is_null()).then(|| u32::from_be((*address).sin_addr.s_addr))
    };
    // SAFETY: found came from getaddrinfo and is freed once.
    unsafe { libc::freeaddrinfo(found) };
    address.map(Ipv4Addr::from_bits)
}

/// The name of the host with an address; `None` if it has none.
/// Waits for DNS as long as resolv.conf(5) says.
pub fn host_of_address(address: IpAddr) -> Option<String> {
    let address = SockAddr::from(SocketAddr::new(address, 0));
    let mut host: [libc::c_char; libc::NI_MAXHOST as usize] = [0; libc::NI_MAXHOST as usize];
    // SAFETY: the address and its length belong together, host is writable for the length
    // that is given, and without a buffer no service name is asked for.
    let error = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len(),
            host.as_mut_ptr(),
            libc::NI_MAXHOST,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if error != 0 {
        return None;
    }
    // SAFETY: on success host holds a string with its terminating zero.
    let host = unsafe { CStr::from_ptr(host.as_ptr()) };
    Some(host.to_string_lossy().into_owned())
}

/// The C library keeps one entry for all callers of the functions below.
static SERVICES: Mutex<()> = Mutex::new(());

/// The port that /etc/services has for the name of a service of `protocol` (`tcp`, `udp` …).
pub fn port_of_service(name: &str, protocol: &str) -> Option<u16> {
    let (name, protocol) = (CString::new(name).ok()?, CString::new(protocol).ok()?);
    let _held = SERVICES.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: both are C strings, and no other thread of this module calls it meanwhile.
    let found = unsafe { libc::getservbyname(name.as_ptr(), protocol.as_ptr()) };
    // SAFETY: what is found stays as it is until the next call, which waits for the lock.
    let port = unsafe { found.as_ref() }?.s_port;
    // The port is in network order in the lower half of an int.
    Some(u16::from_be(port as u16))
}

/// The name that /etc/services has for a port of `protocol` (`tcp`, `udp` …).
pub fn service_of_port(port: u16, protocol: &str) -> Option<String> {
    let protocol = CString::new(protocol).ok()?;
    let _held = SERVICES.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: protocol is a C string, and no other thread of this module calls it meanwhile.
    let found = unsafe { libc::getservbyport(i32::from(port.to_be()), protocol.as_ptr()) };
    // SAFETY: what is found, its name included, stays as it is until the next call, which
    // waits for the lock; the name is copied before.
    let name = unsafe { CStr::from_ptr(found.as_ref()?.s_name) };
    Some(name.to_string_lossy().into_owned())
}

/// The index of a network interface, and of none if there is no such interface here.
pub fn index_of_interface(name: &str) -> Option<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};

    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(socket, name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_has_a_name_and_back() {
        assert_eq!(ipv4_address_of_host("localhost"), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(
            host_of_address(IpAddr::V4(Ipv4Addr::LOCALHOST)).as_deref(),
            Some("localhost")
        );
    }

    #[test]
    fn numbers_are_hosts_and_nonsense_is_not() {
        assert_eq!(
            ipv4_address_of_host("192.0.2.1"),
            Some(Ipv4Addr::new(192, 0, 2, 1))
        );
        for nonsense in ["", "::1", "a\0b", "no host has blanks"] {
            assert_eq!(ipv4_address_of_host(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn ports_have_the_names_of_etc_services() {
        assert_eq!(port_of_service("http", "tcp"), Some(80));
        assert_eq!(service_of_port(80, "tcp").as_deref(), Some("http"));
        assert_eq!(service_of_port(53, "udp").as_deref(), Some("domain"));
        for (name, protocol) in [("http", "sctp"), ("", "tcp"), ("80", "tcp"), ("\0", "tcp")] {
            assert_eq!(port_of_service(name, protocol), None, "{name:?}/{protocol}");
        }
    }
}
