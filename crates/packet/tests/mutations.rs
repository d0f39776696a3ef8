//! Frames that are right but for some mutations, against a director that lives through all of
//! them. Whatever comes has exactly one outcome, and what is behind the end of a packet never
//! matters.
//!
//! `PROPTEST_CASES` says how many histories are tried; a failure prints the history, shortened
//! to what it takes.

mod support;

use elver_packet::reason::Reason;
use proptest::prelude::*;
use support::everything::{Twins, corpus, director};

/// A change of a frame. Places are mostly those of headers.
#[derive(Debug, Clone)]
enum Mutation {
    Set(usize, u8),
    Flip(usize, u8),
    SetWord(usize, u16),
    Cut(usize),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Append(Vec<u8>),
    /// Octets of another frame, from a place on.
    Splice(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = || prop_oneof![3 => 12usize..100, 1 => 0usize..1500];
    let octets = || proptest::collection::vec(any::<u8>(), 1..24);
    let octet = prop_oneof![
        Just(0u8),
        Just(1),
        Just(4),
        Just(6),
        Just(41),
        Just(44),
        Just(47),
        Just(0x45),
        Just(0x4f),
        Just(0x60),
        Just(0xff),
        any::<u8>()
    ];
    let word = prop_oneof![
        Just(0u16),
        Just(1),
        Just(0x0800),
        Just(0x86dd),
        Just(0x8100),
        Just(0xffff),
        0u16..2000,
        any::<u16>()
    ];
    prop_oneof![
        4 => (place(), octet).prop_map(|(place, value)| Mutation::Set(place, value)),
        3 => (place(), 0u8..8).prop_map(|(place, bit)| Mutation::Flip(place, bit)),
        3 => (place(), word).prop_map(|(place, word)| Mutation::SetWord(place, word)),
        2 => place().prop_map(Mutation::Cut),
        1 => (place(), 1usize..40).prop_map(|(place, length)| Mutation::Remove(place, length)),
        1 => (place(), octets()).prop_map(|(place, octets)| Mutation::Insert(place, octets)),
        1 => octets().prop_map(Mutation::Append),
        1 => (place(), any::<usize>()).prop_map(|(place, frame)| Mutation::Splice(place, frame)),
    ]
}

fn mutate(frame: &mut Vec<u8>, mutation: &Mutation) {
    let length = frame.len();
    match mutation {
        Mutation::Set(place, value) => {
            if let Some(octet) = frame.get_mut(*place) {
                *octet = *value;
            }
        }
        Mutation::Flip(place, bit) => {
            if let Some(octet) = frame.get_mut(*place) {
                *octet ^= 1 << bit;
            }
        }
        Mutation::SetWord(place, word) => {
            if let Some(octets) = frame.get_mut(*place..*place + 2) {
                octets.copy_from_slice(&word.to_be_bytes());
            }
        }
        Mutation::Cut(place) => frame.truncate(*place),
        Mutation::Remove(place, count) => {
            frame.drain((*place).min(length)..(place + count).min(length));
        }
        Mutation::Insert(place, octets) => {
            let place = (*place).min(length);
            frame.splice(place..place, octets.iter().copied());
        }
        Mutation::Append(octets) => frame.extend(octets),
        Mutation::Splice(place, other) => {
            let other = &corpus()[other % corpus().len()];
            frame.truncate(*place);
            frame.extend(&other[(*place).min(other.len())..]);
        }
    }
}

/// A step of a history: a frame of the corpus, what is wrong with it, octets that stand behind
/// it, and how long nothing happens then.
type Step = (usize, Vec<Mutation>, Vec<u8>, u32);

fn step() -> impl Strategy<Value = Step> {
    (
        any::<usize>(),
        proptest::collection::vec(mutation(), 0..4),
        proptest::collection::vec(any::<u8>(), 0..10),
        prop_oneof![8 => Just(0u32), 1 => 0u32..20, 1 => 400u32..1200],
    )
}

fn try_step(twins: &mut Twins, (frame, mutations, behind, wait): &Step) {
    let mut octets = corpus()[frame % corpus().len()].clone();
    for mutation in mutations {
        mutate(&mut octets, mutation);
    }
    twins.meet(octets, behind);
    twins.wait(*wait);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_frames_have_an_outcome(steps in proptest::collection::vec(step(), 1..60)) {
        let mut twins = Twins::new();
        for step in &steps {
            try_step(&mut twins, step);
        }
        twins.assert_right();
    }
}

/// So that the mutations begin with what matters: the frames of the corpus open connections,
/// go on with them and are errors about them, by every method.
#[test]
fn the_corpus_reaches_every_way() {
    let mut director = director();
    for frame in corpus() {
        director.process(frame.clone());
    }
    for reason in [
        Reason::ForwardedToServer,
        Reason::ForwardedToClient,
        Reason::RelatedError,
        Reason::TunnelError,
        Reason::NotFirst,
        Reason::Unrelated,
    ] {
        assert_ne!(director.tables.reason(reason), 0, "{}", reason.name());
    }
}
