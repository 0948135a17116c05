//! One burst as one transaction, attempted once.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header as NativeHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::names::TopicNames;
use super::ownership::{Denied, Ownership};
use super::positions;
use super::producer::BurstProducer;
use super::raw::{self, GroupMetadata, TransactionError};
use crate::domain::record::OutRecord;
use crate::failpoints;
use crate::pipeline::log::Burst;
use crate::sabotage::{self, Sabotage};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// All of it is in the log.
    Committed {
        /// How long the commit itself took.
        commit: Duration,
    },
    /// The commit was not asked for: nothing of it will ever be in the log.
    NotCommitted(Failure),
    /// The commit was asked for, or may have been, and no answer came.
    Unknown(Failure),
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Ownership does not allow it any more.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// librdkafka takes no record or position.
    #[error("{0}")]
    Producer(KafkaError),
    /// A step of the transaction.
    #[error(transparent)]
    Step(#[from] TransactionError),
    /// librdkafka did not come back.
    #[error("the transaction did not end in {0:?}")]
    NoAnswer(Duration),
}

impl Failure {
    /// Whether the group refuses this membership for ever.
    pub fn refuses_membership(&self) -> bool {
        matches!(
            self,
            Self::Step(TransactionError {
                code: Code::IllegalGeneration
                    | Code::UnknownMemberId
                    | Code::FencedInstanceId
                    | Code::StaleMemberEpoch
                    | Code::FencedMemberEpoch,
                ..
            })
        )
    }

    /// Whether somebody else initialised a producer under our transactional id.
    pub fn is_fenced(&self) -> bool {
        let fenced =
            |code: Option<Code>| matches!(code, Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch));
        match self {
            Self::Denied(_) | Self::NoAnswer(_) => false,
            Self::Producer(error) => fenced(error.rdkafka_error_code()),
            Self::Step(step) => fenced(Some(step.code)),
        }
    }
}

/// Between two tries of the same call.
const PAUSE: Duration = Duration::from_millis(10);

/// Begin, produce everything, send the positions, commit. `timeout` bounds each of the last two, retries included.
pub fn attempt(
    producer: &BurstProducer,
    names: &TopicNames,
    burst: &Burst,
    membership: &GroupMetadata,
    ownership: &Ownership<GroupMetadata>,
    timeout: Duration,
) -> Attempt {
    if let Err(failure) = fill(producer, names, burst, membership, ownership, timeout) {
        return Attempt::NotCommitted(failure);
    }
    failpoints::hit("inside_commit");
    let begun = Instant::now();
    match commit(&producer.inner, timeout) {
        Ok(()) => Attempt::Committed { commit: begun.elapsed() },
        Err(error) => Attempt::Unknown(error.into()),
    }
}

/// Everything before the commit.
fn fill(
    producer: &BurstProducer,
    names: &TopicNames,
    burst: &Burst,
    membership: &GroupMetadata,
    ownership: &Ownership<GroupMetadata>,
    timeout: Duration,
) -> Result<(), Failure> {
    let positions = positions::list(names, &burst.positions).map_err(Failure::Producer)?;
    let native = producer.inner.client().native_ptr();
    let send_offsets =
        || again_while_retriable(timeout, |left| raw::send_offsets(native, &positions, membership, left));
    producer.inner.begin_transaction().map_err(Failure::Producer)?;
    if sabotage::on(Sabotage::OffsetsBeforeOutputs) {
        send_offsets()?;
        commit_and_begin(producer, timeout)?;
    }
    produce_all(producer, names, burst, timeout)?;
    if sabotage::on(Sabotage::SentAgainOnTimeout) && producer.inner.flush(Duration::from_millis(100)).is_err() {
        produce_all(producer, names, burst, timeout)?;
    }
    ownership.still_allows(burst)?;
    if sabotage::on(Sabotage::OffsetsOutsideTransaction) {
        commit_and_begin(producer, timeout)?;
    }
    send_offsets()?;
    failpoints::hit("offsets_sent");
    if sabotage::on(Sabotage::CallInsideTransaction) {
        (0..600).for_each(|_| pause());
    }
    Ok(())
}

fn produce_all(producer: &BurstProducer, names: &TopicNames, burst: &Burst, timeout: Duration) -> Result<(), Failure> {
    let until = Instant::now() + timeout;
    for record in &burst.records {
        produce(&producer.inner, names, record, (), until).map_err(Failure::Producer)?;
        failpoints::hit("record_produced");
    }
    Ok(())
}

/// What belongs together torn into two transactions: for sabotage only.
fn commit_and_begin(producer: &BurstProducer, timeout: Duration) -> Result<(), Failure> {
    commit(&producer.inner, timeout)?;
    producer.inner.begin_transaction().map_err(Failure::Producer)
}

/// Hand a record to librdkafka, waiting for room while its queue is full. `mark` comes back with its delivery.
pub fn produce<C: ProducerContext<NoCustomPartitioner> + 'static>(
    producer: &ThreadedProducer<C>,
    names: &TopicNames,
    record: &OutRecord,
    mark: C::DeliveryOpaque,
    until: Instant,
) -> KafkaResult<()> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for header in &record.headers {
        headers = headers.insert(NativeHeader { key: &header.name, value: header.value.as_deref() });
    }
    let mut native = BaseRecord::<[u8], [u8], C::DeliveryOpaque>::with_opaque_to(names.name(record.topic), mark)
        .partition(i32::try_from(record.partition).unwrap_or(i32::MAX))
        .headers(headers);
    native.key = record.key.as_deref();
    native.payload = record.value.as_deref();
    loop {
        match producer.send(native) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(Code::QueueFull), back)) if Instant::now() < until => {
                native = back;
                pause();
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Commit the open transaction, everything outstanding first.
pub fn commit<C: ProducerContext<NoCustomPartitioner> + 'static>(
    producer: &ThreadedProducer<C>,
    timeout: Duration,
) -> Result<(), TransactionError> {
    let native = producer.client().native_ptr();
    again_while_retriable(timeout, |left| raw::commit(native, left))
}

/// A retriable error asks for the same call again.
fn again_while_retriable(
    timeout: Duration,
    mut call: impl FnMut(Duration) -> Result<(), TransactionError>,
) -> Result<(), TransactionError> {
    let until = Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match call(left.max(PAUSE)) {
            Err(error) if error.retriable && !left.is_zero() => pause(),
            done => return done,
        }
    }
}

fn pause() {
    #[expect(clippy::disallowed_methods, reason = "a thread of librdkafka's own, not the runtime's")]
    std::thread::sleep(PAUSE);
}
