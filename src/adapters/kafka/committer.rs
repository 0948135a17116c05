//! The committing thread: bursts in, outcomes out. It never says "unknown".
//!
//! ```text
//!  burst -> allowed? -> attempt -+-> committed ------------------------------------------> Committed
//!                                +-> not committed -> new producer ----------------------> Refused | NotCommitted
//!                                +-> unknown -> new producer -> whose positions stand? --> one of the three
//! ```
//!
//! A new producer comes after anything but a quick, quiet success (`producer.rs`), and after the loss of all brokers while
//! idle. Metadata is unique per burst, so whoever reads it back knows whether that burst was committed.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use tokio::sync::mpsc::Sender;

use super::clients;
use super::hung::{self, Life};
use super::login::{Client, Login};
use super::names::TopicNames;
use super::orders::Orders;
use super::ownership::{Denied, Membership as _, Ownership};
use super::positions::{self, Committed};
use super::producer::BurstProducer;
use super::raw::GroupMetadata;
use super::transaction::{Attempt, Failure, attempt};
use super::transactor::Transactor;
use crate::domain::position::Partition;
use crate::failpoints;
use crate::pipeline::log::{Burst, Happening, PublishOutcome};
use crate::sabotage::{self, Sabotage};
use crate::telemetry::happenings::{CommitLookedUp, ProducerReplaced};

/// A commit that took longer may have been asked for twice below us: its producer is not used again.
const SLOW_COMMIT: Duration = Duration::from_secs(1);

/// For the word that a transaction has ended, after the longest that one may last.
const ANSWER: Duration = Duration::from_secs(1);

/// What librdkafka's log says of a burst is heard by then.
const LATE_WORD: Duration = Duration::from_secs(1);

/// Between looks at an idle producer.
const LOOK: Duration = Duration::from_millis(500);

/// One question may be lost with its broker, or be too short for a client that is not connected yet.
const UNANSWERED: u32 = 2;

/// Between questions about committed positions.
const PAUSE: Duration = Duration::from_millis(100);

/// The thread's own.
pub struct Committer {
    /// The cluster.
    pub kafka: Login,
    /// Topics by role.
    pub names: TopicNames,
    /// What may be published.
    pub ownership: Arc<Ownership<GroupMetadata>>,
    /// Whether everything ends.
    pub orders: Arc<Orders>,
    /// To the road.
    pub happenings: Sender<Happening>,
    /// None: the last one may not be used again.
    pub producer: Option<Transactor>,
    /// When the last attempt ended.
    pub last_burst: Option<Instant>,
    /// That the thread is there.
    pub life: Life,
}

impl Committer {
    /// Until there will be no more bursts.
    pub fn run(mut self, bursts: &Receiver<Burst>) {
        loop {
            self.life.sign();
            match bursts.recv_timeout(LOOK) {
                Ok(burst) => {
                    let burst = Arc::new(burst);
                    let outcome = self.publish(&burst);
                    self.orders.burst_done();
                    if outcome == PublishOutcome::Committed {
                        failpoints::hit("committed_frontier_not_moved");
                    }
                    let published = Happening::Published { burst: burst.number, outcome };
                    if !hung::tell(&self.happenings, published, || self.life.sign()) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // At once, not with the next burst: until then the old transaction may hold its partitions, and that burst would
            // wait.
            if !self.orders.stopped() {
                self.renew();
            }
        }
    }

    /// One that lost all of its brokers since its last burst is not used either: it may know of none any more
    /// (`raw/brokers.rs`), and every step of a transaction would wait for its time-out. Nor is one whose trouble may have come
    /// below its last commit: librdkafka's log is read a little later. A connection that is closed for being idle is no reason.
    fn renew(&mut self) {
        let just_used = self.last_burst.is_some_and(|ended| ended.elapsed() < LATE_WORD);
        let trouble = self.producer.as_ref().map(Transactor::trouble);
        let barred = trouble.is_some_and(|trouble| trouble.is_loss() || (just_used && trouble.is_there()));
        if barred && !sabotage::on(Sabotage::ProducerReused) {
            self.poison(&"it had trouble after its last burst", false);
        }
        if self.producer.is_none() {
            self.producer = self.new_producer();
        }
    }

    fn new_producer(&self) -> Option<Transactor> {
        let producer = BurstProducer::initialise_until_stopped(&self.kafka, &self.orders, &self.life)?;
        working(producer, &self.kafka, &self.names, &self.ownership)
            .inspect_err(|error| clients::troubled("producer", None, &format!("no thread can be started: {error}")))
            .ok()
    }

    fn publish(&mut self, burst: &Arc<Burst>) -> PublishOutcome {
        self.renew();
        let Some(producer) = &self.producer else { return not_committed(&"there is no producer") };
        let membership = match self.ownership.begin(burst) {
            Ok(membership) => membership,
            Err(denied) => return denial(denied),
        };
        let membership = match sabotage::on(Sabotage::NoGroupMetadata) {
            true => Arc::new(GroupMetadata::of_a_stranger(&self.kafka.group_id)),
            false => membership,
        };
        // The brokers end a transaction that lasts longer.
        let limit = self.kafka.transaction_timeout + ANSWER;
        let attempt = producer.attempt(burst, &membership, limit);
        self.last_burst = Some(Instant::now());
        let outcome = match &attempt {
            Attempt::Committed { .. } if sabotage::on(Sabotage::ProducerReused) => PublishOutcome::Committed,
            Attempt::Committed { commit } => {
                if *commit > SLOW_COMMIT {
                    self.poison(&format!("a commit took {commit:?}"), false);
                } else if producer.trouble().is_there() {
                    self.poison(&"its connection had trouble", false);
                }
                PublishOutcome::Committed
            }
            // librdkafka itself would let no such transaction pass.
            Attempt::NotCommitted(Failure::Step(step)) | Attempt::Unknown(Failure::Step(step))
                if sabotage::on(Sabotage::DeliveryErrorIgnored) =>
            {
                self.poison(step, false);
                PublishOutcome::Committed
            }
            Attempt::NotCommitted(failure) => {
                self.poison(failure, failure.is_fenced());
                match failure {
                    Failure::Denied(denied) => denial(*denied),
                    failure if failure.refuses_membership() => PublishOutcome::Refused,
                    failure => not_committed(failure),
                }
            }
            Attempt::Unknown(failure) => {
                self.poison(failure, failure.is_fenced());
                match sabotage::on(Sabotage::UnknownIsNotCommitted) {
                    true => not_committed(failure),
                    false => self.look_up(burst, failure),
                }
            }
        };
        let refused = match &attempt {
            Attempt::NotCommitted(failure) | Attempt::Unknown(failure) => failure.refuses_membership(),
            Attempt::Committed { .. } => false,
        };
        self.ownership.end(refused.then(|| membership.member()));
        outcome
    }

    fn poison(&mut self, reason: &dyn std::fmt::Display, fenced: bool) {
        ProducerReplaced { reason: &reason.to_string(), fenced }.record();
        failpoints::hit("producer_replacing");
        self.producer = None;
    }

    /// A new producer has ended the transaction one way or the other; the committed positions say which.
    fn look_up(&mut self, burst: &Burst, failure: &Failure) -> PublishOutcome {
        let begun = Instant::now();
        let partitions: Vec<Partition> = burst.positions.iter().map(|position| position.partition).collect();
        self.renew();
        let (mut asking, mut unanswered) = (None::<Client<BaseConsumer>>, 0);
        while !self.orders.stopped() {
            self.life.sign();
            if asking.is_none() {
                asking = self.kafka.open(&clients::reader(&self.kafka, "read_committed")).ok();
            }
            let answer = asking.as_ref().and_then(|asking| {
                positions::committed(asking, &self.names, &partitions, self.kafka.request_timeout).ok()
            });
            unanswered = if answer.is_some() { 0 } else { unanswered + 1 };
            if let Some(found) = answer.filter(|found| found.len() == partitions.len()) {
                let outcome = match ours(burst, |partition| found.get(&partition)) {
                    true => PublishOutcome::Committed,
                    // Whoever owns them now goes on from what is committed, whichever way this ended.
                    false if partitions.iter().any(|partition| !self.ownership.owns(*partition)) => {
                        PublishOutcome::Refused
                    }
                    false => not_committed(failure),
                };
                let committed = outcome == PublishOutcome::Committed;
                CommitLookedUp { committed, took: begun.elapsed(), reason: &failure.to_string() }.record();
                return outcome;
            }
            if unanswered >= UNANSWERED {
                // It may have no broker left to ask (`raw/brokers.rs`).
                (asking, unanswered) = (None, 0);
            }
            self.orders.pause(PAUSE);
        }
        not_committed(failure)
    }
}

/// A producer that attempts bursts.
///
/// # Errors
/// When there is no thread.
pub fn working(
    producer: BurstProducer,
    kafka: &Login,
    names: &TopicNames,
    ownership: &Arc<Ownership<GroupMetadata>>,
) -> io::Result<Transactor> {
    let (names, ownership, timeout) = (names.clone(), ownership.clone(), kafka.request_timeout);
    Transactor::start(producer.trouble(), move |burst, membership| {
        attempt(&producer, &names, burst, membership, &ownership, timeout)
    })
}

/// Whether any position that stands is this burst's. A transaction is atomic: one is as good as all, and others may have
/// been moved on by a new owner meanwhile.
fn ours<'a>(burst: &Burst, committed: impl Fn(Partition) -> Option<&'a Committed>) -> bool {
    burst.positions.iter().any(|position| {
        committed(position.partition)
            .is_some_and(|found| found.offset == Some(position.base) && found.metadata == position.metadata)
    })
}

fn denial(denied: Denied) -> PublishOutcome {
    match denied {
        // Ownership stands; the membership comes back with the next rebalance.
        Denied::NotAMember | Denied::RefusedBefore => PublishOutcome::NotTried { reason: denied.to_string() },
        _ => PublishOutcome::Refused,
    }
}

fn not_committed(reason: &dyn std::fmt::Display) -> PublishOutcome {
    PublishOutcome::NotCommitted { reason: reason.to_string() }
}
