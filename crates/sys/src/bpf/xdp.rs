//! XDP in front of tc, on devices whose drivers run it.
//!
//! The link is pinned, and what runs is replaced in one step. The programs are loaded when
//! the first device asks for them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use aya::maps::{MapData, xdp::DevMapHash};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{TestRun, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, maps::MapError};
use elver_packet::host::{Slice, entry};
use elver_packet::table::station::{SETS, Station, WORDS};
use elver_packet::wire::MacAddress;

use super::attach::{Attachments, pins, refused};
use super::load::{XDP_STAGES, describe, fill_stages};
use super::maps::{Mapping, pinned};
use super::{BpfError, directory};

/// Ends the name of a pinned XDP link.
const XDP: &str = "-xdp";

/// What the programs at XDP hooks are told.
pub(super) struct FastPath {
    stations: Mapping,
    redirects: DevMapHash<MapData>,
    /// Whether the programs are in their places.
    is_loaded: bool,
}

impl FastPath {
    pub(super) fn open(instance: &str, programs: &mut Ebpf) -> Result<FastPath, BpfError> {
        let refused = |error: MapError| BpfError::kernel("opening the maps of XDP", error);
        let mut map = |name: &str| {
            programs.take_map(name).ok_or_else(|| {
                BpfError::kernel("opening the maps of XDP", format!("no map {name}"))
            })
        };
        Ok(FastPath {
            stations: Mapping::new(&pinned(&directory(instance), "STATION_SETS")?, WORDS)?,
            redirects: DevMapHash::try_from(map("REDIRECTS")?).map_err(refused)?,
            is_loaded: false,
        })
    }

    /// A set of stations.
    fn set(&self, number: u32) -> Result<Slice<'_>, BpfError> {
        entry(&self.stations, number, WORDS)
            .ok_or_else(|| BpfError::kernel("telling XDP whom it serves", "no such set"))
    }
}

impl Attachments {
    /// Attaches XDP to a device, in its driver, or replaces in one step what an earlier
    /// process attached. tc stays beside it.
    ///
    /// # Errors
    /// The driver does not run XDP, or not as the device is set up; another program is there.
    pub fn attach_xdp(&mut self, index: u32, name: &str) -> Result<(), BpfError> {
        self.load_xdp()?;
        let refused = |error: &dyn std::error::Error| refused(name, error);
        let pin = self.xdp_pin(index);
        let program = first(&mut self.programs)?;
        if pin.exists() {
            let old = PinnedLink::from_pin(&pin).map_err(|error| refused(&error))?;
            let link = XdpLink::try_from(FdLink::from(old)).map_err(|error| refused(&error))?;
            // The link of a device that is gone, whose index this one has now, cannot be updated.
            if let Ok(id) = program.attach_to_link(link) {
                drop(program.take_link(id).map_err(|error| refused(&error))?);
                return Ok(());
            }
            fs::remove_file(&pin).map_err(|error| refused(&error))?;
        }
        let id = program
            .attach_to_if_index(index, XdpMode::Driver)
            .map_err(|error| refused(&error))?;
        let link = program.take_link(id).map_err(|error| refused(&error))?;
        let link = FdLink::try_from(link).map_err(|error| refused(&error))?;
        fs::create_dir_all(pins(&self.instance)).map_err(|error| refused(&error))?;
        link.pin(&pin).map_err(|error| refused(&error))?;
        Ok(())
    }

    /// Takes XDP off a device, if it is there.
    ///
    /// # Errors
    /// The pin cannot be removed.
    pub fn detach_xdp(&mut self, index: u32) -> Result<(), BpfError> {
        let pin = self.xdp_pin(index);
        if !pin.exists() {
            return Ok(());
        }
        fs::remove_file(&pin)
            .map_err(|error| BpfError::kernel(format!("removing {}", pin.display()), error))
    }

    /// Tells XDP which link-layer addresses this host has on which devices, by their
    /// indices: frames for others are left to tc.
    ///
    /// # Errors
    /// There is no room for one of them. The others are told nevertheless.
    pub fn set_stations(&mut self, wanted: &BTreeSet<(u32, MacAddress)>) -> Result<(), BpfError> {
        let wanted: BTreeSet<Station> = wanted
            .iter()
            .map(|(device, address)| Station::new(*device, *address))
            .collect();
        for number in 0..SETS {
            let set = self.fast_path.set(number)?;
            Station::retain(set, |station| wanted.contains(&station));
        }
        let mut homeless = 0;
        for station in &wanted {
            let set = self.fast_path.set(station.set())?;
            homeless += u32::from(!station.enter(set));
        }
        if homeless != 0 {
            let error = format!("no room for {homeless} link-layer addresses, which tc serves");
            return Err(BpfError::kernel("telling XDP whom it serves", error));
        }
        Ok(())
    }

    /// Tells XDP to which devices, by their indices, it may send: what would leave by
    /// another is left to tc.
    ///
    /// # Errors
    /// The map is full, or a device is gone.
    pub fn set_redirects(&mut self, wanted: &BTreeSet<u32>) -> Result<(), BpfError> {
        let refused = |error: &dyn std::error::Error| {
            BpfError::kernel("telling XDP where it sends to", describe(error))
        };
        let map = &mut self.fast_path.redirects;
        let present = map
            .keys()
            .collect::<Result<BTreeSet<u32>, _>>()
            .map_err(|error| refused(&error))?;
        for index in present.difference(wanted) {
            map.remove(*index).map_err(|error| refused(&error))?;
        }
        for index in wanted {
            map.insert(*index, *index, None, 0)
                .map_err(|error| refused(&error))?;
        }
        Ok(())
    }

    /// Runs the programs on a frame as if it had arrived at a device of this network
    /// namespace to which they are attached: gives the action, and the frame as they leave it.
    ///
    /// # Errors
    /// The kernel refuses; it takes no frame without an Ethernet header, nor one larger than
    /// a page.
    pub fn test_run_xdp(&mut self, device: u32, frame: &[u8]) -> Result<(u32, Vec<u8>), BpfError> {
        /// The most that a tunnel adds.
        const GROWTH: usize = 64;
        let refused = |error: &dyn std::error::Error| {
            BpfError::kernel("running the programs on a frame", describe(error))
        };
        let context = xdp_context(device, frame.len());
        let mut octets = vec![0; frame.len() + GROWTH];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut octets);
        options.ctx_in = Some(&context);
        let program = first(&mut self.programs)?;
        let result = program.test_run(options).map_err(|error| refused(&error))?;
        octets.truncate(result.data_size_out as usize);
        Ok((result.return_value, octets))
    }

    /// Loads the programs at XDP hooks, if they are not.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load_xdp(&mut self) -> Result<(), BpfError> {
        if !self.fast_path.is_loaded {
            fill_stages(&mut self.programs, "XDP_STAGES", &XDP_STAGES)?;
            self.fast_path.is_loaded = true;
        }
        Ok(())
    }

    fn xdp_pin(&self, index: u32) -> PathBuf {
        pins(&self.instance).join(format!("{index}{XDP}"))
    }
}

fn first(programs: &mut Ebpf) -> Result<&mut Xdp, BpfError> {
    let (name, _) = XDP_STAGES[0];
    programs
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| BpfError::kernel("finding a program", name))
}

/// A `struct xdp_md` of `linux/bpf.h` for a frame of so many octets that came in by a device.
fn xdp_context(device: u32, octets: usize) -> [u8; 24] {
    let mut context = [0; 24];
    context[4..8].copy_from_slice(&(octets as u32).to_ne_bytes());
    context[12..16].copy_from_slice(&device.to_ne_bytes());
    context
}
