//! Interleavings of a few processors that run the packet function over one memory: all with
//! at most so many preemptions.
//!
//! Memory is a vector of words. A processor is a deterministic function of what it reads,
//! so its state is the list of values that its operations gave it; it is taken one step
//! further by running it anew from that list, up to the operation after. States of the
//! whole (memory, and every processor's list) are visited once each. A processor may be
//! preempted before any of its operations, so many times in all; when one is done, another
//! goes on for nothing. Nearly every race needs one or two preemptions to show
//! (M. Musuvathi, S. Qadeer, "Iterative context bounding", 2007).
//!
//! Processors take turns only before operations on words that another of them uses as well,
//! one of them writing; all other operations commute. Which words these are is found out
//! on the way: when another one turns up, the search begins again.
//!
//! Memory is sequentially consistent here. What is not explored is the reordering of plain
//! loads and stores that weaker machines allow.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use elver_packet::host::HostTables;
use elver_packet::reason::Reason;
use elver_packet::table::access::AccessKey;
use elver_packet::table::fragment::{Endpoint, FragmentKey, Remembered};
use elver_packet::table::locality::LocalityKey;
use elver_packet::table::service::ServiceKey;
use elver_packet::table::{Tables, Traffic, Words, connection, destination, service, settings};

thread_local! {
    static TURN: RefCell<Turn> = RefCell::default();
}

/// A processor's turn.
#[derive(Default)]
struct Turn {
    memory: Vec<u64>,
    /// What its operations gave, in earlier turns and in this one.
    log: Vec<u64>,
    position: usize,
    shared: BTreeSet<usize>,
    /// Whether an operation on a shared word has been done in this turn.
    moved: bool,
    /// Whether there are turns at all: outside the search every operation is just done.
    takes_turns: bool,
    /// Words read and words written.
    reads: BTreeSet<usize>,
    writes: BTreeSet<usize>,
}

/// Ends a turn.
struct TurnIsOver;

#[derive(Clone, Copy)]
enum Operation {
    Load,
    Store(u64),
    Exchange(u64),
    CompareExchange(u64, u64),
    Add(u64),
    /// An addition of which the sum is all that anybody will ever see.
    Count(u64),
}

fn operate(address: usize, operation: Operation) -> u64 {
    TURN.with_borrow_mut(|turn| {
        if turn.takes_turns {
            if let Some(known) = turn.log.get(turn.position) {
                turn.position += 1;
                return Ok(*known);
            }
            if turn.shared.contains(&address) {
                if turn.moved {
                    return Err(TurnIsOver);
                }
                turn.moved = true;
            }
            match operation {
                Operation::Load => _ = turn.reads.insert(address),
                Operation::Count(_) => {}
                _ => _ = turn.writes.insert(address),
            }
        }
        let word = &mut turn.memory[address];
        let before = *word;
        let result = match operation {
            Operation::Load => before,
            Operation::Store(value) => {
                *word = value;
                0
            }
            Operation::Exchange(value) => {
                *word = value;
                before
            }
            Operation::CompareExchange(expected, new) => {
                if before == expected {
                    *word = new;
                }
                u64::from(before == expected)
            }
            Operation::Add(amount) => {
                *word = before.wrapping_add(amount);
                before
            }
            Operation::Count(amount) => {
                *word = before.wrapping_add(amount);
                0
            }
        };
        if turn.takes_turns {
            turn.log.push(result);
            turn.position += 1;
        }
        Ok(result)
    })
    .unwrap_or_else(|over| resume_unwind(Box::new(over)))
}

/// An entry in the explored memory.
#[derive(Clone, Copy)]
pub struct Line {
    first: usize,
    words: usize,
    /// A word that is only ever added to by those who are explored.
    counter: [usize; 2],
}

const NONE: [usize; 2] = [usize::MAX; 2];

impl Line {
    /// Where a word stands in memory.
    pub fn address(self, word: usize) -> usize {
        self.first + word
    }

    fn at(self, word: usize) -> Option<usize> {
        (word < self.words).then_some(self.first + word)
    }
}

impl Words for Line {
    fn load(self, word: usize) -> u64 {
        self.at(word).map_or(0, |at| operate(at, Operation::Load))
    }

    fn store(self, word: usize, value: u64) {
        self.at(word).map(|at| operate(at, Operation::Store(value)));
    }

    fn exchange(self, word: usize, value: u64) -> u64 {
        self.at(word)
            .map_or(0, |at| operate(at, Operation::Exchange(value)))
    }

    fn compare_exchange(self, word: usize, expected: u64, new: u64) -> bool {
        self.at(word)
            .is_some_and(|at| operate(at, Operation::CompareExchange(expected, new)) != 0)
    }

    fn fetch_add(self, word: usize, amount: u64) -> u64 {
        let add = if self.counter.contains(&word) {
            Operation::Count
        } else {
            Operation::Add
        };
        self.at(word).map_or(0, |at| operate(at, add(amount)))
    }
}

/// Tables in the explored memory.
#[derive(Clone)]
pub struct ExploredTables {
    index: BTreeMap<ServiceKey, u32>,
    /// Where each map begins, and its end.
    starts: [usize; 8],
}

impl ExploredTables {
    /// The same tables, with their contents in a memory of plain words.
    pub fn of(tables: &HostTables) -> (ExploredTables, Vec<u64>) {
        let maps = [
            &tables.settings,
            &tables.services,
            &tables.members,
            &tables.destinations,
            &tables.connections,
            &tables.statistics,
            &tables.reasons,
        ];
        let (mut memory, mut starts) = (Vec::new(), [0; 8]);
        for (map, start) in maps.into_iter().zip(1..) {
            let words: &[std::sync::atomic::AtomicU64] = map;
            memory.extend((0..words.len()).map(|word| words.load(word)));
            starts[start] = memory.len();
        }
        let index = tables
            .index
            .lock()
            .unwrap()
            .iter()
            .map(|(key, id)| (*key, *id))
            .collect();
        (ExploredTables { index, starts }, memory)
    }

    fn line(&self, map: usize, number: u32, words: usize, counter: [usize; 2]) -> Option<Line> {
        let first = self.starts[map] + number as usize * words;
        (first + words <= self.starts[map + 1]).then_some(Line {
            first,
            words,
            counter,
        })
    }

    /// Lines of the connection table, headers included.
    pub fn connection_lines(&self) -> u32 {
        ((self.starts[5] - self.starts[4]) / connection::WORDS) as u32
    }

    pub fn destinations(&self) -> u32 {
        ((self.starts[4] - self.starts[3]) / destination::WORDS) as u32
    }

    /// How often a reason was counted.
    pub fn reason(&self, reason: Reason) -> u64 {
        self.line(6, reason as u32, 1, NONE).unwrap().load(0)
    }
}

impl Tables for ExploredTables {
    type Words = Line;

    fn nanoseconds(&self) -> u64 {
        0
    }

    fn settings(&self) -> Option<Line> {
        self.line(0, 0, settings::WORDS, NONE)
    }

    fn service_id(&self, key: &ServiceKey) -> Option<u32> {
        self.index.get(key).copied()
    }

    // There are no lists and rules in what is explored.
    fn access(&self, _key: &AccessKey) -> u32 {
        0
    }

    fn mark_rule(&self, _number: u32) -> Option<Line> {
        None
    }

    // Nor are next hops remembered.
    fn next_hop(&self, _place: u32) -> Option<Line> {
        None
    }

    // Nor are there fragments.
    fn fragment(&self, _key: &FragmentKey) -> Option<Remembered> {
        None
    }

    fn remember_fragment(&self, _key: &FragmentKey, _remembered: Remembered) {}

    fn locality(&self, _key: &LocalityKey) -> Option<Line> {
        None
    }

    fn new_locality(&self, _key: &LocalityKey) -> Option<Line> {
        None
    }

    fn is_endpoint(&self, _endpoint: &Endpoint) -> bool {
        false
    }

    fn service(&self, id: u32) -> Option<Line> {
        self.line(1, id, service::WORDS, NONE)
    }

    fn member(&self, place: u32) -> Option<u32> {
        Some(self.line(2, place, 1, NONE)?.load(0) as u32)
    }

    fn destination(&self, id: u32) -> Option<Line> {
        // Nobody who is explored reads these: only the sums count.
        let counters = [destination::CONNECTIONS_WORD, destination::TEMPLATES_WORD];
        self.line(3, id, destination::WORDS, counters)
    }

    fn connection(&self, index: u32) -> Option<Line> {
        self.line(4, index, connection::WORDS, NONE)
    }

    // A processor's own.
    fn count(&self, _destination: u32, _event: Traffic) {}

    fn count_reason(&self, reason: Reason) {
        if let Some(counter) = self.line(6, reason as u32, 1, [0; 2]) {
            counter.fetch_add(0, 1);
        }
    }
}

/// What a processor does.
pub type Processor<'a, R> = Box<dyn Fn(&ExploredTables) -> R + 'a>;

#[derive(Clone)]
struct State<R> {
    /// Who is at work, and how often somebody may still be preempted.
    current: usize,
    preemptions: u32,
    memory: Vec<u64>,
    logs: Vec<Vec<u64>>,
    results: Vec<Option<R>>,
}

impl<R> State<R> {
    fn fingerprint(&self) -> [u64; 2] {
        let mut sums = [self.current as u64, u64::from(self.preemptions) << 32];
        let mut absorb = |word: u64| {
            let [first, second] = sums;
            let first = (first ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
            let second = (second.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
            sums = [first ^ first >> 32, second ^ second >> 29];
        };
        self.memory.iter().copied().for_each(&mut absorb);
        for log in &self.logs {
            absorb(log.len() as u64);
            log.iter().copied().for_each(&mut absorb);
        }
        sums
    }
}

/// How large a search was.
#[derive(Debug, Default, Clone, Copy)]
pub struct Explored {
    pub states: usize,
    pub ends: usize,
}

/// Reads tables at rest.
pub fn at_rest<T>(memory: &[u64], read: impl FnOnce() -> T) -> T {
    TURN.with_borrow_mut(|turn| {
        *turn = Turn {
            memory: memory.to_vec(),
            ..Turn::default()
        }
    });
    read()
}

/// Runs the processors in every interleaving with at most so many preemptions, and hands what
/// they gave to `check` in every state that all of them can end in, with the tables at rest.
pub fn explore<R: Clone>(
    tables: &ExploredTables,
    memory: &[u64],
    processors: &[Processor<'_, R>],
    preemptions: u32,
    check: impl Fn(&[R]),
) -> Explored {
    let mut shared = BTreeSet::new();
    loop {
        let before = shared.len();
        let explored = search(tables, memory, processors, preemptions, &mut shared, &check);
        if shared.len() == before {
            return explored;
        }
    }
}

fn search<R: Clone>(
    tables: &ExploredTables,
    memory: &[u64],
    processors: &[Processor<'_, R>],
    preemptions: u32,
    shared: &mut BTreeSet<usize>,
    check: &impl Fn(&[R]),
) -> Explored {
    /// More than this is a scenario that is too large.
    const MOST: usize = 4_000_000;
    let mut explored = Explored::default();
    let mut readers = vec![BTreeSet::new(); processors.len()];
    let mut writers = vec![BTreeSet::new(); processors.len()];
    let starts = (0..processors.len()).map(|current| State {
        current,
        preemptions,
        memory: memory.to_vec(),
        logs: vec![Vec::new(); processors.len()],
        results: vec![None; processors.len()],
    });
    let mut open: Vec<State<R>> = starts.collect();
    let mut seen: HashSet<[u64; 2]> = open.iter().map(State::fingerprint).collect();
    while let Some(state) = open.pop() {
        explored.states += 1;
        assert!(explored.states < MOST, "the scenario has too many states");
        if state.results.iter().all(Option::is_some) {
            explored.ends += 1;
            let results: Vec<R> = state.results.iter().flatten().cloned().collect();
            at_rest(&state.memory, || check(&results));
            continue;
        }
        for (number, processor) in processors.iter().enumerate() {
            if state.results[number].is_some() {
                continue;
            }
            let is_preemption = number != state.current && state.results[state.current].is_none();
            if is_preemption && (state.preemptions == 0 || state.logs[state.current].is_empty()) {
                continue;
            }
            let mut next = state.clone();
            next.preemptions -= u32::from(is_preemption);
            next.current = number;
            TURN.with_borrow_mut(|turn| {
                *turn = Turn {
                    memory: std::mem::take(&mut next.memory),
                    log: std::mem::take(&mut next.logs[number]),
                    shared: std::mem::take(shared),
                    takes_turns: true,
                    ..Turn::default()
                };
            });
            match catch_unwind(AssertUnwindSafe(|| processor(tables))) {
                Ok(result) => next.results[number] = Some(result),
                Err(over) if over.is::<TurnIsOver>() => {}
                Err(panic) => resume_unwind(panic),
            }
            TURN.with_borrow_mut(|turn| {
                next.memory = std::mem::take(&mut turn.memory);
                next.logs[number] = std::mem::take(&mut turn.log);
                *shared = std::mem::take(&mut turn.shared);
                readers[number].append(&mut turn.reads);
                writers[number].append(&mut turn.writes);
            });
            if seen.insert(next.fingerprint()) {
                open.push(next);
            }
        }
    }
    for (number, written) in writers.iter().enumerate() {
        for (other, read) in readers
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != number)
        {
            shared.extend(written.intersection(read));
            shared.extend(written.intersection(&writers[other]));
        }
    }
    explored
}
