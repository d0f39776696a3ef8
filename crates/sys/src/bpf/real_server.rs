//! The programs of a real server, which have maps of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray, lpm_trie, lpm_trie::LpmTrie};
use aya::programs::SchedClassifier;
use aya::{Ebpf, EbpfLoader};
use elver_packet::family::{V4, V6};
use elver_packet::real_server::{
    AddressKey, DEVICE_WORDS, GUE_PORTS, GUE_PORTS_WORD, LAYOUT_VERSION, Outcome, ROLE_WORDS,
    VERSION_WORD, VIP_ADDED, VIP_FLAGS_WORD, VIP_ROOM_WORD, VIP_WORDS,
};
use zerocopy::IntoBytes;

use super::attach::Hooks;
use super::load::{classifier, describe, mount_bpf_file_system};
use super::maps::pinned;
use super::{Attachment, BPF_FILE_SYSTEM, BpfError, Direction, remove_directory};

/// The programs, built by this crate's build script.
const OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/elver-bpf-real-server.o"));

/// The least that the ring for a director, which these programs have no use for, can have.
const NO_RING: u32 = 4096;

/// The octets of an address as a key.
type AddressOctets = [u8; size_of::<AddressKey>()];

/// What the programs know of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceOfRole {
    /// Its MTU, in octets.
    pub mtu: u32,
    /// An IPv4 address of the host, none of the virtual ones, that it may ask from.
    pub own: Option<std::net::Ipv4Addr>,
}

/// What is loaded for an instance of this role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedRole {
    /// The virtual addresses that the programs know.
    pub vips: BTreeSet<IpAddr>,
    /// The devices, by index, that they are on.
    pub devices: BTreeSet<u32>,
}

/// The programs and maps of an instance of this role, pinned below
/// `/sys/fs/bpf/elver-real-server/INSTANCE`.
pub struct RealServer {
    hooks: Hooks,
    programs: Ebpf,
    role: Array<MapData, [u64; ROLE_WORDS]>,
    vips: HashMap<MapData, AddressOctets, [u64; VIP_WORDS]>,
    directors: LpmTrie<MapData, AddressOctets, u32>,
    devices: HashMap<MapData, u32, [u64; DEVICE_WORDS]>,
}

impl RealServer {
    /// Loads the programs over the instance's maps, which are made if they are not there. What
    /// is attached already goes on with the programs that it has until it is attached to anew.
    ///
    /// # Errors
    /// No permission, a kernel that lacks something, or maps of another layout.
    pub fn load(instance: &str) -> Result<RealServer, BpfError> {
        if OBJECT.is_empty() {
            return Err(BpfError::NoObject);
        }
        mount_bpf_file_system()?;
        let directory = directory(instance);
        fs::create_dir_all(&directory).map_err(|error| {
            BpfError::kernel(format!("creating {}", directory.display()), error)
        })?;
        refuse_other_layouts(instance)?;
        let mut programs = EbpfLoader::new()
            .default_map_pin_directory(&directory)
            .map_max_entries("HANDED_OVER", NO_RING)
            .load(OBJECT)
            .map_err(|error| {
                BpfError::kernel("loading the programs of a real server", describe(&error))
            })?;
        let mut take = |name: &str| {
            programs
                .take_map(name)
                .ok_or_else(|| BpfError::kernel("opening the maps", format!("no map {name}")))
        };
        let refused = |error: MapError| BpfError::kernel("opening the maps", error);
        let mut role: Array<MapData, [u64; ROLE_WORDS]> =
            Array::try_from(take("ROLE")?).map_err(refused)?;
        let vips = HashMap::try_from(take("VIPS")?).map_err(refused)?;
        let directors = LpmTrie::try_from(take("DIRECTORS")?).map_err(refused)?;
        let devices = HashMap::try_from(take("DEVICES")?).map_err(refused)?;
        let mut words = role.get(&0, 0).map_err(refused)?;
        words[VERSION_WORD] = LAYOUT_VERSION;
        role.set(0, words, 0).map_err(refused)?;
        for direction in [Direction::Arriving, Direction::Leaving] {
            let name = name_of(direction);
            classifier(&mut programs, name)?.load().map_err(|error| {
                BpfError::kernel(format!("loading the program {name}"), describe(&error))
            })?;
        }
        Ok(RealServer {
            hooks: hooks(instance),
            programs,
            role,
            vips,
            directors,
            devices,
        })
    }

    /// Sets the ports on which GUE arrives, of which there may be four.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_gue_ports(&mut self, ports: &BTreeSet<u16>) -> Result<(), BpfError> {
        let refused = |error: MapError| BpfError::kernel("setting the ports of GUE", error);
        let mut octets = [0; 2 * GUE_PORTS];
        for (room, port) in octets.chunks_exact_mut(2).zip(ports) {
            room.copy_from_slice(&port.to_be_bytes());
        }
        let mut words = self.role.get(&0, 0).map_err(refused)?;
        words[GUE_PORTS_WORD] = u64::from_ne_bytes(octets);
        self.role.set(0, words, 0).map_err(refused)
    }

    /// Sets the networks from which tunnels may come.
    ///
    /// # Errors
    /// There are too many.
    pub fn set_directors(&mut self, wanted: &BTreeSet<(IpAddr, u8)>) -> Result<(), BpfError> {
        let refused = |error: MapError| BpfError::kernel("setting the directors", error);
        let present = self.directors.keys().collect::<Result<Vec<_>, _>>();
        let wanted: Vec<_> = wanted.iter().map(trie_key).collect();
        for key in &wanted {
            self.directors.insert(key, 0, 0).map_err(refused)?;
        }
        for key in present.map_err(refused)? {
            let is_wanted = wanted.iter().any(|wanted| {
                wanted.prefix_len() == key.prefix_len() && wanted.data() == key.data()
            });
            if !is_wanted {
                self.directors.remove(&key).map_err(refused)?;
            }
        }
        Ok(())
    }

    /// The virtual addresses that the programs know, and whether this role put each on the
    /// loopback device.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn vips(&self) -> Result<BTreeMap<IpAddr, bool>, BpfError> {
        let all = self.vips.iter().collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| BpfError::kernel("reading the virtual addresses", error))?;
        Ok(all
            .into_iter()
            .map(|(octets, words)| (address(&octets), words[VIP_FLAGS_WORD] & VIP_ADDED != 0))
            .collect())
    }

    /// Has the programs know a virtual address, and remembers with it whether this role put it
    /// on the loopback device.
    ///
    /// # Errors
    /// There are too many.
    pub fn set_vip(&mut self, vip: IpAddr, is_added: bool) -> Result<(), BpfError> {
        let octets = key(vip);
        let mut words = self.vips.get(&octets, 0).unwrap_or_default();
        words[VIP_FLAGS_WORD] = if is_added { VIP_ADDED } else { 0 };
        self.vips
            .insert(octets, words, 0)
            .map_err(|error| BpfError::kernel(format!("entering {vip}"), error))
    }

    /// Has the programs forget a virtual address.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget_vip(&mut self, vip: IpAddr) -> Result<(), BpfError> {
        self.vips
            .remove(&key(vip))
            .map_err(|error| BpfError::kernel(format!("forgetting {vip}"), error))
    }

    /// Tells the programs of a device. What they have learned of tunnels begins anew if the
    /// MTU has changed.
    ///
    /// # Errors
    /// There are too many.
    pub fn set_device(&mut self, index: u32, device: DeviceOfRole) -> Result<(), BpfError> {
        let own = device.own.map_or(0, |own| u32::from_ne_bytes(own.octets()));
        let word = u64::from(device.mtu) | u64::from(own) << 32;
        let before = self.devices.get(&index, 0).map_or(0, |[word]| word);
        if before == word {
            return Ok(());
        }
        self.devices
            .insert(index, [word], 0)
            .map_err(|error| BpfError::kernel("entering a device", error))?;
        if before as u32 != device.mtu {
            self.forget_room()?;
        }
        Ok(())
    }

    fn forget_room(&mut self) -> Result<(), BpfError> {
        let refused = |error: MapError| BpfError::kernel("writing the virtual addresses", error);
        let all = self.vips.iter().collect::<Result<Vec<_>, _>>();
        for (key, mut words) in all.map_err(refused)? {
            words[VIP_ROOM_WORD] = 0;
            self.vips.insert(key, words, 0).map_err(refused)?;
        }
        Ok(())
    }

    /// Attaches to a device, for both directions, or replaces in one step what an earlier
    /// process attached.
    ///
    /// # Errors
    /// The kernel refuses; the device may be gone.
    pub fn attach(&mut self, index: u32, name: &str) -> Result<Attachment, BpfError> {
        let leaving = classifier(&mut self.programs, name_of(Direction::Leaving))?;
        self.hooks
            .attach(leaving, index, name, Direction::Leaving)?;
        let arriving = classifier(&mut self.programs, name_of(Direction::Arriving))?;
        self.hooks
            .attach(arriving, index, name, Direction::Arriving)
    }

    /// Takes the programs off a device.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn detach(&mut self, index: u32) -> Result<(), BpfError> {
        self.hooks.detach(index, Direction::Arriving)?;
        self.hooks.detach(index, Direction::Leaving)?;
        // It may have been known by no entry.
        let _ = self.devices.remove(&index);
        Ok(())
    }

    /// What is loaded for an instance, whether its process runs or not; none if nothing is.
    ///
    /// # Errors
    /// What is loaded is another version's, or cannot be read.
    pub fn loaded(instance: &str) -> Result<Option<LoadedRole>, BpfError> {
        if !directory(instance).join("ROLE").exists() {
            return Ok(None);
        }
        refuse_other_layouts(instance)?;
        let refused = |error: MapError| BpfError::kernel("reading the virtual addresses", error);
        let vips = aya::maps::Map::HashMap(pinned(&directory(instance), "VIPS")?);
        let vips: HashMap<MapData, AddressOctets, [u64; VIP_WORDS]> =
            HashMap::try_from(vips).map_err(refused)?;
        let vips = vips
            .keys()
            .collect::<Result<Vec<_>, _>>()
            .map_err(refused)?;
        Ok(Some(LoadedRole {
            vips: vips.iter().map(address).collect(),
            devices: hooks(instance).devices(),
        }))
    }

    /// How often each outcome was counted, by all processors, of an instance that is loaded,
    /// whether its process runs or not.
    ///
    /// # Errors
    /// The instance is not loaded, or is another version's.
    pub fn outcomes(instance: &str) -> Result<Vec<(Outcome, u64)>, BpfError> {
        if !directory(instance).join("ROLE").exists() {
            return Err(BpfError::NotLoaded(instance.to_owned()));
        }
        refuse_other_layouts(instance)?;
        let refused = |error: MapError| BpfError::kernel("reading the outcomes", error);
        let map = pinned(&directory(instance), "OUTCOMES")?;
        let counters: PerCpuArray<MapData, u64> =
            PerCpuArray::try_from(aya::maps::Map::PerCpuArray(map)).map_err(refused)?;
        let of = |outcome: &Outcome| {
            let values = counters.get(&(*outcome as u32), 0).map_err(refused)?;
            Ok((*outcome, values.iter().sum()))
        };
        Outcome::ALL.iter().map(of).collect()
    }

    /// Removes everything that is pinned for an instance, detaching its programs, and names
    /// what was removed.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn unload(instance: &str) -> Result<Vec<String>, BpfError> {
        let mut removed = hooks(instance).remove_all()?;
        removed.extend(remove_directory(&directory(instance))?);
        Ok(removed)
    }

    /// How many instructions the kernel followed until it took each of the programs.
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        let programs = self.programs.programs();
        programs
            .filter_map(|(name, program)| {
                let program: &SchedClassifier = program.try_into().ok()?;
                let count = program.info().ok()?.verified_instruction_count()?;
                Some((name.to_owned(), count))
            })
            .collect()
    }
}

/// The program for what arrives, or leaves.
fn name_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Arriving => "elver_real_server_arrive",
        Direction::Leaving => "elver_real_server_leave",
    }
}

fn directory(instance: &str) -> PathBuf {
    PathBuf::from(BPF_FILE_SYSTEM)
        .join("elver-real-server")
        .join(instance)
}

fn hooks(instance: &str) -> Hooks {
    Hooks::of_real_server(directory(instance).join("attached"))
}

/// Refuses what another version has pinned in a layout of its own.
fn refuse_other_layouts(instance: &str) -> Result<(), BpfError> {
    let directory = directory(instance);
    if !directory.join("ROLE").exists() {
        return Ok(());
    }
    let map = aya::maps::Map::Array(pinned(&directory, "ROLE")?);
    let version = Array::<MapData, [u64; ROLE_WORDS]>::try_from(map)
        .and_then(|role| role.get(&0, 0))
        .map(|words| words[VERSION_WORD]);
    match version {
        // 0: somebody died between making the maps and setting them up.
        Ok(0 | LAYOUT_VERSION) => Ok(()),
        found => Err(BpfError::Layout {
            instance: instance.to_owned(),
            found: found.map_or(0, |version| version as u32),
            needed: LAYOUT_VERSION as u32,
        }),
    }
}

fn key(address: IpAddr) -> AddressOctets {
    let key = match address {
        IpAddr::V4(address) => AddressKey::of::<V4>(u32::from_ne_bytes(address.octets())),
        IpAddr::V6(address) => AddressKey::of::<V6>(V6::from_octets(address.octets())),
    };
    let mut octets = AddressOctets::default();
    octets.copy_from_slice(key.as_bytes());
    octets
}

fn address(octets: &AddressOctets) -> IpAddr {
    let [a, b, c, d, address @ ..] = *octets;
    let [first, second, third, fourth, ..] = address;
    if u32::from_ne_bytes([a, b, c, d]) == 4 {
        IpAddr::from([first, second, third, fourth])
    } else {
        IpAddr::from(address)
    }
}

fn trie_key((network, length): &(IpAddr, u8)) -> lpm_trie::Key<AddressOctets> {
    lpm_trie::Key::new(AddressKey::ADDRESS_BITS + u32::from(*length), key(*network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_address() {
        for text in ["192.0.2.10", "2001:db8::10", "::"] {
            let vip: IpAddr = text.parse().unwrap();
            assert_eq!(address(&key(vip)), vip);
        }
    }
}
