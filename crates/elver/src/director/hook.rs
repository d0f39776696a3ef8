//! Which devices have XDP in front of tc.

use std::collections::{BTreeMap, BTreeSet};

use elver_sys::driver::{self, XdpFeatures};
use elver_sys::netlink::Link;

/// Where packets are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Hook {
    /// At XDP and tc where the driver runs XDP and the device is a network card, else at tc
    Auto,
    /// At tc
    Tc,
    /// At XDP and tc on every device, or not at all
    Xdp,
}

/// Whether a device has XDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FastPath {
    /// It has.
    Attached,
    /// It has not, and why.
    Absent(String),
}

impl Hook {
    /// Why a device is to be without XDP, if it is.
    pub(super) fn objection(self, link: &Link, links: &BTreeMap<u32, &Link>) -> Option<String> {
        if link.loopback {
            return Some("the loopback device has no driver".to_owned());
        }
        match self {
            Hook::Tc => Some("as told by --hook tc".to_owned()),
            Hook::Xdp => None,
            Hook::Auto => of_kind(link, links).or_else(|| {
                let features = driver::xdp_features(link.index).ok().flatten();
                of_driver(
                    driver::driver_name(&link.name).as_deref(),
                    driver::is_wireless(&link.name),
                    features,
                )
            }),
        }
    }
}

/// What a device is that speaks against XDP. On a veth the checksums of local senders are
/// unfinished; what is a device in software has no driver that would gain anything; and of
/// frames of a VLAN, whose tag the card may have taken off, XDP cannot tell that they are.
fn of_kind(link: &Link, links: &BTreeMap<u32, &Link>) -> Option<String> {
    if let Some(kind) = &link.kind {
        return Some(format!("{kind} devices are no network cards"));
    }
    let on_it =
        |other: &&&Link| other.lower == Some(link.index) && other.kind.as_deref() == Some("vlan");
    let vlan = links.values().find(on_it)?;
    Some(format!("it carries the VLAN {}", vlan.name))
}

/// What speaks against XDP of what the driver says.
fn of_driver(
    name: Option<&str>,
    is_wireless: bool,
    features: Option<XdpFeatures>,
) -> Option<String> {
    if is_wireless {
        return Some("wireless devices have none".to_owned());
    }
    let name = name?;
    match features {
        Some(features) if !features.runs() => Some(format!("the driver {name} has none")),
        Some(features) if !features.sends() => {
            Some(format!("the driver {name} cannot forward from it"))
        }
        _ => None,
    }
}

/// The link-layer addresses that frames for this host have on devices with XDP: the device's
/// own, and those of the virtual routers on it.
pub(super) fn stations(
    links: &BTreeMap<u32, &Link>,
    has_xdp: &BTreeSet<u32>,
) -> BTreeSet<(u32, [u8; 6])> {
    let mut stations = BTreeSet::new();
    for (index, link) in links {
        let Some(mac) = link.mac else {
            continue;
        };
        let is_virtual_router = link.kind.as_deref() == Some("macvlan");
        let device = if is_virtual_router {
            link.lower
        } else {
            Some(*index)
        };
        stations.extend(device.filter(|on| has_xdp.contains(on)).map(|on| (on, mac)));
    }
    stations
}

/// The devices, among these links, that take frames from XDP.
pub(super) fn redirects(links: &BTreeMap<u32, &Link>, has_xdp: &BTreeSet<u32>) -> BTreeSet<u32> {
    let takes = |index: &u32, link: &Link| match driver::xdp_features(*index) {
        Ok(Some(features)) => features.takes(),
        // Older kernels do not tell. A card that has XDP itself takes frames; of a veth it
        // depends on its peer, which may be anywhere.
        _ => has_xdp.contains(index) && link.kind.is_none(),
    };
    links
        .iter()
        .filter(|(index, link)| link.up && takes(index, link))
        .map(|(index, _)| *index)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, kind: Option<&str>, lower: Option<u32>) -> Link {
        Link {
            index,
            name: format!("device{index}"),
            mac: Some([2, 0, 0, 0, 0, index as u8]),
            mtu: 1500,
            up: true,
            running: true,
            loopback: false,
            no_arp: false,
            kind: kind.map(str::to_owned),
            controller: None,
            lower,
            vrf_table: None,
        }
    }

    fn by_index(links: &[Link]) -> BTreeMap<u32, &Link> {
        links.iter().map(|link| (link.index, link)).collect()
    }

    #[test]
    fn only_network_cards_without_vlans_come_into_question() {
        let links = [
            link(2, None, None),
            link(3, None, None),
            link(4, Some("vlan"), Some(3)),
            link(5, Some("veth"), Some(2)),
            link(6, Some("macvlan"), Some(2)),
        ];
        let links = by_index(&links);
        let objections: Vec<Option<String>> =
            links.values().map(|link| of_kind(link, &links)).collect();
        let words = |text: &str| Some(text.to_owned());
        assert_eq!(
            objections,
            [
                None,
                words("it carries the VLAN device4"),
                words("vlan devices are no network cards"),
                words("veth devices are no network cards"),
                words("macvlan devices are no network cards"),
            ]
        );
    }

    #[test]
    fn frames_for_a_virtual_router_are_for_us_on_the_device_below_it() {
        let links = [
            link(2, None, None),
            link(3, None, None),
            link(6, Some("macvlan"), Some(2)),
            link(7, Some("macvlan"), Some(3)),
        ];
        assert_eq!(
            stations(&by_index(&links), &BTreeSet::from([2])),
            BTreeSet::from([(2, [2, 0, 0, 0, 0, 2]), (2, [2, 0, 0, 0, 0, 6])])
        );
    }

    #[test]
    fn wireless_devices_and_drivers_without_xdp_are_left_to_tc() {
        assert_eq!(of_driver(Some("e1000"), false, None), None);
        assert!(of_driver(Some("iwlwifi"), true, None).is_some());
    }
}
