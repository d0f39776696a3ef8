//! The figures, as a table and as JSON.

use std::path::Path;

use serde_json::json;

use crate::cases::Case;
use crate::script;

/// Nanoseconds per packet, run by run.
#[derive(Default)]
pub(crate) struct Samples {
    pub(crate) bare: Vec<f64>,
    pub(crate) whole: Vec<f64>,
}

impl Samples {
    /// The cost without the driver's, at a percentile of both.
    fn net(&self, percent: usize) -> f64 {
        percentile(&self.whole, percent) - percentile(&self.bare, percent)
    }
}

fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Prints the figures, and writes them to `target/bench.json`. `verified` has the programs with
/// the instructions that the verifier followed.
pub(crate) fn report(verified: &[(String, u32)], instance: &str, results: &[(&Case, Samples)]) {
    let yardstick = results
        .iter()
        .find(|(case, _)| case.deed == script::LOOK_UP);
    let yardstick = yardstick.map_or(f64::NAN, |(_, samples)| samples.net(50).max(1.0));
    println!(
        "{:52} {:>8} {:>8} {:>12} {:>8}",
        "ns per packet, net of the driver", "median", "10th %", "look-ups", "driver"
    );
    let mut lines = Vec::new();
    for (case, samples) in results {
        let (median, tenth, bare) = (
            samples.net(50),
            samples.net(10),
            percentile(&samples.bare, 50),
        );
        println!(
            "{:52} {median:8.0} {tenth:8.0} {:12.2} {bare:8.0}",
            case.name,
            median / yardstick
        );
        lines.push(json!({
            "case": case.name,
            "median_ns": median,
            "tenth_percentile_ns": tenth,
            "look_ups": median / yardstick,
            "driver_ns": bare,
            "packets_per_run": case.packets,
            "runs": samples.whole.len(),
        }));
    }
    println!("\ninstructions that the verifier followed");
    for (program, instructions) in verified {
        println!("{program:52} {instructions:8}");
    }
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let whole = json!({
        "kernel": kernel.trim(),
        "instance": instance,
        "lines": lines,
        "verified_instructions": verified.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench.json");
    std::fs::write(&path, format!("{whole:#}\n")).expect("target/bench.json");
    println!("\ntarget/bench.json has these figures");
}
