//! Numbers and addresses as the C library reads and writes them, which is what ipvsadm's
//! users have come to rely on.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use super::Names;
use crate::service::Protocol;

/// Reads a decimal number as `strtol` does: blanks and a sign may go before it. Gives the
/// number, held to the range of i64, whether it was in that range, and what follows it.
/// `None` if there are no digits.
fn leading_number(text: &str) -> Option<(i64, bool, &str)> {
    let trimmed = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    let mut value: i64 = 0;
    let mut in_range = true;
    for digit in digits[..end].bytes().map(|byte| i64::from(byte - b'0')) {
        let digit = if negative { -digit } else { digit };
        match value.checked_mul(10).and_then(|v| v.checked_add(digit)) {
            Some(next) => value = next,
            None => {
                value = if negative { i64::MIN } else { i64::MAX };
                in_range = false;
                break;
            }
        }
    }
    Some((value, in_range, &digits[end..]))
}

/// A whole word that is a decimal number within `range`.
pub(super) fn number(text: &str, range: RangeInclusive<i64>) -> Option<i64> {
    match leading_number(text)? {
        (value, true, "") if range.contains(&value) => Some(value),
        _ => None,
    }
}

/// The number at the beginning of a word, as `atoi` reads it: 0 if there is none, and
/// only the lower 32 bits of it.
pub(super) fn leading_integer(text: &str) -> i32 {
    leading_number(text).map_or(0, |(value, _, _)| value as i32)
}

/// An IPv4 address as `inet_aton` takes it: one to four parts, the last of which fills the
/// rest of the address, in decimal, octal or hexadecimal.
pub(super) fn ipv4_address(text: &str) -> Option<Ipv4Addr> {
    // Whatever follows a blank is ignored.
    let text = text
        .split([' ', '\t', '\n', '\x0b', '\x0c', '\r'])
        .next()
        .unwrap_or(text);
    let parts: Vec<u64> = text.split('.').map(c_number).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|part| *part > 0xff) {
        return None;
    }
    let bits_of_last = 32 - 8 * leading.len() as u32;
    if *last >= 1 << bits_of_last {
        return None;
    }
    let high = leading
        .iter()
        .enumerate()
        .fold(0, |sum, (position, part)| sum | part << (24 - 8 * position));
    u32::try_from(high | last).ok().map(Ipv4Addr::from_bits)
}

/// A number as the C language writes it: `0x` before hexadecimal, `0` before octal.
fn c_number(text: &str) -> Option<u64> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let hexadecimal = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // from_str_radix would take a sign.
    digits
        .chars()
        .all(|digit| digit.is_digit(radix))
        .then(|| u64::from_str_radix(digits, radix).ok())?
}

/// An address and perhaps a port, as `-t`, `-u` and `-r` take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
}

/// Reads `host`, `host:port` or `[address]:port`. A bare IPv6 address has no port. Port
/// names are those of `protocol`.
pub(super) fn endpoint(
    text: &str,
    protocol: Option<Protocol>,
    names: &dyn Names,
) -> Option<Endpoint> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            (inside, Some(after.strip_prefix(':')?))
        }
        None => (text, None),
    };
    let (address, port) = match host.parse::<Ipv6Addr>() {
        Ok(address) => (IpAddr::V6(address), port),
        Err(_) => {
            // Brackets are for IPv6: a port behind them is not that of an IPv4 address.
            let (host, port) = match host.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host, None),
            };
            let address = ipv4_address(host).or_else(|| names.host_to_address(host))?;
            (IpAddr::V4(address), port)
        }
    };
    let port = match port {
        None => None,
        Some(text) => Some(port_number(text, protocol, names)?),
    };
    Some(Endpoint { address, port })
}

fn port_number(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<u16> {
    match number(text, 0..=65535) {
        Some(port) => u16::try_from(port).ok(),
        None => names.service_to_port(text, protocol?),
    }
}

/// Appends an address as `inet_ntop` writes it.
fn push_address(text: &mut String, address: IpAddr) {
    // Writing to a string does not fail.
    let _ = match address {
        IpAddr::V4(v4) => write!(text, "{v4}"),
        IpAddr::V6(v6) => match v6.segments() {
            // inet_ntop still writes an IPv4-compatible address (::1.2.3.4) in dotted form.
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                let v4 = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
                write!(text, "::{v4}")
            }
            _ => write!(text, "{v6}"),
        },
    };
}

/// The longest text that ipvsadm makes of an address and port: it has a buffer of 60 bytes.
const LONGEST_ENDPOINT: usize = 59;

/// Appends an address and port as lists show them, by name where there is one unless
/// `numeric`.
pub(super) fn push_endpoint(
    text: &mut String,
    endpoint: SocketAddr,
    protocol: Option<Protocol>,
    numeric: bool,
    names: &dyn Names,
) {
    let start = text.len();
    let (address, port) = (endpoint.ip(), endpoint.port());
    let host = (!numeric).then(|| names.address_to_host(address));
    if endpoint.is_ipv6() {
        text.push('[');
    }
    match host.flatten() {
        Some(host) => text.push_str(&host),
        None => push_address(text, address),
    }
    text.push_str(if endpoint.is_ipv6() { "]:" } else { ":" });
    let service = protocol
        .filter(|_| !numeric)
        .and_then(|protocol| names.port_to_service(port, protocol));
    match service {
        Some(service) => text.push_str(&service),
        None => {
            // Writing to a string does not fail.
            let _ = write!(text, "{port}");
        }
    }
    let length = shortened(&text[start..], LONGEST_ENDPOINT).len();
    text.truncate(start + length);
}

/// An address and port as lists show them, by name where there is one unless `numeric`.
pub(super) fn endpoint_text(
    endpoint: SocketAddr,
    protocol: Option<Protocol>,
    numeric: bool,
    names: &dyn Names,
) -> String {
    let mut text = String::new();
    push_endpoint(&mut text, endpoint, protocol, numeric, names);
    text
}

/// At most the first `length` bytes of a text, in whole characters.
pub(super) fn shortened(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_strtol() {
        assert_eq!(number("80", 0..=100), Some(80));
        assert_eq!(number(" +7", 0..=100), Some(7));
        assert_eq!(number("-1", -5..=100), Some(-1));
        for bad in [
            "",
            " ",
            "+",
            "-",
            "0x10",
            "1.5",
            "7 ",
            "101",
            "99999999999999999999",
        ] {
            assert_eq!(number(bad, 0..=100), None, "{bad:?}");
        }
    }

    #[test]
    fn integers_are_those_of_atoi() {
        for (text, integer) in [
            ("64", 64),
            ("255.255.255.0", 255),
            ("abc", 0),
            ("-3x", -3),
            ("4294967360", 64),
            ("99999999999999999999", -1),
        ] {
            assert_eq!(leading_integer(text), integer, "{text:?}");
        }
    }

    #[test]
    fn ipv4_addresses_are_those_of_inet_aton() {
        for (text, address) in [
            ("10.0.0.1", [10, 0, 0, 1]),
            ("24", [0, 0, 0, 24]),
            ("10.1", [10, 0, 0, 1]),
            ("10.1.2", [10, 1, 0, 2]),
            ("0x7f.1", [127, 0, 0, 1]),
            ("010.0.0.1", [8, 0, 0, 1]),
            ("4294967295", [255, 255, 255, 255]),
            ("10.0.0.1 and more", [10, 0, 0, 1]),
        ] {
            assert_eq!(
                ipv4_address(text),
                Some(Ipv4Addr::from(address)),
                "{text:?}"
            );
        }
        for bad in [
            "",
            "a",
            "1.",
            ".1",
            "1.2.3.4.5",
            "256.0.0.1",
            "1.2.3.256",
            "4294967296",
            "08",
            "0x",
            "1.+2.3.4",
            "10.0.0.1x",
            "-1",
            " 1.2.3.4",
        ] {
            assert_eq!(ipv4_address(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_written_as_inet_ntop_does() {
        for (text, written) in [
            ("::1", "::1"),
            ("::", "::"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
            ("::102:304", "::1.2.3.4"),
            ("::1:0", "::0.1.0.0"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ] {
            let mut address = String::new();
            push_address(&mut address, text.parse().expect(text));
            assert_eq!(address, written);
        }
    }
}
