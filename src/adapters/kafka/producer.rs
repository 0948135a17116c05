//! The producer of bursts, and when it may not be trusted any more.
//!
//! librdkafka speaks the first transaction protocol, in which a delayed end of one transaction may end the next one of
//! the same producer. So a producer that saw any trouble is dropped and never used again: the next one fences it when it
//! is initialised, and whatever it left open is ended by then.
//!
//! The trouble that matters most is silent: a connection breaks below a commit, librdkafka asks for it again on another
//! one and succeeds within milliseconds, and the first request is still on its way. That is no error to librdkafka, only
//! a line in its log, and a repeated one is left out. So the log is listened to, at the level that leaves nothing out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Message as _};

use super::clients;
use super::hung::Life;
use super::login::{Client, Login};
use super::orders::Orders;
use crate::failpoints;

/// Between attempts to initialise.
const PAUSE: Duration = Duration::from_millis(200);

/// Longest wait of one attempt to initialise.
const INITIALISING: Duration = Duration::from_secs(10);

/// Of it, between looks whether everything ends.
const SLICE: Duration = Duration::from_millis(500);

/// What went wrong with a producer. Clones are of the same one.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    any: AtomicBool,
    loss: AtomicBool,
}

impl Trouble {
    /// Whether anything did.
    pub fn is_there(&self) -> bool {
        self.0.any.load(Ordering::SeqCst)
    }

    /// Whether it lost all of its brokers, or itself: more than a connection that was closed for being idle, or a broker that
    /// cannot be reached, which librdkafka gets over.
    pub fn is_loss(&self) -> bool {
        self.0.loss.load(Ordering::SeqCst)
    }

    /// Something did; whether that is the first.
    fn came(&self) -> bool {
        !self.0.any.swap(true, Ordering::SeqCst)
    }

    fn error_came(&self, code: Option<RDKafkaErrorCode>) {
        if matches!(code, Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::Fatal)) {
            self.0.loss.store(true, Ordering::SeqCst);
        }
        self.came();
    }

    fn forget(&self) {
        self.0.loss.store(false, Ordering::SeqCst);
        self.0.any.store(false, Ordering::SeqCst);
    }
}

/// Listens to a producer.
pub struct Watch(Trouble);

/// What librdkafka calls the loss of a broker's connection in its log, whatever the cause.
const CONNECTION_LOST: &str = "FAIL";

impl ClientContext for Watch {
    fn log(&self, level: Level, facility: &str, message: &str) {
        if facility == CONNECTION_LOST {
            self.0.came();
        }
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
                tracing::error!(target: "librdkafka", "librdkafka: {facility} {message}");
            }
            Level::Warning => tracing::warn!(target: "librdkafka", "librdkafka: {facility} {message}"),
            Level::Notice | Level::Info => tracing::info!(target: "librdkafka", "librdkafka: {facility} {message}"),
            Level::Debug => tracing::debug!(target: "librdkafka", "librdkafka: {facility} {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error_came(code(&error));
        clients::troubled("producer", code(&error), reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Watch {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        // librdkafka ends the transaction over it by itself; the first one says which topic it was.
        if let Err((error, message)) = result
            && self.0.came()
        {
            let reason = format!("a record was not delivered to {}", message.topic());
            clients::troubled("producer", code(error), &reason);
        }
    }
}

fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    error.rdkafka_error_code()
}

/// A producer that may begin transactions.
pub struct BurstProducer {
    /// Served by a thread of its own: without one it could not even abort.
    pub inner: Client<ThreadedProducer<Watch>>,
    trouble: Trouble,
}

impl BurstProducer {
    /// Fence every predecessor of the same name and end what it left open. One attempt.
    pub fn initialise(kafka: &Login, transactional_id: &str) -> KafkaResult<Self> {
        Self::initialise_unless(kafka, transactional_id, || false)
    }

    /// The same, given up early once `ending`.
    fn initialise_unless(kafka: &Login, transactional_id: &str, ending: impl Fn() -> bool) -> KafkaResult<Self> {
        failpoints::hit("producer_initialising");
        let trouble = Trouble::default();
        let config = clients::transactional_producer(kafka, transactional_id);
        let inner: Client<ThreadedProducer<Watch>> = kafka.open_with(&config, Watch(trouble.clone()))?;
        let until = Instant::now() + INITIALISING;
        loop {
            match inner.init_transactions(SLICE) {
                Ok(()) => break,
                // The same call again goes on with what it has begun.
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until && !ending() => {}
                Err(error) => return Err(error),
            }
        }
        // Trouble before the first transaction cannot delay the end of one.
        trouble.forget();
        Ok(Self { inner, trouble })
    }

    /// The same, tried until it works or everything ends.
    pub fn initialise_until_stopped(kafka: &Login, orders: &Orders, life: &Life) -> Option<Self> {
        let begun = Instant::now();
        loop {
            life.sign();
            match Self::initialise_unless(kafka, clients::instance(kafka), || orders.stopped()) {
                Ok(producer) => return Some(producer),
                Err(_) if orders.stopped() => return None,
                Err(error) => {
                    let reason = format!(
                        "could not create a transactional producer for {} s: {error}",
                        begun.elapsed().as_secs()
                    );
                    clients::troubled("producer", code(&error), &reason);
                }
            }
            if orders.pause(PAUSE) {
                return None;
            }
        }
    }

    /// Whether anything went wrong since it was initialised, or will.
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_lost_is_trouble_whatever_its_level() {
        for (level, facility, is_trouble) in [
            (Level::Debug, "FAIL", true),
            (Level::Info, "FAIL", true),
            (Level::Warning, "GETPID", false),
            (Level::Debug, "STATE", false),
        ] {
            let trouble = Trouble::default();
            Watch(trouble.clone()).log(level, facility, "127.0.0.1: Disconnected");
            assert_eq!(trouble.is_there(), is_trouble, "{level:?} {facility}");
        }
    }
}
