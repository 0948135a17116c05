//! Where partitions stand, as long as that is not known of all of them: which are open, how patiently they are asked about,
//! and what is said of it meanwhile. Pure, but for what it remembers of writers that were fenced (`orphans.rs`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::orphans::Orphans;
use crate::domain::position::Partition;

/// Longest wait for the first answers, of one question about one partition: one without an answer must not keep the others
/// waiting.
const FIRST: Duration = Duration::from_millis(100);

/// A question about all of them may take so many times as long.
const ALL: u32 = 4;

/// Partitions that are asked about.
#[derive(Debug)]
pub struct Inquiry {
    /// In the order in which they are asked about.
    open: VecDeque<Partition>,
    answer: Duration,
    longest: Duration,
    begun: Instant,
    /// What was heard last instead of an answer.
    why: Option<String>,
    /// Writers whose open transactions were ended for it.
    pub orphans: Orphans,
}

impl Inquiry {
    /// Nothing is known of these. No question waits longer than `longest`.
    pub fn about(partitions: &[Partition], longest: Duration) -> Self {
        let (open, answer) = (partitions.iter().copied().collect(), FIRST.min(longest));
        Self { open, answer, longest, begun: Instant::now(), why: None, orphans: Orphans::new() }
    }

    /// Those that are not known yet.
    pub fn open(&self) -> Vec<Partition> {
        self.open.iter().copied().collect()
    }

    /// Whether there are none.
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Since when.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// How long a question about one of them may wait.
    pub fn answer(&self) -> Duration {
        self.answer
    }

    /// How long a question about all of them may wait.
    pub fn answer_of_all(&self) -> Duration {
        (self.answer * ALL).min(self.longest)
    }

    /// The next round waits twice as long for each, and begins with another one.
    pub fn next_round(&mut self) {
        self.answer = (self.answer * 2).min(self.longest);
        if !self.open.is_empty() {
            self.open.rotate_left(1);
        }
    }

    /// This one is known, or not ours any more. Says whether it was open.
    pub fn remove(&mut self, partition: Partition) -> bool {
        let before = self.open.len();
        self.open.retain(|open| *open != partition);
        self.open.len() < before
    }

    /// More of them came. They are asked about with the others.
    pub fn join(&mut self, other: Self) {
        self.open.extend(other.open);
        self.why = other.why.or(self.why.take());
    }

    /// One has no answer, for this reason.
    pub fn unanswered(&mut self, why: String) {
        self.why = Some(why);
    }

    /// For operators: which are not read, and why.
    pub fn complaint(&self) -> Option<String> {
        let mut names: Vec<String> = self.open.iter().map(Partition::to_string).collect();
        names.sort();
        let why = self.why.as_deref().unwrap_or("no answer");
        (!names.is_empty())
            .then(|| format!("not read, because where it stands is not known: {}: {why}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::TopicRole;

    const LONGEST: Duration = Duration::from_millis(1_500);

    fn at(number: u32) -> Partition {
        Partition { topic: TopicRole::Events, number }
    }

    #[test]
    fn a_coordinator_that_is_far_away_is_waited_for_longer_and_longer_but_not_for_ever() {
        let mut inquiry = Inquiry::about(&[at(0), at(1)], LONGEST);
        let rounds = std::iter::repeat_with(|| {
            let round = (inquiry.answer().as_millis(), inquiry.answer_of_all().as_millis());
            inquiry.next_round();
            round
        });
        let rounds: Vec<_> = rounds.take(6).collect();
        assert_eq!(rounds, [(100, 400), (200, 800), (400, 1_500), (800, 1_500), (1_500, 1_500), (1_500, 1_500)]);
    }

    #[test]
    fn each_of_them_comes_first_some_time() {
        let mut inquiry = Inquiry::about(&[at(0), at(1), at(2)], LONGEST);
        let mut first = Vec::new();
        for _ in 0..4 {
            first.push(inquiry.open()[0].number);
            inquiry.next_round();
        }
        assert_eq!(first, [0, 1, 2, 0]);
    }

    #[test]
    fn it_says_what_is_not_read_until_everything_is_known_or_gone() {
        let mut inquiry = Inquiry::about(&[at(4), at(2)], LONGEST);
        inquiry.join(Inquiry::about(&[at(3)], LONGEST));
        inquiry.unanswered("no leader".to_owned());
        assert!(inquiry.remove(at(3)) && !inquiry.remove(at(3)));
        let said = inquiry.complaint().expect("two are open");
        assert_eq!(said, format!("not read, because where it stands is not known: {}, {}: no leader", at(2), at(4)));
        assert!(inquiry.remove(at(2)) && inquiry.remove(at(4)));
        assert!(inquiry.is_done() && inquiry.complaint().is_none());
    }
}
