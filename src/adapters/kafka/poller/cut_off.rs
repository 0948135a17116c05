//! Partitions whose log was cut off below what was read of it. It may have grown since, and then nothing else shows it.
//!
//! Remembered for as long as the process lives, whoever has the partition in between: its position can be moved by hand only
//! while no processor of the group runs.

use std::collections::BTreeSet;

use crate::domain::position::Partition;
use crate::pipeline::log::Assignment;

/// What librdkafka says where the leader's log ends below what was read of it, or knows nothing of the time in which that was
/// written. It has no code for that: with `auto.offset.reset = error` it is one of the reasons for that error.
const WORDS: [&str; 2] = ["log truncation detected at", "No epoch found less or equal to"];

/// Those that were heard of.
#[derive(Debug, Default)]
pub struct CutOff(BTreeSet<Partition>);

impl CutOff {
    /// librdkafka says this of a partition that it cannot read on.
    pub(super) fn heard(&mut self, partition: Partition, words: &str) {
        if WORDS.iter().any(|part| words.contains(part)) {
            self.0.insert(partition);
        }
    }

    /// Say so of those that the road is told next.
    pub(super) fn mark(&self, assignments: &mut [Assignment]) {
        for at in assignments {
            at.truncated |= self.0.contains(&at.partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::TopicRole;

    /// As librdkafka writes them (`rdkafka_offset.c`, `rdkafka_broker.c`).
    const CUT: [&str; 2] = [
        "Partition log truncation detected at offset 9 (leader epoch 3): broker end offset is 7 (offset leader epoch 2). Reset to \
         INVALID.: Local: Log truncation detected (broker 1)",
        "No epoch found less or equal to offset 9 (leader epoch 3): broker end offset is -1 (offset leader epoch -1). Reset using \
         configured policy.: Local: Log truncation detected (broker 1)",
    ];
    const GONE: &str =
        "fetch failed due to requested offset not available on the broker: Broker: Offset out of range (broker 1)";

    fn at(number: u32) -> Partition {
        Partition { topic: TopicRole::Events, number }
    }

    fn are_marked(cut_off: &CutOff, numbers: &[u32]) -> Vec<bool> {
        let mut told: Vec<_> = numbers.iter().map(|number| Assignment::never_read(at(*number), "t")).collect();
        cut_off.mark(&mut told);
        told.iter().map(|at| at.truncated).collect()
    }

    #[test]
    fn a_log_that_was_cut_off_is_known_from_both_of_librdkafkas_texts_and_one_whose_start_is_gone_is_not_taken_for_it()
    {
        let mut cut_off = CutOff::default();
        cut_off.heard(at(0), CUT[0]);
        cut_off.heard(at(1), CUT[1]);
        cut_off.heard(at(2), GONE);
        assert_eq!(are_marked(&cut_off, &[0, 1, 2, 3]), [true, true, false, false]);
    }

    #[test]
    fn it_stays_known_however_often_the_partition_is_told() {
        let mut cut_off = CutOff::default();
        cut_off.heard(at(0), CUT[0]);
        cut_off.heard(at(0), GONE);
        for _ in 0..2 {
            assert_eq!(are_marked(&cut_off, &[0]), [true]);
        }
    }
}
