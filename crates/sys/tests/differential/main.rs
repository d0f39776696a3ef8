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
use frames::{Random, frame};
use namespace::Namespace;
use pair::Pair;

/// Takes the pins away, whatever happens.
struct Instance(String);

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = unload(&self.0) {
            eprintln!("{error}");
        }
    }
}

#[test]
fn kernel_and_host_do_the_same() {
    const PACKETS: u64 = 9000;
    let namespace = Namespace::new();
    let routes = namespace.routes();
    let mut seen = [0; 3];
    let mut reasons = vec![0; Reason::COUNT];
    // The last table has one set, in which the most precious entries have to make room.
    for (seed, sets) in [(1u64, 16), (2, 16), (3, 4), (4, 1)] {
        let instance = Instance(format!("test-differential-{}-{seed}", std::process::id()));
        namespace.enter(|| {
            let mut random = Random(seed);
            let mut pair = Pair::new(&instance.0, namespace.devices, sets, random.next());
            let mut next = None;
            for number in 0..PACKETS {
                let side = if random.once_in(3) { 2 } else { 1 };
                let (side, arriving) = match next.take() {
                    Some(acknowledgment) => (1, acknowledgment),
                    None => (side, frame(&mut random, side)),
                };
                if side == 1 && random.once_in(2) {
                    next = arriving.acknowledgment();
                }
                let told = Told(seed, number, &arriving.octets);
                match pair.arrive(side, &arriving, &routes) {
                    Verdict::Pass => seen[0] += 1,
                    Verdict::Drop => seen[1] += 1,
                    Verdict::Leave => seen[2] += 1,
                    Verdict::Punt => panic!("there is no hook behind tc"),
                }
                pair.compare_tables();
                if number % 16 == 0 {
                    pair.compare_counters();
                }
                drop(told);
                if random.once_in(20) {
                    pair.edit(&mut random);
                }
            }
            pair.compare_counters();
            let live =
                (0..sets * STRIDE).filter(|index| control(&&pair.host, *index).unwrap().is_live());
            assert!(
                live.count() as u32 > sets + 2,
                "hardly a connection is left"
            );
            for (sum, reason) in reasons.iter_mut().zip(Reason::ALL) {
                *sum += pair.host.reason(*reason);
            }
        });
    }
    // The histories reach all outcomes that are common, and each many times.
    assert!(
        seen.iter().all(|times| *times > 500),
        "pass, drop, forward: {seen:?}"
    );
    // What one processor and a test frame cannot reach, or these histories do not.
    let unreached = [
        Reason::NotReady,
        Reason::Tagged,
        Reason::NotWritable,
        Reason::Contended,
    ];
    let outcomes = Reason::ALL.iter().zip(reasons);
    for (reason, times) in outcomes.filter(|(reason, _)| !reason.is_punt()) {
        assert!(
            times != 0 || unreached.contains(reason),
            "{} never came",
            reason.name()
        );
    }
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
