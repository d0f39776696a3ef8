//! What the kernel's IPVS chose, on Linux 6.1.

use super::*;

/// Real servers .11, .12 … with these weights, as they were added; their ids are the last
/// octets of their addresses.
fn added(weights: &[u32]) -> Vec<Candidate> {
    (11..11 + weights.len() as u32)
        .zip(weights)
        .map(|(id, weight)| candidate(id, *weight))
        .rev()
        .collect()
}

fn candidate(id: u32, weight: u32) -> Candidate {
    Candidate {
        id,
        weight,
        last_weight: weight,
        address: 0x0a02_0000 + id,
        port: 8080,
    }
}

/// A service of wrr or rr that is changed while it chooses.
#[derive(Default)]
struct Service {
    scheduler: u8,
    list: MemberList,
    position: Position,
}

impl Service {
    fn publish(&mut self, candidates: &[Candidate]) {
        let list = member_list(self.scheduler, candidates);
        self.position = list.position_after(self.scheduler, &self.list, self.position);
        self.list = list;
    }

    /// Another scheduler has no memory.
    fn reschedule(&mut self, scheduler: u8, candidates: &[Candidate]) {
        *self = Service {
            scheduler,
            ..Service::default()
        };
        self.publish(candidates);
    }

    fn choose(&mut self, times: u64) -> Vec<u32> {
        let members = &self.list.members;
        let chosen = (self.position.cursor..self.position.cursor + times)
            .map(|cursor| members[(cursor % members.len() as u64) as usize]);
        let chosen = chosen.collect();
        self.position.cursor += times;
        chosen
    }
}

/// A service of wrr to which real servers are added one by one.
fn weighted(weights: &[u32]) -> (Service, Vec<Candidate>) {
    let mut service = Service {
        scheduler: scheduler::WEIGHTED_ROUND_ROBIN,
        ..Service::default()
    };
    service.publish(&[]);
    for count in 1..=weights.len() {
        service.publish(&added(&weights[..count]));
    }
    (service, added(weights))
}

#[test]
fn weighted_round_robin_takes_turns_as_the_kernel_does() {
    for (weights, chosen) in [
        (
            &[3, 1, 2][..],
            [13, 12, 11, 11, 13, 11, 13, 12, 11, 11, 13, 11, 13, 12],
        ),
        (
            &[1, 2, 4],
            [13, 12, 11, 13, 13, 13, 12, 13, 12, 11, 13, 13, 13, 12],
        ),
        (
            &[4, 2, 1],
            [13, 12, 11, 11, 11, 12, 11, 13, 12, 11, 11, 11, 12, 11],
        ),
        (
            &[5, 5],
            [12, 11, 12, 11, 12, 11, 12, 11, 12, 11, 12, 11, 12, 11],
        ),
    ] {
        assert_eq!(weighted(weights).0.choose(14), chosen, "{weights:?}");
    }
}

#[test]
fn weighted_round_robin_goes_on_after_changes_as_the_kernel_does() {
    let (mut service, mut candidates) = weighted(&[3, 1, 2]);
    assert_eq!(service.choose(4), [13, 12, 11, 11]);
    candidates[1] = candidate(12, 6);
    service.publish(&candidates);
    assert_eq!(service.choose(9), [12, 11, 13, 12, 11, 13, 12, 11, 12]);
    candidates.insert(0, candidate(14, 4));
    service.publish(&candidates);
    assert_eq!(
        service.choose(12),
        [12, 12, 14, 12, 14, 12, 11, 14, 13, 12, 11, 14]
    );
    candidates.retain(|one| one.id != 11);
    service.publish(&candidates);
    assert_eq!(
        service.choose(12),
        [14, 13, 12, 12, 14, 12, 14, 13, 12, 12, 14, 12]
    );
    // The service itself was edited, which changes nothing.
    assert_eq!(service.choose(5), [14, 13, 12, 12, 14]);
    service.reschedule(scheduler::ROUND_ROBIN, &candidates);
    assert_eq!(service.choose(5), [14, 13, 12, 14, 13]);
    service.reschedule(scheduler::WEIGHTED_ROUND_ROBIN, &candidates);
    assert_eq!(service.choose(9), [12, 14, 12, 14, 13, 12, 12, 14, 12]);
}

#[test]
fn nobody_has_a_turn_without_weight() {
    let (service, _) = weighted(&[0, 0]);
    assert_eq!(service.list, MemberList::default());
    let (mut service, _) = weighted(&[0, 7, 0]);
    assert_eq!(service.choose(2), [12, 12]);
}

#[test]
fn weights_that_take_too_many_turns_are_rounded() {
    let list = member_list(
        scheduler::WEIGHTED_ROUND_ROBIN,
        &added(&[1, 2_000_000_000, 1_000_000_001]),
    );
    assert!(
        list.members.len() <= MOST_TURNS + 3,
        "{}",
        list.members.len()
    );
    let share = |id: u32| list.members.iter().filter(|member| **member == id).count();
    assert_eq!(share(11), 1);
    assert!(share(12).abs_diff(2 * share(13)) <= 2, "{}", share(12));
    // A multiple of small weights takes no more turns than these.
    let list = member_list(
        scheduler::WEIGHTED_ROUND_ROBIN,
        &added(&[1_000_000, 2_000_000]),
    );
    assert_eq!(list.members, [12, 12, 11]);
}

#[test]
fn round_robin_goes_on_where_it_was() {
    let after = |before: &[u32], cursor: u64, after: &[u32]| {
        let (before, after) = (
            MemberList::from(before.to_vec()),
            MemberList::from(after.to_vec()),
        );
        let position = Position {
            cursor,
            begun_at: 0,
        };
        let position = after.position_after(scheduler::ROUND_ROBIN, &before, position);
        position.cursor
    };
    // Nothing used yet.
    assert_eq!(after(&[3, 2, 1], 0, &[4, 3, 2, 1]), 0);
    // 2 was last; a new one came in front.
    assert_eq!(after(&[3, 2, 1], 2, &[4, 3, 2, 1]), 3);
    // 2 was last, and is gone: on after 3.
    assert_eq!(after(&[3, 2, 1], 2, &[3, 1]), 1);
    // 3, the first, was last and is gone: from the beginning.
    assert_eq!(after(&[3, 2, 1], 1, &[2, 1]), 0);
    // Several turns later.
    assert_eq!(after(&[3, 2, 1], 3 * 7, &[3, 2, 1]), 3);
}

#[test]
fn slots_are_dealt_out_by_weight() {
    let list = member_list(scheduler::SOURCE_HASHING, &added(&[1, 0, 3]));
    assert_eq!(list.members.len(), SLOTS as usize);
    // Without weight it is one slot, which takes nobody.
    assert_eq!(list.members[..7], [13, 13, 13, 12, 11, 13, 13]);
    let list = member_list(scheduler::DESTINATION_HASHING, &added(&[1, 0, 3]));
    assert_eq!(list.members.len(), SLOTS as usize);
    assert_eq!(list.members[..4], [13, 12, 11, 13]);
}

#[test]
fn the_maglev_table_is_full_and_follows_weights() {
    let mut candidates = added(&[1, 2, 1000]);
    candidates[1].weight = 0;
    let list = member_list(scheduler::MAGLEV_HASHING, &candidates);
    assert_eq!(list.members.len(), MAGLEV_SLOTS as usize);
    let share = |id: u32| list.members.iter().filter(|member| **member == id).count();
    // 1000 takes ten bits, six of which are left: 62 turns of 64.
    assert_eq!([share(11), share(12)], [63, 63]);
    for candidate in &mut candidates {
        candidate.last_weight = 0;
    }
    assert!(
        member_list(scheduler::MAGLEV_HASHING, &candidates)
            .members
            .is_empty()
    );
}

#[test]
fn failover_and_overflow_begin_with_the_highest_weight() {
    for scheduler in [scheduler::FAILOVER, scheduler::OVERFLOW] {
        let list = member_list(scheduler, &added(&[2, 7, 2, 0]));
        assert_eq!(list.members, [12, 13, 11]);
    }
}

#[test]
fn without_destinations_every_list_is_empty() {
    for scheduler in 0..=scheduler::POWER_OF_TWO_CHOICES {
        assert_eq!(member_list(scheduler, &[]), MemberList::default());
    }
}
