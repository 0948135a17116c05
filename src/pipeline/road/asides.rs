//! Records for operators that wait for a burst. They stem from no record, so nothing holds their producer back: what waits is
//! bounded here, and while no burst can go the newest stay.

use std::collections::VecDeque;

use crate::domain::record::OutRecord;
use crate::telemetry::happenings::OpsEventDropped;

/// As many as a long outage says, and no more than a few megabytes.
pub(super) const MOST: usize = 1_000;

/// In order, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Asides(VecDeque<OutRecord>);

impl Asides {
    pub(super) fn push(&mut self, record: OutRecord) {
        self.0.push_back(record);
        self.keep_the_newest();
    }

    /// For a burst.
    pub(super) fn take(&mut self) -> Vec<OutRecord> {
        std::mem::take(&mut self.0).into()
    }

    /// That burst is not in the log: they come before all others.
    pub(super) fn put_back(&mut self, records: Vec<OutRecord>) {
        let newer = std::mem::replace(&mut self.0, records.into());
        self.0.extend(newer);
        self.keep_the_newest();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &OutRecord> {
        self.0.iter()
    }

    fn keep_the_newest(&mut self) {
        while self.0.len() > MOST {
            self.0.pop_front();
            OpsEventDropped { waiting: MOST }.record();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::TopicRole;

    fn numbered(number: u32) -> OutRecord {
        OutRecord { topic: TopicRole::Ops, partition: number, key: None, value: None, headers: Vec::new() }
    }

    #[test]
    fn while_no_burst_goes_the_newest_stay_in_order() {
        let mut asides = Asides::default();
        (0..3).for_each(|number| asides.push(numbered(number)));
        let sent = asides.take();
        assert!(sent.len() == 3 && asides.is_empty());
        (3..1_001).for_each(|number| asides.push(numbered(number)));
        asides.put_back(sent);
        asides.push(numbered(1_001));
        let kept: Vec<u32> = asides.iter().map(|record| record.partition).collect();
        assert_eq!(kept, (2..1_002).collect::<Vec<_>>());
    }
}
