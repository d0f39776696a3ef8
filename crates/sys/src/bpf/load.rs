//! Loading the programs, over new maps or over those that are pinned.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use aya::maps::ProgramArray;
use aya::programs::{Program, SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use elver_packet::process::Stage;
use elver_packet::table::settings::{
    JIFFIES_WORD, NANOSECONDS_WORD, SEEDS_WORD, SIZE_AND_EPOCH_WORD, VERSION_WORD,
};
use elver_packet::table::{LAYOUT_VERSION, Words, connection};

use super::maps::refuse_other_layouts;
use super::{Attachments, BPF_FILE_SYSTEM, BpfError, Clock, Maps, OBJECT, directory};

/// How large the tables are made. Tables that are there already keep their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Virtual services.
    pub services: u32,
    /// Destinations of all services together.
    pub destinations: u32,
    /// Entries of the connection table; a connection by NAT takes two.
    pub connections: u32,
    /// Networks in the lists of access.
    pub access_networks: u32,
}

/// How many devices XDP sends to.
const DEVICES: u32 = 1024;

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes {
            services: 4096,
            destinations: 16_384,
            connections: 1 << 18,
            access_networks: 65_536,
        }
    }
}

impl Sizes {
    /// Places of all member lists. A list that is replaced stays for a moment beside its
    /// successor, and has up to as many places more as it takes to be a power of two. Beyond
    /// what a place for each destination takes there is room for a quarter of the services to
    /// have a list by a hash (sh, dh), or for one in sixty-four to have the longest (mh, wrr).
    fn member_places(self) -> u32 {
        let by_destination = self.destinations.saturating_mul(4);
        let by_hash = (self.services / 4).saturating_mul(2 * 256).max(2 * 4096);
        by_destination.saturating_add(by_hash)
    }

    /// Lines of the connection table: a power of two of sets, headers included.
    fn connection_lines(self) -> u32 {
        let sets = self
            .connections
            .div_ceil(connection::WAYS)
            .next_power_of_two()
            .clamp(16, 1 << 25);
        sets * connection::STRIDE
    }
}

/// The program of each stage of tc, that of the first stage first.
const TC_STAGES: [(&str, Stage); 49] = [
    ("elver_arrive", Stage::Arrive),
    ("elver_open_4", Stage::Open4),
    ("elver_arrive_6", Stage::Arrive6),
    ("elver_open_6", Stage::Open6),
    ("elver_tunnel_46", Stage::Tunnel46),
    ("elver_tunnel_64", Stage::Tunnel64),
    ("elver_tunnel_66", Stage::Tunnel66),
    ("elver_enter_4", Stage::Enter4),
    ("elver_enter_6", Stage::Enter6),
    ("elver_search_4", Stage::Search4),
    ("elver_search_6", Stage::Search6),
    ("elver_answer_4", Stage::Answer4),
    ("elver_answer_6", Stage::Answer6),
    ("elver_error_4", Stage::Error4),
    ("elver_error_6", Stage::Error6),
    ("elver_error_to_server_4", Stage::ErrorToServer4),
    ("elver_error_to_server_6", Stage::ErrorToServer6),
    ("elver_error_to_client_4", Stage::ErrorToClient4),
    ("elver_error_to_client_6", Stage::ErrorToClient6),
    ("elver_tunnel_error_44", Stage::TunnelError44),
    ("elver_tunnel_error_46", Stage::TunnelError46),
    ("elver_tunnel_error_64", Stage::TunnelError64),
    ("elver_tunnel_error_66", Stage::TunnelError66),
    ("elver_reply_6", Stage::Reply6),
    ("elver_to_tunnel_6", Stage::ToTunnel6),
    ("elver_fragment_4", Stage::Fragment4),
    ("elver_fragment_6", Stage::Fragment6),
    ("elver_piece_4", Stage::Piece4),
    ("elver_piece_6", Stage::Piece6),
    ("elver_piece_reply_6", Stage::PieceReply6),
    ("elver_piece_to_tunnel_6", Stage::PieceToTunnel6),
    ("elver_cut_4", Stage::Cut4),
    ("elver_tunnel_44", Stage::Tunnel44),
    ("elver_leave", Stage::Leave),
    ("elver_leave_6", Stage::Leave6),
    ("elver_stray_4", Stage::Stray4),
    ("elver_stray_6", Stage::Stray6),
    ("elver_open_by_error_4", Stage::OpenByError4),
    ("elver_open_by_error_6", Stage::OpenByError6),
    ("elver_search_by_error_4", Stage::SearchByError4),
    ("elver_search_by_error_6", Stage::SearchByError6),
    ("elver_enter_by_error_4", Stage::EnterByError4),
    ("elver_enter_by_error_6", Stage::EnterByError6),
    ("elver_leave_error_4", Stage::LeaveError4),
    ("elver_leave_error_6", Stage::LeaveError6),
    ("elver_leave_fragment_4", Stage::LeaveFragment4),
    ("elver_leave_fragment_6", Stage::LeaveFragment6),
    ("elver_leave_piece_4", Stage::LeavePiece4),
    ("elver_leave_piece_6", Stage::LeavePiece6),
];

/// Those of XDP.
pub(super) const XDP_STAGES: [(&str, Stage); 15] = [
    ("elver_xdp_arrive", Stage::Arrive),
    ("elver_xdp_open_4", Stage::Open4),
    ("elver_xdp_arrive_6", Stage::Arrive6),
    ("elver_xdp_open_6", Stage::Open6),
    ("elver_xdp_tunnel_46", Stage::Tunnel46),
    ("elver_xdp_tunnel_64", Stage::Tunnel64),
    ("elver_xdp_tunnel_66", Stage::Tunnel66),
    ("elver_xdp_enter_4", Stage::Enter4),
    ("elver_xdp_enter_6", Stage::Enter6),
    ("elver_xdp_search_4", Stage::Search4),
    ("elver_xdp_search_6", Stage::Search6),
    ("elver_xdp_reply_6", Stage::Reply6),
    ("elver_xdp_to_tunnel_6", Stage::ToTunnel6),
    ("elver_xdp_claim_4", Stage::Claim4),
    ("elver_xdp_claim_6", Stage::Claim6),
];

/// Loads the programs over the instance's maps, which are made if they are not there.
/// What is attached already goes on undisturbed, with the programs that it has, until it is
/// attached to anew.
///
/// # Errors
/// No permission, a kernel that lacks something, or maps of another layout.
pub fn load(instance: &str, sizes: Sizes) -> Result<(Maps, Attachments), BpfError> {
    if OBJECT.is_empty() {
        return Err(BpfError::NoObject);
    }
    mount_bpf_file_system()?;
    let directory = directory(instance);
    fs::create_dir_all(&directory)
        .map_err(|error| BpfError::kernel(format!("creating {}", directory.display()), error))?;
    refuse_other_layouts(instance)?;
    set_stages_aside(&directory)?;
    let mut programs = EbpfLoader::new()
        .default_map_pin_directory(&directory)
        .map_max_entries("SERVICES", sizes.services)
        .map_max_entries("SERVICE_INDEX", sizes.services)
        .map_max_entries("DESTINATIONS", sizes.destinations)
        .map_max_entries("ESTIMATES", sizes.destinations)
        .map_max_entries("ACCESS", sizes.access_networks)
        .map_max_entries("STATISTICS", sizes.destinations)
        .map_max_entries("ENDPOINTS", sizes.services + 2 * sizes.destinations)
        .map_max_entries("MEMBERS", sizes.member_places())
        .map_max_entries("REDIRECTS", DEVICES)
        .map_max_entries("CONNECTIONS", sizes.connection_lines())
        .load(OBJECT)
        .map_err(|error| BpfError::kernel("loading the data plane", describe(&error)))?;
    let maps = Maps::open(instance)?;
    initialise(&mut programs, &maps)?;
    super::loopback::accept_local(&maps)?;
    fill_stages(&mut programs, "STAGES", &TC_STAGES)?;
    let attachments = Attachments::new(instance, programs)?;
    Ok((maps, attachments))
}

/// The whole chain of an error's causes: the kernel's own words are at its end.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// The maps by which a program finds the one of the next stage.
const STAGE_MAPS: [&str; 2] = ["STAGES", "XDP_STAGES"];

/// Between the name of such a map and a number, where its programs have got successors.
const SUCCEEDED: &str = "-succeeded-";

/// Puts the maps of stages of an earlier load aside, so that this one gets maps of its own:
/// a packet never meets stages of two versions. What is attached needs its maps for as long
/// as it is: a map of programs is emptied when its last pin goes.
fn set_stages_aside(directory: &Path) -> Result<(), BpfError> {
    for map in STAGE_MAPS {
        let pin = directory.join(map);
        let mut numbers = 0..;
        let free = numbers.find_map(|number: u32| {
            let aside = directory.join(format!("{map}{SUCCEEDED}{number}"));
            (!aside.exists()).then_some(aside)
        });
        if let (true, Some(aside)) = (pin.exists(), free) {
            fs::rename(&pin, &aside)
                .map_err(|error| BpfError::kernel(format!("renaming {}", pin.display()), error))?;
        }
    }
    Ok(())
}

/// Removes the maps of stages that [`set_stages_aside`] kept.
pub(super) fn remove_succeeded_stages(instance: &str) -> Result<(), BpfError> {
    let directory = directory(instance);
    let failed =
        |error: io::Error| BpfError::kernel(format!("tidying {}", directory.display()), error);
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().contains(SUCCEEDED) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Loads the program of every stage and puts it into its place.
pub(super) fn fill_stages(
    programs: &mut Ebpf,
    map: &'static str,
    stages: &[(&str, Stage)],
) -> Result<(), BpfError> {
    let taken = programs
        .take_map(map)
        .ok_or_else(|| BpfError::kernel("finding the stages", format!("no map {map}")))?;
    let mut places = ProgramArray::try_from(taken)
        .map_err(|error| BpfError::kernel("opening the stages", error))?;
    // Backwards, so that no stage can go on with one that is not there yet.
    for (name, stage) in stages.iter().rev() {
        let refused = |error: &dyn std::error::Error| {
            BpfError::kernel(format!("loading the program {name}"), describe(error))
        };
        let program = match programs.program_mut(name) {
            Some(Program::SchedClassifier(program)) => {
                program.load().map_err(|error| refused(&error))?;
                program.fd()
            }
            Some(Program::Xdp(program)) => {
                program.load().map_err(|error| refused(&error))?;
                program.fd()
            }
            _ => return Err(BpfError::kernel("finding a program", name)),
        };
        let program = program.map_err(|error| BpfError::kernel("finding a program", error))?;
        places.set(*stage as u32, program, 0).map_err(|error| {
            BpfError::kernel(format!("placing the program {name}"), describe(&error))
        })?;
    }
    Ok(())
}

pub(super) fn classifier<'a>(
    programs: &'a mut Ebpf,
    name: &str,
) -> Result<&'a mut SchedClassifier, BpfError> {
    programs
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| BpfError::kernel("finding a program", name))
}

/// Sets up what the programs need before the first packet. Of settings that are there
/// already only the clock is read anew: it may be another boot's.
fn initialise(programs: &mut Ebpf, maps: &Maps) -> Result<(), BpfError> {
    let words = maps
        .settings()
        .ok_or_else(|| BpfError::kernel("reading the settings", "they are too short"))?;
    read_clock(programs, words)?.store(words);
    if words.load(VERSION_WORD) != 0 {
        return Ok(());
    }
    let mut seeds = [0u8; 8];
    rustix::rand::getrandom(&mut seeds, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| BpfError::kernel("choosing the seed of the hash", error))?;
    words.store(SEEDS_WORD, u64::from_ne_bytes(seeds));
    let sets = maps.connection_lines() / connection::STRIDE;
    words.store(SIZE_AND_EPOCH_WORD, u64::from(sets - 1));
    words.exchange(VERSION_WORD, (1 << 32) | u64::from(LAYOUT_VERSION));
    Ok(())
}

/// How often the kernel's clock is read at the most.
const CLOCK_READINGS: u32 = 3;

fn read_clock<W: Words>(programs: &mut Ebpf, settings: W) -> Result<Clock, BpfError> {
    let program = classifier(programs, "elver_clock")?;
    program
        .load()
        .map_err(|error| BpfError::kernel("loading the program elver_clock", describe(&error)))?;
    let mut earlier = None;
    for _ in 0..CLOCK_READINGS {
        let frame = [0u8; 64];
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        program
            .test_run(options)
            .map_err(|error| BpfError::kernel("reading the kernel's clock", describe(&error)))?;
        let reading = (settings.load(JIFFIES_WORD), settings.load(NANOSECONDS_WORD));
        let measured = Clock::measure(reading.0, reading.1)
            .or_else(|| earlier.and_then(|earlier| Clock::between(earlier, reading)));
        if let Some(clock) = measured {
            return Ok(clock);
        }
        earlier = Some(reading);
        std::thread::sleep(Duration::from_secs(2));
    }
    Err(BpfError::kernel(
        "reading the kernel's clock",
        "its rate is none that is known",
    ))
}

/// Mounts the BPF file system if it is not there: in a network namespace that `ip netns
/// exec` entered, /sys is a new one without it.
pub(super) fn mount_bpf_file_system() -> Result<(), BpfError> {
    /// `BPF_FS_MAGIC` of `linux/magic.h`.
    const MAGIC: u64 = 0xcafe_4a11;
    let mounted = rustix::fs::statfs(Path::new(BPF_FILE_SYSTEM))
        .is_ok_and(|found| found.f_type as u64 == MAGIC);
    if mounted {
        return Ok(());
    }
    rustix::mount::mount(
        "bpf",
        BPF_FILE_SYSTEM,
        "bpf",
        rustix::mount::MountFlags::empty(),
        None,
    )
    .map_err(|error| BpfError::FileSystem(io::Error::from(error)))
}
