//! PORT: who wrote to a partition, as its owners said elsewhere than in commits. And ending what a dead writer left open.
//!
//! Positions in an open transaction cannot be read until it ends, ten seconds after its writer died. Initialising a
//! producer under the writer's name ends it at once, but whose is it? Every owner says its name before its first burst,
//! to whoever implements [`Writers`]; and the last commit's metadata names its writer, which is all there is where nobody
//! remembers. The newest is tried first, and the other only if the partition is unreadable still: fencing a writer that
//! is alive costs it its producer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;

use super::clients;
use super::hung::Life;
use super::login::{Client, Login};
use super::names::TopicNames;
use super::positions::{self, Committed};
use super::producer::BurstProducer;
use crate::domain::position::{Partition, TopicRole};
use crate::telemetry::happenings::OrphanFenced;

/// Longest wait for a name: the thread that asks is the one that polls.
const REMEMBERING: Duration = Duration::from_secs(1);

/// Who wrote a commit, by its metadata; `None`: nobody of ours.
pub type WriterOf = fn(&str) -> Option<String>;

/// Remembers who owned a partition.
pub trait Writers: Send + Sync + 'static {
    /// The last one. Blocks for so long at most; who is not known by then is asked for again.
    fn last(&self, topic_id: &str, partition: u32, patience: Duration) -> Option<String>;
}

/// How the last writers of a partition are known.
#[derive(Clone)]
pub struct Remembered {
    /// From its commit.
    pub by_commit: WriterOf,
    /// By whoever else remembers; `None`: nobody.
    pub elsewhere: Option<Arc<dyn Writers>>,
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembered").field("elsewhere", &self.elsewhere.is_some()).finish_non_exhaustive()
    }
}

/// Which of them were ended since partitions are waited for, each once.
#[derive(Debug)]
pub struct Orphans {
    fenced: BTreeSet<String>,
    /// Partitions that were asked about.
    turn: usize,
    since: Instant,
}

impl Orphans {
    /// Nobody is fenced yet.
    pub fn new() -> Self {
        Self { fenced: BTreeSet::new(), since: Instant::now(), turn: 0 }
    }
}

/// Ends open transactions of dead writers.
pub struct Fencing<'a> {
    /// The cluster.
    pub kafka: &'a Login,
    /// Topics by role.
    pub names: &'a TopicNames,
    /// Their ids.
    pub topic_ids: &'a BTreeMap<TopicRole, String>,
    /// Who may have left them.
    pub remembered: &'a Remembered,
    /// That the thread is there.
    pub life: &'a Life,
}

impl Fencing<'_> {
    /// These are unreadable still: fence the next writer of each, once they have been so for long enough. One at least; another
    /// only if there is time left.
    pub fn fence_next(&self, orphans: &mut Orphans, partitions: &[Partition], until: Instant) {
        if orphans.since.elapsed() < self.kafka.fence_after {
            return;
        }
        let last = self.last_commits(partitions);
        let mut next = BTreeSet::new();
        for partition in partitions.iter().cycle().skip(orphans.turn % partitions.len().max(1)).take(partitions.len()) {
            self.life.sign();
            orphans.turn = orphans.turn.wrapping_add(1);
            next.extend(self.next_of(*partition, &last, &orphans.fenced));
            // Each question may take as long as it is waited for: the ledger may have gone with its writers. The next round goes
            // on where this one ends.
            if Instant::now() >= until {
                break;
            }
        }
        for writer in next {
            self.life.sign();
            if self.fence(&writer, partitions) {
                orphans.fenced.insert(writer);
            }
            if Instant::now() >= until {
                break;
            }
        }
        orphans.since = Instant::now();
    }

    fn last_commits(&self, partitions: &[Partition]) -> BTreeMap<Partition, Committed> {
        let asking = self.kafka.open(&clients::reader(self.kafka, "read_uncommitted"));
        let answer = asking.and_then(|asking: Client<BaseConsumer>| {
            positions::committed(&asking, self.names, partitions, self.kafka.request_timeout)
        });
        answer.unwrap_or_else(|error| {
            let reason = format!("the last commits of unreadable partitions are not known yet: {error}");
            clients::troubled("fence", error.rdkafka_error_code(), &reason);
            BTreeMap::new()
        })
    }

    /// Our own predecessor was fenced before we joined the group.
    fn next_of(
        &self,
        partition: Partition,
        last: &BTreeMap<Partition, Committed>,
        fenced: &BTreeSet<String>,
    ) -> Option<String> {
        let Remembered { by_commit, elsewhere } = self.remembered;
        let topic_id = self.topic_ids.get(&partition.topic)?;
        let remembered = elsewhere.as_ref().and_then(|writers| writers.last(topic_id, partition.number, REMEMBERING));
        let committed = last.get(&partition).and_then(|at| by_commit(&at.metadata));
        let mut newest_first = remembered.into_iter().chain(committed);
        newest_first.find(|writer| writer != clients::instance(self.kafka) && !fenced.contains(writer))
    }

    fn fence(&self, writer: &str, partitions: &[Partition]) -> bool {
        let begun = Instant::now();
        match BurstProducer::initialise(self.kafka, writer) {
            Ok(_) => {
                OrphanFenced { writer, partitions, took: begun.elapsed() }.record();
                true
            }
            Err(error) => {
                let reason = format!("{writer}, which left a transaction open, cannot be fenced: {error}");
                clients::troubled("fence", error.rdkafka_error_code(), &reason);
                false
            }
        }
    }
}
