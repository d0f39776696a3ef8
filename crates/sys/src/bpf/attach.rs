//! Attaching the first stages to devices, at tc: for what arrives, and for what leaves.
//!
//! Where the kernel has tcx (6.6 and later) the link is pinned. Before, a clsact filter of
//! a fixed priority and handle stands in for it; it belongs to the device.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::programs::links::{FdLink, Link, PinnedLink};
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact,
};
use aya::programs::{
    LinkOrder, Program, ProgramId, ProgramInfo, SchedClassifier, TcAttachType, TestRun,
    TestRunOptions,
};
use aya::util::KernelVersion;

use super::load::{classifier, describe, remove_succeeded_stages};
use super::xdp::FastPath;
use super::{BpfError, directory};

/// The place of a director's filters among those of others: early, but not the first.
const PRIORITY: u16 = 100;
/// The handle by which the filter is known again.
const HANDLE: TcHandle = TcHandle::new(0, 0xe1);
/// How the names of a real server's programs begin, in the fifteen octets of a name that the
/// kernel keeps.
const REAL_SERVER_PROGRAMS: &str = "elver_real_serv";
/// Ends the name of a pinned program that stands for a filter.
const CLSACT: &str = "-clsact";

/// How a device carries the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// A pinned tcx link.
    Tcx,
    /// A clsact filter.
    Clsact,
}

impl Attachment {
    /// Its name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Attachment::Tcx => "tc (tcx)",
            Attachment::Clsact => "tc (clsact)",
        }
    }
}

/// Which of a device's packets a program sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Those that arrive.
    Arriving,
    /// Those that leave.
    Leaving,
}

impl Direction {
    const BOTH: [Direction; 2] = [Direction::Arriving, Direction::Leaving];

    fn hook(self) -> TcAttachType {
        match self {
            Direction::Arriving => TcAttachType::Ingress,
            Direction::Leaving => TcAttachType::Egress,
        }
    }

    /// Ends the names of its pins, before what a kind of attachment adds.
    fn suffix(self) -> &'static str {
        match self {
            Direction::Arriving => "",
            Direction::Leaving => "-leaving",
        }
    }
}

/// The program of a director's first stage.
fn first_stage(direction: Direction) -> &'static str {
    match direction {
        Direction::Arriving => "elver_arrive",
        Direction::Leaving => "elver_leave",
    }
}

/// Where the programs of an instance of a role stand on devices.
#[derive(Debug)]
pub(super) struct Hooks {
    /// The directory of the pins.
    pins: PathBuf,
    /// The place of the filters among those of others, the lowest first.
    priority: u16,
    /// The names of programs of another role, as far as the kernel keeps them, which go before
    /// these.
    predecessors: Option<&'static str>,
}

/// The programs, ready to be attached to devices.
pub struct Attachments {
    pub(super) instance: String,
    hooks: Hooks,
    pub(super) programs: Ebpf,
    pub(super) fast_path: FastPath,
}

impl Attachments {
    pub(super) fn new(instance: &str, mut programs: Ebpf) -> Result<Attachments, BpfError> {
        Ok(Attachments {
            instance: instance.to_owned(),
            hooks: Hooks::of_director(instance),
            fast_path: FastPath::open(instance, &mut programs)?,
            programs,
        })
    }

    /// The programs, and how many instructions the kernel followed until it took each: the
    /// time that loading takes, and the distance to the kernel's limit of a million. A kernel
    /// before 5.16 does not tell.
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        let count = |program: &Program| program.info().ok()?.verified_instruction_count();
        self.programs
            .programs()
            .filter_map(|(name, program)| Some((name.to_owned(), count(program)?)))
            .collect()
    }

    /// Attaches to a device, or replaces in one step what an earlier process attached.
    ///
    /// # Errors
    /// The kernel refuses; the device may be gone.
    pub fn attach(
        &mut self,
        index: u32,
        name: &str,
        direction: Direction,
    ) -> Result<Attachment, BpfError> {
        let program = classifier(&mut self.programs, first_stage(direction))?;
        self.hooks.attach(program, index, name, direction)
    }

    /// Ends the programs of earlier loads. To be called when every device that carried them has
    /// been attached to anew.
    ///
    /// # Errors
    /// Pins cannot be removed.
    pub fn end_succeeded(&mut self) -> Result<(), BpfError> {
        remove_succeeded_stages(&self.instance)
    }

    /// Takes the data plane off a device.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn detach(&mut self, index: u32) -> Result<(), BpfError> {
        self.detach_xdp(index)?;
        for direction in Direction::BOTH {
            self.hooks.detach(index, direction)?;
        }
        Ok(())
    }

    /// Takes the data plane off what arrives at a device, or leaves by it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn detach_from(&mut self, index: u32, direction: Direction) -> Result<(), BpfError> {
        self.hooks.detach(index, direction)
    }

    /// Runs the programs on a frame as if it had arrived at a device of this network
    /// namespace, with a firewall mark: gives what they return to tc, and the frame as they leave it. The frame goes
    /// nowhere; everything else happens as it does to a packet.
    ///
    /// # Errors
    /// The kernel refuses; it takes no frame without a payload, nor one larger than a page.
    pub fn test_run(
        &mut self,
        device: u32,
        mark: u32,
        frame: &[u8],
    ) -> Result<(i32, Vec<u8>), BpfError> {
        /// Where `mark` and `ifindex` are in `struct __sk_buff` of `linux/bpf.h`.
        const MARK: usize = 8;
        const INTERFACE: usize = 40;
        /// What an ICMP message or a tunnel adds, at most.
        const ROOM: usize = 128;
        let mut context = [0; INTERFACE + size_of::<u32>()];
        context[INTERFACE..].copy_from_slice(&device.to_ne_bytes());
        context[MARK..MARK + size_of::<u32>()].copy_from_slice(&mark.to_ne_bytes());
        let mut octets = vec![0; frame.len() + ROOM];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut octets);
        options.ctx_in = Some(&context);
        let program = classifier(&mut self.programs, first_stage(Direction::Arriving))?;
        let result = program.test_run(options).map_err(|error| {
            BpfError::kernel("running the programs on a frame", describe(&error))
        })?;
        octets.truncate(result.data_size_out as usize);
        Ok((result.return_value.cast_signed(), octets))
    }
}

impl Hooks {
    /// Those of a director. What a real server takes out of a tunnel is for it to forward.
    pub(super) fn of_director(instance: &str) -> Hooks {
        Hooks {
            pins: pins(instance),
            priority: PRIORITY,
            predecessors: Some(REAL_SERVER_PROGRAMS),
        }
    }

    /// Those of a real server, with the pins in this directory.
    pub(super) fn of_real_server(pins: PathBuf) -> Hooks {
        Hooks {
            pins,
            priority: PRIORITY - 1,
            predecessors: None,
        }
    }

    /// Attaches a program to a device, or replaces in one step what an earlier process attached.
    pub(super) fn attach(
        &self,
        program: &mut SchedClassifier,
        index: u32,
        name: &str,
        direction: Direction,
    ) -> Result<Attachment, BpfError> {
        if KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0)) {
            self.attach_tcx(program, index, name, direction)
        } else {
            self.attach_clsact(program, index, name, direction)
        }
    }

    /// Takes a program off what arrives at a device, or leaves by it.
    pub(super) fn detach(&self, index: u32, direction: Direction) -> Result<(), BpfError> {
        for kind in ["", CLSACT] {
            let pin = self.pin(index, direction, kind);
            if pin.exists() {
                self.remove(&pin)?;
            }
        }
        Ok(())
    }

    /// The pin of an attachment; that of a clsact filter ends with [`CLSACT`].
    fn pin(&self, index: u32, direction: Direction, kind: &str) -> PathBuf {
        self.pins
            .join(format!("{index}{}{kind}", direction.suffix()))
    }

    fn attach_tcx(
        &self,
        program: &mut SchedClassifier,
        index: u32,
        name: &str,
        direction: Direction,
    ) -> Result<Attachment, BpfError> {
        let refused = |error: &dyn std::error::Error| refused(name, error);
        let pin = self.pin(index, direction, "");
        if pin.exists() {
            let old = PinnedLink::from_pin(&pin).map_err(|error| refused(&error))?;
            let link = SchedClassifierLink::try_from(FdLink::from(old))
                .map_err(|error| refused(&error))?;
            // The link of a device that is gone, whose index this one has now, cannot be updated.
            if let Ok(id) = program.attach_to_link(link) {
                drop(program.take_link(id).map_err(|error| refused(&error))?);
                return Ok(Attachment::Tcx);
            }
            fs::remove_file(&pin).map_err(|error| refused(&error))?;
        }
        let options = TcAttachOptions::TcxOrder(self.order(name, direction));
        let id = program
            .attach_with_options(name, direction.hook(), options)
            .map_err(|error| refused(&error))?;
        let link = program.take_link(id).map_err(|error| refused(&error))?;
        let link = FdLink::try_from(link).map_err(|error| refused(&error))?;
        fs::create_dir_all(&self.pins).map_err(|error| refused(&error))?;
        link.pin(&pin).map_err(|error| refused(&error))?;
        Ok(Attachment::Tcx)
    }

    /// The place among other programs on a device.
    fn order(&self, name: &str, direction: Direction) -> LinkOrder {
        let present = SchedClassifier::query_tcx(name, direction.hook());
        let (_, present) = present.unwrap_or_default();
        let is_predecessor = |info: &&ProgramInfo| {
            let name = info.name_as_str().unwrap_or_default();
            self.predecessors
                .is_some_and(|predecessors| name.starts_with(predecessors))
        };
        match present.iter().rfind(is_predecessor) {
            // SAFETY: the id is one that the kernel has just given.
            Some(last) => LinkOrder::after_program_id(unsafe { ProgramId::new(last.id()) }),
            None => LinkOrder::first(),
        }
    }

    fn attach_clsact(
        &self,
        program: &mut SchedClassifier,
        index: u32,
        name: &str,
        direction: Direction,
    ) -> Result<Attachment, BpfError> {
        let refused = |error: &dyn std::error::Error| refused(name, error);
        // That it is there already is what we want.
        if let Err(error) = qdisc_add_clsact(name)
            && !describe(&error).contains("exists")
        {
            return Err(refused(&error));
        }
        let pin = self.pin(index, direction, CLSACT);
        let ours = self
            .filter(name, direction)
            .map_err(|error| refused(&error))?;
        let id = match program.attach_to_link(ours) {
            Ok(id) => id,
            Err(_) => {
                let options = NlOptions {
                    priority: self.priority,
                    handle: HANDLE,
                    ..NlOptions::default()
                };
                program
                    .attach_with_options(name, direction.hook(), TcAttachOptions::Netlink(options))
                    .map_err(|error| refused(&error))?
            }
        };
        // The filter belongs to the device and is to outlive this process.
        std::mem::forget(program.take_link(id).map_err(|error| refused(&error))?);
        fs::create_dir_all(&self.pins).map_err(|error| refused(&error))?;
        if pin.exists() {
            fs::remove_file(&pin).map_err(|error| refused(&error))?;
        }
        program.pin(&pin).map_err(|error| refused(&error))?;
        Ok(Attachment::Clsact)
    }

    /// Our filter on a device.
    fn filter(&self, device: &str, direction: Direction) -> io::Result<SchedClassifierLink> {
        SchedClassifierLink::attached(device, direction.hook(), self.priority, HANDLE, None)
    }

    /// Removes a pin and what it stands for.
    fn remove(&self, pin: &Path) -> Result<(), BpfError> {
        let name = pin
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if let Some(name) = name.strip_suffix(CLSACT)
            && let (direction, index) = match name.strip_suffix(Direction::Leaving.suffix()) {
                Some(index) => (Direction::Leaving, index),
                None => (Direction::Arriving, name),
            }
            && let Ok(index) = index.parse()
            && let Ok(device) = rustix::net::netdevice::index_to_name(
                rustix::net::socket(
                    rustix::net::AddressFamily::INET,
                    rustix::net::SocketType::DGRAM,
                    None,
                )
                .map_err(|error| BpfError::kernel("opening a socket", error))?,
                index,
            )
            && let Ok(filter) = self.filter(&device, direction)
        {
            // That it is gone already, with its device or by another's hand, is what we want.
            let _ = filter.detach();
        }
        fs::remove_file(pin)
            .map_err(|error| BpfError::kernel(format!("removing {}", pin.display()), error))
    }

    /// The devices, by index, that carry a program for what arrives.
    pub(super) fn devices(&self) -> BTreeSet<u32> {
        let entries = fs::read_dir(&self.pins).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                name.strip_suffix(CLSACT).unwrap_or(&name).parse().ok()
            })
            .collect()
    }

    /// Takes the programs off every device, and names the pins removed.
    pub(super) fn remove_all(&self) -> Result<Vec<String>, BpfError> {
        let pins = &self.pins;
        let Ok(entries) = fs::read_dir(pins) else {
            return Ok(Vec::new());
        };
        let mut removed = Vec::new();
        for entry in entries.flatten() {
            self.remove(&entry.path())?;
            removed.push(entry.path().display().to_string());
        }
        fs::remove_dir(pins)
            .map_err(|error| BpfError::kernel(format!("removing {}", pins.display()), error))?;
        removed.push(pins.display().to_string());
        Ok(removed)
    }
}

pub(super) fn refused(device: &str, error: &dyn std::error::Error) -> BpfError {
    BpfError::kernel(format!("attaching to the device {device}"), describe(error))
}

pub(super) fn pins(instance: &str) -> PathBuf {
    directory(instance).join("attached")
}
