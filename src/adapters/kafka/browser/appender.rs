//! All of these records, or none: one transaction a call, under a transactional id that nobody else has. Or each by itself,
//! for whoever wants to publish as others do.
//!
//! A name of its own fences nobody, and a process that dies in the middle leaves nothing but a transaction that the
//! broker aborts (`log.kafka.transaction_timeout`). A producer that saw any trouble is dropped, like that of bursts
//! (`producer.rs`); the next one has the same name, so whatever the last one left open ends there.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use uuid::Uuid;

use super::super::login::{Client, Login};
use super::super::names::TopicNames;
use super::super::{clients, transaction};
use super::browse_error;
use super::error::coded;
use crate::domain::record::OutRecord;
use crate::operations::log_browser::BrowseError;

/// Longest wait for the first answer of the coordinator.
const INITIALISING: Duration = Duration::from_secs(10);

/// Appends.
pub struct Appender {
    kafka: Login,
    /// None: each record is in the log by itself.
    transactional_id: Option<String>,
    /// None: not needed yet, or the last one may not be used again.
    producer: Option<AppendProducer>,
}

struct AppendProducer {
    inner: Client<ThreadedProducer<Reports>>,
    is_transactional: bool,
    reports: Reports,
}

/// Where the records of the running append came to stand.
#[derive(Clone, Default)]
struct Reports(Arc<(Mutex<Vec<Report>>, Condvar)>);

/// Of the record with this number in its append.
type Report = (usize, Result<i64, KafkaError>);

impl Reports {
    fn clear(&self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn add(&self, report: Report) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        self.0.1.notify_all();
    }

    /// Every report of `count` records, or those that came in time.
    fn wait(&self, count: usize, timeout: Duration) -> Vec<Report> {
        let (reports, came) = &*self.0;
        let reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = came.wait_timeout_while(reports, timeout, |reports| reports.len() < count);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn first_error(&self) -> Option<KafkaError> {
        let reports = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.iter().find_map(|(_, report)| report.as_ref().err().cloned())
    }
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        clients::troubled("append", error.rdkafka_error_code(), reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        self.add((number, result.as_ref().map(|message| message.offset()).map_err(|(error, _)| error.clone())));
    }
}

impl Appender {
    /// Makes its producer when there is something to append.
    pub fn new(kafka: &Login) -> Self {
        let transactional_id = Some(format!("{}-append-{}", kafka.group_id, Uuid::new_v4()));
        Self { kafka: kafka.clone(), transactional_id, producer: None }
    }

    /// Without transactions, as most who publish events have none: after an error some records may be in the log.
    pub fn one_by_one(kafka: &Login) -> Self {
        Self { transactional_id: None, ..Self::new(kafka) }
    }

    /// In the log when this comes back with their offsets; nowhere after any error but
    /// [`BrowseError::Unavailable`]. Partitions exist.
    pub fn append(&mut self, names: &TopicNames, records: &[OutRecord]) -> Result<Vec<u64>, BrowseError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => AppendProducer::initialise(&self.kafka, self.transactional_id.as_deref())?,
        };
        let offsets = producer.append(names, records, self.kafka.request_timeout)?;
        self.producer = Some(producer);
        Ok(offsets)
    }
}

impl AppendProducer {
    fn initialise(kafka: &Login, transactional_id: Option<&str>) -> Result<Self, BrowseError> {
        let reports = Reports::default();
        let config = match transactional_id {
            Some(transactional_id) => clients::transactional_producer(kafka, transactional_id),
            None => clients::producer(kafka),
        };
        let inner: Client<ThreadedProducer<Reports>> =
            kafka.open_with(&config, reports.clone()).map_err(|error| browse_error(&error))?;
        if transactional_id.is_some() {
            inner.init_transactions(INITIALISING).map_err(|error| browse_error(&error))?;
        }
        Ok(Self { inner, is_transactional: transactional_id.is_some(), reports })
    }

    fn append(&self, names: &TopicNames, records: &[OutRecord], timeout: Duration) -> Result<Vec<u64>, BrowseError> {
        self.reports.clear();
        if !self.is_transactional {
            self.produce_all(names, records, Instant::now() + timeout)?;
            let reports = self.reports.wait(records.len(), timeout);
            let refused = reports.iter().find_map(|(_, report)| report.as_ref().err());
            return match refused {
                Some(error) => Err(browse_error(error)),
                None => in_order(records.len(), reports)
                    .ok_or_else(|| BrowseError::Unavailable("not all of them were acknowledged in time".to_owned())),
            };
        }
        self.inner.begin_transaction().map_err(|error| browse_error(&error))?;
        if let Err(error) = self.send_all(names, records, timeout) {
            // What made the commit fail is in the reports, more precise than the commit's own words.
            let error = self.reports.first_error().map_or(error, |report| browse_error(&report));
            // If it cannot be aborted, its successor or the broker does it.
            if let Err(error) = self.inner.abort_transaction(timeout) {
                clients::troubled("append", error.rdkafka_error_code(), &error.to_string());
            }
            return Err(error);
        }
        self.offsets(records.len(), timeout)
    }

    fn send_all(&self, names: &TopicNames, records: &[OutRecord], timeout: Duration) -> Result<(), BrowseError> {
        self.produce_all(names, records, Instant::now() + timeout)?;
        transaction::commit(&self.inner, timeout).map_err(|error| coded(Some(error.code), error.to_string()))
    }

    fn produce_all(&self, names: &TopicNames, records: &[OutRecord], until: Instant) -> Result<(), BrowseError> {
        for (number, record) in records.iter().enumerate() {
            transaction::produce(&self.inner, names, record, number, until)
                .map_err(|error| too_large(&error, names, record).unwrap_or_else(|| browse_error(&error)))?;
        }
        Ok(())
    }

    /// In the order of the records.
    fn offsets(&self, count: usize, timeout: Duration) -> Result<Vec<u64>, BrowseError> {
        in_order(count, self.reports.wait(count, timeout))
            .ok_or_else(|| BrowseError::Unavailable("they are in the log, but the broker did not say where".to_owned()))
    }
}

/// Offsets in the order of the records; `None`: of some nothing is known.
fn in_order(count: usize, reports: Vec<Report>) -> Option<Vec<u64>> {
    let mut offsets = vec![None; count];
    for (number, report) in reports {
        if let (Some(offset), Ok(at)) = (offsets.get_mut(number), report) {
            *offset = u64::try_from(at).ok();
        }
    }
    offsets.into_iter().collect()
}

/// librdkafka's words name neither the record nor the setting.
fn too_large(error: &KafkaError, names: &TopicNames, record: &OutRecord) -> Option<BrowseError> {
    let is_too_large = error.rdkafka_error_code() == Some(Code::MessageSizeTooLarge);
    let size = |bytes: &Option<crate::domain::record::Payload>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    is_too_large.then(|| {
        let bytes = size(&record.key) + size(&record.value);
        let topic = names.name(record.topic);
        BrowseError::TooLarge(format!(
            "a record of {bytes} bytes for {topic} is larger than log.kafka.max_message_bytes"
        ))
    })
}
