//! A road that only listens: remembers the records it was given, and fails on anything it did not expect.

use std::collections::BTreeMap;
use std::time::Duration;

use gatekeeper::domain::position::Partition;
use gatekeeper::domain::record::Record;
use gatekeeper::pipeline::log::{Assignment, Burst, BurstPosition, Epoch, Errand, Happening, LogPort, PublishOutcome};

/// Longer than anything here takes; reached only by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The road's side of a log under test.
pub struct Road {
    port: LogPort,
    /// As last assigned.
    pub epoch: Epoch,
    /// When each partition was assigned last.
    epochs: BTreeMap<Partition, Epoch>,
    seen: BTreeMap<Partition, Vec<Record>>,
    ends: BTreeMap<Partition, u64>,
    answers: Vec<(u64, PublishOutcome)>,
}

/// A burst of no records that moves these positions.
pub fn burst(number: u64, road: &Road, positions: &[(Partition, u64, &str)]) -> Burst {
    let position = |&(partition, base, metadata): &(Partition, u64, &str)| {
        // Unique per burst, as the codec's are.
        BurstPosition { partition, base, metadata: metadata.to_owned() }
    };
    Burst { number, epoch: road.epoch, records: Vec::new(), positions: positions.iter().map(position).collect() }
}

impl Road {
    pub fn of(port: LogPort) -> Self {
        let (epochs, seen, ends) = Default::default();
        Self { port, epoch: Epoch::default(), epochs, seen, ends, answers: Vec::new() }
    }

    /// With its first news, the assignment, behind it.
    pub async fn assigned(port: LogPort) -> Self {
        let mut road = Self::of(port);
        let first = road.news().await;
        assert!(matches!(first, Happening::Assigned { .. }), "{first:?} before an assignment");
        road
    }

    pub fn send(&self, errand: Errand) {
        self.port.errands.send(errand).expect("the log takes errands");
    }

    /// What happens next, noted.
    pub async fn next(&mut self) -> Happening {
        self.listen().await.expect("the log goes on")
    }

    /// What happens next, noted; `None` when the log has ended.
    pub async fn listen(&mut self) -> Option<Happening> {
        let happening = tokio::time::timeout(PATIENCE, self.port.happenings.recv()).await;
        let happening = happening.expect("something happens")?;
        match &happening {
            Happening::Assigned { epoch, partitions } => {
                self.epoch = *epoch;
                self.epochs.extend(partitions.iter().map(|at| (at.partition, *epoch)));
            }
            Happening::Records { epoch, partition, records } => {
                assert_eq!(Some(epoch), self.epochs.get(partition));
                assert!(!records.is_empty(), "a batch has records");
                let seen = self.seen.entry(*partition).or_default();
                seen.extend(records.iter().cloned());
                // Marks of the log's own may stand between them.
                assert!(seen.is_sorted_by(|one, next| one.offset < next.offset), "{partition}: in order, once");
            }
            Happening::CaughtUp { epoch, partition, end } => {
                assert_eq!(Some(epoch), self.epochs.get(partition));
                self.ends.insert(*partition, *end);
            }
            Happening::Published { burst, outcome } => self.answers.push((*burst, outcome.clone())),
            // A busy machine can be silent for a while.
            Happening::Away { .. } | Happening::Heard { .. } | Happening::Unread { .. } => {}
            Happening::Failed { .. } | Happening::Revoking { .. } | Happening::Lost { .. } => {}
        }
        Some(happening)
    }

    /// Records of a partition so far.
    pub fn seen(&self, partition: Partition) -> &[Record] {
        self.seen.get(&partition).map_or(&[], Vec::as_slice)
    }

    /// Until this many records of a partition were seen.
    pub async fn read(&mut self, partition: Partition, records: usize) {
        while self.seen(partition).len() < records {
            self.go_on().await;
        }
    }

    pub async fn caught_up(&mut self, partition: Partition, end: u64) {
        while self.ends.get(&partition) != Some(&end) {
            self.go_on().await;
        }
    }

    /// What happens next to partitions and bursts: whether the log answers may be said at any time.
    pub async fn news(&mut self) -> Happening {
        loop {
            let happening = self.next().await;
            if !matches!(happening, Happening::Heard { .. }) {
                return happening;
            }
        }
    }

    async fn go_on(&mut self) {
        let happening = self.next().await;
        assert!(!matches!(happening, Happening::Failed { .. }), "{happening:?}");
    }

    /// The first news must assign this partition among others.
    pub async fn assignment_of(&mut self, partition: Partition) -> Assignment {
        let first = self.news().await;
        let Happening::Assigned { partitions, .. } = first else { panic!("{first:?} before an assignment") };
        partitions.into_iter().find(|assignment| assignment.partition == partition).expect("it is assigned")
    }

    /// Publish and wait for the answer.
    pub async fn publish(&mut self, burst: Burst) -> PublishOutcome {
        let number = burst.number;
        self.send(Errand::Publish(burst));
        loop {
            self.go_on().await;
            if let Some((answered, outcome)) = self.answers.pop() {
                assert_eq!(answered, number);
                return outcome;
            }
        }
    }

    /// Wait for the log to say that it cannot go on, and to end.
    pub async fn failed(&mut self) -> String {
        loop {
            if let Happening::Failed { reason } = self.next().await {
                assert!(self.listen().await.is_none(), "nothing comes after a failure");
                return reason;
            }
        }
    }

    /// Stop, and wait for the end; answers that were still outstanding come back.
    pub async fn stop(mut self) -> Vec<PublishOutcome> {
        self.send(Errand::Stop);
        while let Some(happening) = self.listen().await {
            assert!(!matches!(happening, Happening::Failed { .. }), "{happening:?}");
        }
        self.answers.into_iter().map(|(_, outcome)| outcome).collect()
    }
}
