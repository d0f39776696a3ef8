//! What other programs print of themselves.

use elver_core::firewall::{iptables, nft};
use elver_core::ipvsadm::kernel_connections;

/// The rules of netfilter as iptables-save(8) and `nft --json` show them, and the connections of
/// the kernel's IPVS.
pub(crate) fn read(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    for is_ipv4 in [true, false] {
        let _ = iptables::tables("iptables", is_ipv4, &text);
    }
    // The JSON, and behind an empty line the text of the same.
    let (json, texts) = text.split_once("\n\n").unwrap_or((&text, ""));
    let _ = nft::tables(json, texts);
    let _ = kernel_connections(&text).count();
}
