//! The frontier against a naive model: a log with gaps, a flag for every offset, and every accident there is.
//!
//! The model knows for each offset whether a commit that the log took has settled it. It checks at every step that an
//! offset is handed to work until then and never again, that no base passes an unsettled offset or goes back, that gaps
//! are reported whole, and after every commit that offset and metadata name exactly the settled ones.

use std::collections::BTreeSet;
use std::ops::Range;

use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use super::codec::{self, Decoded, MAX_CHARS, Metadata, Tag};
use super::*;

/// Something that happens. Numbers choose among what is possible at that moment.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Records are appended, after a gap (a control record, a compacted stretch) of this length.
    Append { gap: u8, records: u8 },
    /// The next record is handed over.
    Read,
    /// A record that was handed over comes once more.
    ReadAgain(u8),
    /// The log says that there is nothing more.
    CaughtUp,
    /// A result is there.
    Finish(u8),
    /// A burst is made of about this many eighths of the results; its metadata may take this much.
    Propose { eighths: u8, max_chars: u16 },
    /// The burst is in the log, and we are told.
    Committed,
    /// The burst is not in the log, and we are told.
    NotCommitted,
    /// The process dies; was the burst in the log? The next owner restores.
    Crash { committed: bool },
    /// Retention takes the oldest records, finished or not.
    Expire(u8),
}

/// What the log keeps of an offset, and what has become of it.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    readable: bool,
    settled: bool,
}

struct Burst {
    proposal: Proposal,
    metadata: String,
    /// What counted as finished when it was made, apart from its own results.
    gone: BTreeSet<u64>,
}

struct World {
    log: Vec<Slot>,
    committed: (u64, String),
    /// Everything below this is settled.
    settled_below: usize,
    bursts: u64,
    // Of this assignment:
    frontier: Frontier,
    /// Everything below this was handed over or jumped over.
    position: usize,
    working: Vec<u64>,
    results: Vec<u64>,
    /// Jumped over and not yet settled by a commit.
    gone: BTreeSet<u64>,
    burst: Option<Burst>,
    highest_base: u64,
}

impl World {
    fn new() -> Self {
        Self {
            log: Vec::new(),
            committed: (0, String::new()),
            settled_below: 0,
            bursts: 0,
            frontier: Frontier::fresh(0),
            position: 0,
            working: Vec::new(),
            results: Vec::new(),
            gone: BTreeSet::new(),
            burst: None,
            highest_base: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append { gap, records } => {
                self.log.extend(vec![Slot::default(); gap.into()]);
                self.log.extend(vec![Slot { readable: true, settled: false }; records.into()]);
            }
            Step::Read => self.read(),
            Step::ReadAgain(choice) => self.read_again(choice),
            Step::CaughtUp => {
                if !self.log[self.position..].iter().any(|slot| slot.readable) {
                    let gaps = self.frontier.advance_to(self.log.len() as u64);
                    self.jumped(self.position..self.log.len(), &gaps);
                    self.position = self.log.len();
                }
            }
            Step::Finish(choice) => {
                if !self.working.is_empty() {
                    let result = self.working.swap_remove(usize::from(choice) % self.working.len());
                    self.results.push(result);
                }
            }
            Step::Propose { eighths, max_chars } => self.propose(eighths, max_chars),
            Step::Committed => {
                if let Some(burst) = self.burst.take() {
                    self.log_takes(&burst);
                    self.frontier.confirm(&burst.proposal);
                    self.results.retain(|result| burst.proposal.finishing.binary_search(result).is_err());
                    self.gone.retain(|offset| !burst.gone.contains(offset));
                    assert!(self.frontier.base() >= burst.proposal.base);
                }
            }
            Step::NotCommitted => self.burst = None,
            Step::Crash { committed } => {
                if let Some(burst) = self.burst.take().filter(|_| committed) {
                    self.log_takes(&burst);
                }
                self.restore();
            }
            Step::Expire(records) => {
                let oldest = self.log[self.settled_below..].iter_mut().filter(|slot| slot.readable);
                oldest.take(records.into()).for_each(|slot| slot.readable = false);
            }
        }
        let base = self.frontier.base();
        assert!(base >= self.highest_base, "the base went back to {base} from {}", self.highest_base);
        self.highest_base = base;
        assert!(self.frontier.end() >= self.frontier.cursor() && self.frontier.cursor() >= base);
        assert_eq!(self.frontier.cursor(), self.position as u64);
    }

    fn read(&mut self) {
        let Some(distance) = self.log[self.position..].iter().position(|slot| slot.readable) else { return };
        let offset = self.position + distance;
        let read = self.frontier.read(offset as u64);
        self.jumped(self.position..offset, &read.gaps);
        assert_eq!(read.fresh, !self.log[offset].settled, "offset {offset}");
        if read.fresh {
            self.working.push(offset as u64);
        }
        self.position = offset + 1;
    }

    fn read_again(&mut self, choice: u8) {
        if let Some(offset) = self.position.checked_sub(1 + usize::from(choice)) {
            let before = self.frontier.clone();
            assert_eq!(self.frontier.read(offset as u64), Read { fresh: false, gaps: Gaps::default() });
            assert_eq!(self.frontier.advance_to(offset as u64), Gaps::default());
            assert_eq!(self.frontier, before);
        }
    }

    /// Exactly the unsettled offsets among these must be reported, each as what it is.
    fn jumped(&mut self, range: Range<usize>, gaps: &Gaps) {
        let unsettled: Vec<u64> = range.filter(|at| !self.log[*at].settled).map(|at| at as u64).collect();
        let reported: Vec<u64> = gaps.ranges().flatten().collect();
        assert_eq!(reported, unsettled);
        let known_before = self.known_when_restored();
        assert!(gaps.lost.iter().all(|range| range.end <= known_before));
        assert!(gaps.unknown.iter().all(|range| range.start >= known_before));
        self.gone.extend(unsettled);
    }

    /// First offset the last commit says nothing of; what was read in this assignment cannot be jumped over.
    fn known_when_restored(&self) -> u64 {
        match codec::decode(&self.committed.1).expect("our own metadata") {
            Metadata::Ours(decoded) => decoded.end.max(self.position as u64),
            _ => self.committed.0.max(self.position as u64),
        }
    }

    fn propose(&mut self, eighths: u8, max_chars: u16) {
        if self.burst.is_some() {
            return;
        }
        self.bursts += 1;
        let tag = Tag { writer: "model".to_owned(), incarnation: 1, burst: self.bursts, ledger: 0 };
        let mut finishing: Vec<u64> =
            self.results.iter().copied().filter(|result| result % 8 < eighths.into()).collect();
        finishing.sort_unstable();
        let alone: Vec<Vec<u64>> = finishing.chunks(1).map(<[u64]>::to_vec).collect();
        let Some(fitted) = self.frontier.fit(&alone, &tag, max_chars.into()) else { return };
        let Fitted { proposal, metadata, .. } = fitted;
        assert!(proposal.base >= self.highest_base);
        self.burst = Some(Burst { proposal, metadata, gone: self.gone.clone() });
    }

    /// The log has the commit: what it settles is settled for ever, and what it says must be exactly that.
    fn log_takes(&mut self, burst: &Burst) {
        assert!(burst.proposal.base >= self.committed.0, "a commit went back");
        for offset in burst.proposal.finishing.iter().chain(&burst.gone) {
            assert!(!std::mem::replace(&mut self.log[*offset as usize].settled, true) || burst.gone.contains(offset));
        }
        self.committed = (burst.proposal.base, burst.metadata.clone());

        let Decoded { base, end, unfinished, .. } = self.decode_committed().expect("a burst was committed");
        let mut next_unfinished = unfinished.iter().copied().peekable();
        for offset in self.settled_below as u64..self.log.len() as u64 {
            let listed = next_unfinished.next_if_eq(&offset).is_some();
            let finished = offset < base || offset < end && !listed;
            assert_eq!(finished, self.log[offset as usize].settled, "offset {offset}, committed base {base} end {end}");
        }
        assert!(next_unfinished.next().is_none());
        self.settled_below += self.log[self.settled_below..].iter().take_while(|slot| slot.settled).count();
        assert!(base <= self.settled_below as u64);
    }

    fn decode_committed(&self) -> Option<Decoded> {
        match codec::decode(&self.committed.1).expect("our own metadata") {
            Metadata::Ours(decoded) => Some(decoded),
            Metadata::Empty => None,
            Metadata::Foreign => panic!("our own metadata was taken for foreign"),
        }
    }

    fn restore(&mut self) {
        let base = self.committed.0;
        self.frontier = match self.decode_committed() {
            None => Frontier::fresh(base),
            Some(decoded) => Frontier::restore(base, &decoded).expect("its own offset"),
        };
        self.position = base as usize;
        self.working.clear();
        self.results.clear();
        self.gone.clear();
        self.highest_base = base;
    }

    /// Everything is read, finished and committed: nothing may be left over.
    fn drain(&mut self) {
        self.step(Step::Committed);
        while self.log[self.position..].iter().any(|slot| slot.readable) {
            self.step(Step::Read);
        }
        self.step(Step::CaughtUp);
        while !self.working.is_empty() {
            self.step(Step::Finish(0));
        }
        self.step(Step::Propose { eighths: 8, max_chars: MAX_CHARS as u16 });
        self.step(Step::Committed);
        assert_eq!((self.frontier.base(), self.frontier.end()), (self.log.len() as u64, self.log.len() as u64));
        assert_eq!((self.frontier.unfinished_count(), self.frontier.width()), (0, 0));
        assert!(self.log.iter().all(|slot| slot.settled));
        assert_eq!(self.committed.0, self.log.len() as u64);
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0u8..4, 0u8..6).prop_map(|(gap, records)| Step::Append { gap, records }),
        6 => Just(Step::Read),
        1 => any::<u8>().prop_map(Step::ReadAgain),
        1 => Just(Step::CaughtUp),
        6 => any::<u8>().prop_map(Step::Finish),
        3 => (0u8..=8, prop_oneof![Just(4096u16), 48u16..60])
            .prop_map(|(eighths, max_chars)| Step::Propose { eighths, max_chars }),
        2 => Just(Step::Committed),
        1 => Just(Step::NotCommitted),
        1 => any::<bool>().prop_map(|committed| Step::Crash { committed }),
        1 => (1u8..4).prop_map(Step::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn no_history_loses_or_repeats_an_offset(steps in proptest::collection::vec(any_step(), 1..300)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.drain();
    }
}

/// A step, mostly an ordinary one.
fn next_step(random: &mut ChaCha8Rng, unread: usize, working: usize) -> Step {
    match random.random_range(0..1_000) {
        0..2 => Step::Crash { committed: random.random() },
        2..5 => Step::Expire(random.random_range(1..10)),
        5..25 => Step::ReadAgain(random.random()),
        25..30 => Step::CaughtUp,
        30..130 if unread < 50 => Step::Append {
            gap: *[0, 0, 0, 1, 1, 30].choose(random).expect("not empty"),
            records: random.random_range(1..10),
        },
        130..180 => Step::Propose {
            eighths: random.random_range(0..=8),
            max_chars: *[4096, 4096, 4096, 120, 60].choose(random).expect("not empty"),
        },
        180..220 => Step::Committed,
        220..230 => Step::NotCommitted,
        230..600 if working > 100 => Step::Finish(random.random()),
        230..400 => Step::Finish(random.random()),
        _ if working < 150 => Step::Read,
        _ => Step::Finish(random.random()),
    }
}

#[test]
fn a_million_random_steps_lose_and_repeat_nothing() {
    let mut random = ChaCha8Rng::seed_from_u64(0x6761_7465);
    let mut world = World::new();
    for _ in 0..1_000_000 {
        let step = next_step(&mut random, world.log.len() - world.position, world.working.len());
        world.step(step);
    }
    world.drain();
    assert!(world.bursts > 10_000 && world.log.len() > 50_000, "{} bursts, {} offsets", world.bursts, world.log.len());
}
