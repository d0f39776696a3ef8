//! The programs in the kernel do what the packet function does on the host: the same frames
//! and tables in, the same frames, verdicts, connections and counters out. Needs root.
//!
//! The histories are random but for their seeds, which a failure names.

mod frames;
mod namespace;
mod pair;
mod services;

use elver_packet::frame::Verdict;
use elver_packet::reason::Reason;
use elver_packet::table::connection::{STRIDE, control};
use elver_sys::bpf::unload;
use frames::{Random, error_about, frame};
use namespace::Namespace;
use pair::{Hook, Pair};

/// Takes the pins away, whatever happens.
struct Instance(String);

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = unload(&self.0) {
            eprintln!("{error}");
        }
    }
}

/// What became of the packets of some histories.
#[derive(Default)]
struct Seen {
    pass: u32,
    drop: u32,
    leave: u32,
    punt: u32,
    /// How often each reason was counted.
    reasons: Vec<u64>,
}

impl Seen {
    /// Reasons that never came, but for those.
    fn missing(&self, are_punts: bool, but: &[Reason]) -> Vec<&'static str> {
        let reasons = Reason::ALL.iter().zip(&self.reasons);
        let never = reasons.filter(|(reason, times)| {
            reason.is_punt() == are_punts && **times == 0 && !but.contains(reason)
        });
        never.map(|(reason, _)| reason.name()).collect()
    }
}

/// Runs a history for each seed, with a connection table of so many sets.
fn run_histories(hook: Hook, seeds_and_sets: &[(u64, u32)]) -> Seen {
    const PACKETS: u64 = 9000;
    let namespace = Namespace::new(&format!("{hook:?}"));
    let routes = namespace.routes();
    let mut seen = Seen {
        reasons: vec![0; Reason::COUNT],
        ..Seen::default()
    };
    for (seed, sets) in seeds_and_sets.iter().copied() {
        let id = std::process::id();
        let instance = Instance(format!("test-differential-{hook:?}-{id}-{seed}"));
        namespace.enter(|| {
            let mut random = Random(seed);
            let seeds = random.next();
            let mut pair = Pair::new(hook, &instance.0, namespace.devices, sets, seeds);
            let mut next = None;
            let mut sent = Vec::new();
            for number in 0..PACKETS {
                let side = if random.once_in(3) { 2 } else { 1 };
                let (side, arriving) = match next.take() {
                    Some(acknowledgment) => (1, acknowledgment),
                    None if random.once_in(8) && !sent.is_empty() => {
                        (side, error_about(&mut random, side, &sent))
                    }
                    None => (side, frame(&mut random, side)),
                };
                if side == 1 && random.once_in(2) {
                    next = arriving.acknowledgment();
                }
                let told = Told(seed, number, &arriving.octets);
                let (verdict, left) = pair.arrive(side, &arriving, &routes);
                match verdict {
                    Verdict::Pass => seen.pass += 1,
                    Verdict::Drop => seen.drop += 1,
                    Verdict::Leave => {
                        seen.leave += 1;
                        sent = left;
                    }
                    Verdict::Punt => seen.punt += 1,
                }
                pair.compare_tables();
                if number % 16 == 0 {
                    pair.compare_counters();
                }
                drop(told);
                if random.once_in(12) {
                    pair.edit(&mut random);
                }
                if hook == Hook::Xdp && random.once_in(40) {
                    pair.edit_fast_path(&mut random);
                }
            }
            pair.compare_counters();
            let live =
                (0..sets * STRIDE).filter(|index| control(&&pair.host, *index).unwrap().is_live());
            assert!(
                live.count() as u32 > sets + 2,
                "hardly a connection is left"
            );
            for (sum, reason) in seen.reasons.iter_mut().zip(Reason::ALL) {
                *sum += pair.host.reason(*reason);
            }
        });
    }
    seen
}

#[test]
fn kernel_and_host_do_the_same_at_tc() {
    // The table of one set is that in which the most precious entries have to make room.
    let seen = run_histories(Hook::Tc, &[(1, 16), (2, 16), (3, 4), (4, 1), (5, 64)]);
    // The histories reach all outcomes that are common, and each many times.
    let Seen {
        pass, drop, leave, ..
    } = seen;
    assert!(
        pass > 500 && drop > 500 && leave > 500,
        "pass, drop, forward: {pass}, {drop}, {leave}"
    );
    // What one processor and a test frame cannot reach, or these histories do not.
    let unreached = [
        Reason::NotReady,
        Reason::Tagged,
        Reason::NotWritable,
        Reason::Contended,
        // Of errors about tunnels only those with a right checksum are heard.
        Reason::TunnelError,
        // There is room for all that is handed over.
        Reason::NotHandedOver,
        // Test frames come over no loopback device.
        Reason::LoopedBack,
    ];
    assert_eq!(seen.missing(false, &unreached), [""; 0]);
}

#[test]
fn kernel_and_host_do_the_same_at_xdp() {
    let seen = run_histories(Hook::Xdp, &[(1, 16), (2, 16), (3, 4)]);
    assert_eq!(seen.pass, 0);
    let Seen { leave, punt, .. } = seen;
    assert!(
        leave > 1000 && punt > 1000,
        "forward, punt: {leave}, {punt}"
    );
    // What a test frame cannot be, or these histories do not reach.
    let unreached = [Reason::PuntNotReady, Reason::PuntTagged];
    assert_eq!(seen.missing(true, &unreached), [""; 0]);
}

/// Names the packet that a failure is about.
struct Told<'a>(u64, u64, &'a [u8]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.2.iter().map(|octet| format!("{octet:02x}")).collect();
            eprintln!("seed {}, packet {}: {hex}", self.0, self.1);
        }
    }
}
