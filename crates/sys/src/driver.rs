//! What a device's driver is and can do.

use std::ffi::CStr;
use std::io;
use std::sync::OnceLock;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};

/// `SIOCETHTOOL` of `linux/sockios.h`, and `ETHTOOL_GDRVINFO` of `linux/ethtool.h`.
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 3;
/// `SIOCGIWNAME` of `linux/wireless.h`: only wireless devices answer.
const SIOCGIWNAME: libc::c_ulong = 0x8b01;

/// `struct ifreq` of `linux/if.h`, as far as it is used here.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    data: *mut libc::c_void,
    unused: [u8; 16],
}

/// `struct ethtool_drvinfo` of `linux/ethtool.h`.
#[repr(C)]
struct DriverInformation {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// The name of a device's driver, as `ethtool -i` shows it; none if the device does not tell,
/// or is gone.
pub fn driver_name(device: &str) -> Option<String> {
    let mut information = DriverInformation {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        rest: [0; 160],
    };
    let data = (&raw mut information).cast();
    ask(device, SIOCETHTOOL, data)?;
    let name = CStr::from_bytes_until_nul(&information.driver).ok()?;
    Some(name.to_string_lossy().into_owned())
}

/// Whether the device is a wireless one.
pub fn is_wireless(device: &str) -> bool {
    ask(device, SIOCGIWNAME, std::ptr::null_mut()).is_some()
}

fn ask(device: &str, what: libc::c_ulong, data: *mut libc::c_void) -> Option<()> {
    use std::os::fd::AsRawFd;
    let mut request = Request {
        name: [0; libc::IFNAMSIZ],
        data,
        unused: [0; 16],
    };
    let name = request.name.get_mut(..device.len())?;
    name.copy_from_slice(device.as_bytes());
    // The name ends with a 0.
    if request.name.last() != Some(&0) {
        return None;
    }
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    // SAFETY: the request is one of `struct ifreq`, and its data are what the command asks for.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut request) };
    (answer == 0).then_some(())
}

/// What a driver does with XDP as its device is set up now (`enum netdev_xdp_act` of
/// `linux/netdev.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpFeatures(u64);

impl XdpFeatures {
    /// It runs programs.
    pub fn runs(self) -> bool {
        self.0 & 1 != 0
    }

    /// Its programs can send frames to other devices.
    pub fn sends(self) -> bool {
        self.0 & 1 << 1 != 0
    }

    /// It takes frames that programs of other devices send to it.
    pub fn takes(self) -> bool {
        self.0 & 1 << 2 != 0
    }
}

/// What the driver of a device, by its index, does with XDP. None where the kernel does not
/// tell: before Linux 6.3, or if the device is gone.
///
/// # Errors
/// What the kernel says about the socket.
pub fn xdp_features(device: u32) -> io::Result<Option<XdpFeatures>> {
    /// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY` and attributes of `linux/genetlink.h`.
    const CONTROLLER: u16 = 16;
    const GET_FAMILY: u8 = 3;
    const FAMILY_ID: u16 = 1;
    const FAMILY_NAME: u16 = 2;
    /// `NETDEV_CMD_DEV_GET` and attributes of `linux/netdev.h`.
    const DEVICE_GET: u8 = 1;
    const DEVICE_INDEX: u16 = 1;
    const DEVICE_XDP_FEATURES: u16 = 3;

    /// The number of the family, which stays the same while the kernel runs.
    static FAMILY: OnceLock<Option<u16>> = OnceLock::new();

    let family = match FAMILY.get() {
        Some(family) => *family,
        None => {
            let answer = request(CONTROLLER, GET_FAMILY, FAMILY_NAME, b"netdev\0")?;
            let answer = answer.unwrap_or_default();
            let id = attribute(&answer, FAMILY_ID).and_then(|value| value.first_chunk());
            *FAMILY.get_or_init(|| id.map(|id| u16::from_ne_bytes(*id)))
        }
    };
    let Some(family) = family else {
        return Ok(None);
    };
    let index = device.to_ne_bytes();
    let Some(answer) = request(family, DEVICE_GET, DEVICE_INDEX, &index)? else {
        return Ok(None);
    };
    let features = attribute(&answer, DEVICE_XDP_FEATURES).and_then(|value| value.first_chunk());
    Ok(features.map(|value| XdpFeatures(u64::from_ne_bytes(*value))))
}

/// Octets of a netlink header, and of the generic one after it.
const NETLINK_HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;

/// Sends a generic netlink request with one attribute; gives the attributes of the answer, or
/// none if the kernel refuses.
///
/// ```text
/// | length (4) | family (2) | flags (2) | sequence (4) | port (4) | command (1) | version (1) | 0 (2) | attributes
/// attribute: | length (2) | type (2) | value | padding to 4
/// ```
fn request(family: u16, command: u8, kind: u16, value: &[u8]) -> io::Result<Option<Vec<u8>>> {
    /// `NETLINK_GENERIC`, `NLM_F_REQUEST` and `NLMSG_ERROR` of `linux/netlink.h`.
    const GENERIC: rustix::net::Protocol = rustix::net::netlink::GENERIC;
    const REQUEST: u16 = 1;
    const ERROR: u16 = 2;

    let length = 4 + value.len();
    let total = NETLINK_HEADER + GENERIC_HEADER + length.next_multiple_of(4);
    let mut octets = Vec::with_capacity(total);
    octets.extend((total as u32).to_ne_bytes());
    octets.extend(family.to_ne_bytes());
    octets.extend(REQUEST.to_ne_bytes());
    octets.extend([0; 8]);
    octets.extend([command, 1, 0, 0]);
    octets.extend((length as u16).to_ne_bytes());
    octets.extend(kind.to_ne_bytes());
    octets.extend(value);
    octets.resize(total, 0);

    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, Some(GENERIC))?;
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &octets, SendFlags::empty(), &kernel)?;
    let mut buffer = vec![0; 8192];
    let (length, _) = rustix::net::recv(&socket, &mut buffer, RecvFlags::empty())?;
    buffer.truncate(length);
    let answer = buffer.get(4..6).and_then(|kind| kind.first_chunk::<2>());
    if answer.is_none_or(|kind| u16::from_ne_bytes(*kind) == ERROR) {
        return Ok(None);
    }
    let attributes = buffer.get(NETLINK_HEADER + GENERIC_HEADER..);
    Ok(attributes.map(<[u8]>::to_vec))
}

/// The value of the first attribute of a kind.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let [a, b, c, d] = *rest.first_chunk::<4>()?;
        let (length, kind) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
        let length = usize::from(length);
        let value = rest.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_or_not_and_never_read_past_the_end() {
        let octets = [6, 0, 1, 0, 7, 8, 0, 0, 8, 0, 2, 0, 1, 2, 3, 4];
        assert_eq!(attribute(&octets, 1), Some(&[7, 8][..]));
        assert_eq!(attribute(&octets, 2), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&octets, 3), None);
        assert_eq!(attribute(&octets[..15], 2), None);
        assert_eq!(attribute(&[0; 8], 3), None);
    }

    #[test]
    fn loopback_is_neither_wireless_nor_driven() {
        assert!(!is_wireless("lo"));
        assert_eq!(driver_name("a-name-that-is-too-long"), None);
    }
}
