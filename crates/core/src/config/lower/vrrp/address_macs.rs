//! Virtual MAC addresses of single virtual addresses: `use_vmac_addr`, and `use_vmac` on a line.

use std::net::IpAddr;

use super::ReadInstance;
use super::own_device::{ReadDevice, free_name};
use crate::config::model::{VirtualAddress, VirtualMac, VrrpInstance};
use crate::config::source::Span;

/// What an instance asks for.
pub(super) struct Wish {
    /// `use_vmac_addr`.
    everywhere_else: bool,
    /// The addresses whose lines say `use_vmac`.
    named: Vec<IpAddr>,
    /// The hardware address, where the file names one.
    given: Option<[u8; 6]>,
}

impl Wish {
    pub(super) fn of(instance: &ReadInstance) -> Wish {
        let says = |span: &Span| instance.on_virtual_macs.contains(span);
        let lines = instance.virtual_addresses.iter();
        let named = lines
            .chain(&instance.excluded_addresses)
            .filter(|line| says(&line.span))
            .map(|line| line.value.address)
            .collect();
        let own_device = instance.own_device.as_ref();
        Wish {
            everywhere_else: instance.virtual_macs_elsewhere,
            named,
            given: own_device.and_then(ReadDevice::mac),
        }
    }

    /// Whether an address has a device of its own, of an instance of that interface and family.
    fn includes(
        &self,
        address: &VirtualAddress,
        interface: &str,
        ipv6: bool,
        has_mac: bool,
    ) -> bool {
        let elsewhere = address
            .interface
            .as_ref()
            .is_some_and(|own| own != interface);
        let other_family = address.address.is_ipv6() != ipv6;
        if elsewhere || other_family {
            self.everywhere_else || self.named.contains(&address.address)
        } else {
            !has_mac && self.named.contains(&address.address)
        }
    }
}

/// The devices of other instances and addresses.
#[derive(Default)]
pub(super) struct Devices {
    taken: Vec<String>,
    /// By virtual router, family and interface below.
    made: Vec<((u8, bool, String), VirtualMac)>,
}

impl Devices {
    /// Without the names of those that instances have.
    pub(super) fn beside(taken: Vec<String>) -> Devices {
        Devices {
            taken,
            made: Vec::new(),
        }
    }

    /// Gives the addresses of an instance the devices that it wishes for.
    pub(super) fn give(&mut self, instance: &mut VrrpInstance, wish: &Wish, prefix: &str) {
        let first = instance.virtual_addresses.first();
        let ipv6 = first.is_some_and(|first| first.address.is_ipv6());
        let has_mac = instance.virtual_mac.is_some();
        let addresses = instance.virtual_addresses.iter_mut();
        for address in addresses.chain(&mut instance.excluded_addresses) {
            if wish.includes(address, &instance.interface, ipv6, has_mac) {
                let below = address.interface.as_ref().unwrap_or(&instance.interface);
                let ipv6 = address.address.is_ipv6();
                let key = (instance.virtual_router_id, ipv6, below.clone());
                address.virtual_mac = Some(self.device(key, wish.given, prefix));
            }
        }
    }

    fn device(
        &mut self,
        key: (u8, bool, String),
        given: Option<[u8; 6]>,
        prefix: &str,
    ) -> VirtualMac {
        if let Some((_, made)) = self.made.iter().find(|(other, _)| *other == key) {
            return made.clone();
        }
        let (virtual_router_id, ipv6, _) = key;
        let interface = free_name(prefix, (virtual_router_id, ipv6), &mut self.taken);
        let family = if ipv6 { 2 } else { 1 };
        let made = VirtualMac {
            interface,
            address: given.unwrap_or([0, 0, 0x5e, 0, family, virtual_router_id]),
            transmit_on_base: false,
        };
        self.made.push((key, made.clone()));
        made
    }
}
