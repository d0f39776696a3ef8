//! The rates of destinations, kept beside them in a map, so that they are listed without a
//! director as well.

use elver_core::estimator::Estimate;
use elver_core::service::Rates;
use elver_packet::table::Words;
use elver_sys::bpf::Maps;

use super::{DataPlane, Slots};

impl DataPlane {
    /// Brings every destination's rates up to date. To be called every
    /// [`INTERVAL`](elver_core::estimator::INTERVAL).
    pub(crate) fn estimate(&mut self) {
        let inventory = &self.inventory;
        for slots in inventory.services.values() {
            for id in slots.destinations.iter().chain(&slots.tombstones) {
                let mut estimate = read(&inventory.maps, *id);
                estimate.advance(&inventory.maps.totals(*id));
                write(&inventory.maps, *id, &estimate);
            }
        }
    }
}

/// The rates of a destination.
pub(super) fn of_destination(maps: &Maps, id: u32) -> Rates {
    elver_core::estimator::rates([&read(maps, id)])
}

/// The rates of a service: those of its destinations, removed ones included.
pub(super) fn of_service(maps: &Maps, slots: &Slots) -> Rates {
    let ids = slots.destinations.iter().chain(&slots.tombstones);
    let estimates: Vec<Estimate> = ids.map(|id| read(maps, *id)).collect();
    elver_core::estimator::rates(&estimates)
}

/// The totals of a destination are set to 0; its rates stay.
pub(super) fn zero(maps: &Maps, id: u32) {
    let mut estimate = read(maps, id);
    estimate.zero();
    write(maps, id, &estimate);
}

/// A destination is new: it has no rates yet.
pub(super) fn clear(maps: &Maps, id: u32) {
    write(maps, id, &Estimate::default());
}

fn read(maps: &Maps, id: u32) -> Estimate {
    let word = |word: usize| maps.estimate(id).map_or(0, |words| words.load(word));
    Estimate {
        last: std::array::from_fn(word),
        averages: std::array::from_fn(|position| word(5 + position)),
    }
}

fn write(maps: &Maps, id: u32, estimate: &Estimate) {
    if let Some(words) = maps.estimate(id) {
        let all = estimate.last.iter().chain(&estimate.averages);
        for (word, value) in all.enumerate() {
            words.store(word, *value);
        }
    }
}
