//! PORT: what a schema registry says of an id, and how that gets into a [`SchemaSet`].
//!
//! A registry is asked beside the road, never on it: whoever meets an id that is not known yet waits with everything
//! behind it, a task asks here, and the answer is in the set before the wait ends. An answer is one of three: a schema,
//! none (the registry is well and has no such id), or no answer. The last says nothing about the id, so nothing may be
//! rejected for it.
//!
//! Subjects, registering and compatibility are an operator's business: [`crate::operations::schemas`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::SchemaSet;
use crate::settings::schemas::RegistryRetry;
use crate::telemetry::happenings::{LookupOutcome, SchemaLookedUp};

/// The port. Implemented by the client of Confluent's API and, for the simulation, in memory.
pub trait Registry: Send + Sync + 'static {
    /// The schema of this id; none if a healthy registry has no such id.
    fn schema(&self, id: u32) -> BoxFuture<'_, Result<Option<RegisteredSchema>, RegistryError>>;
}

/// A schema as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// `AVRO`, `JSON` or `PROTOBUF`.
    pub kind: String,
    /// The document.
    pub text: String,
    /// Whether it needs other documents.
    pub has_references: bool,
}

/// Why there is no answer. None of them says anything about a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No connection, or it broke.
    #[error("the schema registry cannot be reached: {0}")]
    Unreachable(String),
    /// Nothing in time.
    #[error("the schema registry did not answer within {0:?} (schemas.registry.request_timeout)")]
    Timeout(Duration),
    /// It wants to know who we are.
    #[error("the schema registry refuses our credentials (status {status}): see schemas.registry.username and .token")]
    Credentials {
        /// 401 or 403.
        status: u16,
    },
    /// It is not well, or has too much to do.
    #[error("the schema registry answers with status {status}")]
    Server {
        /// 429 or from 500 on.
        status: u16,
    },
    /// An answer that no registry gives: a wrong URL, a login page, a proxy.
    #[error("what answers at schemas.registry.url is no schema registry: {0}")]
    Garbled(String),
    /// It was not read to its end.
    #[error("the schema registry's answer has more than {max} bytes (schemas.registry.max_body_bytes)")]
    TooLarge {
        /// What is allowed.
        max: usize,
    },
    /// 409: the subject's compatibility level forbids this schema.
    #[error("the schema is not compatible with what is registered: {0}")]
    Incompatible(String),
    /// 422 and its like: the question itself is refused.
    #[error("the schema registry refuses the request (status {status}): {message}")]
    Refused {
        /// As sent.
        status: u16,
        /// Its reason.
        message: String,
    },
}

impl RegistryError {
    /// Whether it may pass by itself.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout(_) | Self::Server { .. } => true,
            Self::Credentials { .. }
            | Self::Garbled(_)
            | Self::TooLarge { .. }
            | Self::Incompatible(_)
            | Self::Refused { .. } => false,
        }
    }

    fn outcome(&self) -> LookupOutcome {
        match self {
            Self::Unreachable(_) => LookupOutcome::Unreachable,
            Self::Timeout(_) => LookupOutcome::Timeout,
            Self::Credentials { .. } => LookupOutcome::Credentials,
            Self::Server { .. } => LookupOutcome::Server,
            Self::Garbled(_) => LookupOutcome::Garbled,
            Self::TooLarge { .. } => LookupOutcome::TooLarge,
            Self::Incompatible(_) | Self::Refused { .. } => LookupOutcome::Refused,
        }
    }
}

/// A set and the registry it learns from. Cloning is cheap.
#[derive(Clone)]
pub struct Lookup {
    retry: RegistryRetry,
    schemas: Arc<SchemaSet>,
    registry: Arc<dyn Registry>,
}

impl Lookup {
    /// What the registry says goes into the set.
    #[must_use]
    pub fn new(schemas: Arc<SchemaSet>, registry: Arc<dyn Registry>, retry: RegistryRetry) -> Self {
        Self { retry, schemas, registry }
    }

    /// How long to wait after so many failures in a row.
    #[must_use]
    pub fn wait(&self, failures: u32) -> Duration {
        self.retry.wait(failures)
    }

    /// Whether a value framed with this id can be read, or rejected, without asking.
    #[must_use]
    pub fn is_known(&self, id: u32) -> bool {
        self.schemas.is_known(id)
    }

    /// Ask for an id; afterwards the set knows what it means, or that it means nothing.
    ///
    /// # Errors
    /// When there was no answer; nothing is known then that was not known before.
    pub async fn look_up(&self, id: u32) -> Result<(), RegistryError> {
        let began = Instant::now();
        let answer = self.registry.schema(id).await;
        let outcome = match &answer {
            Ok(found) => self.schemas.learn(id, found.as_ref(), Instant::now()),
            Err(error) => error.outcome(),
        };
        let error = answer.as_ref().err().map(ToString::to_string);
        SchemaLookedUp { id, outcome, took: began.elapsed(), error: error.as_deref() }.record();
        answer.map(|_| ())
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A registry that says what it is told to say.

    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::super::RELEASED;
    use super::*;
    use crate::domain::samples;
    use crate::settings::schemas::Encoding;

    /// Knows our event under some ids; counts what it is asked.
    #[derive(Clone, Default)]
    pub(crate) struct Scripted(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        ids: BTreeSet<u32>,
        error: Option<RegistryError>,
        asked: Vec<u32>,
    }

    impl Scripted {
        pub(crate) fn knows(ids: impl IntoIterator<Item = u32>) -> Self {
            let this = Self::default();
            this.state().ids = ids.into_iter().collect();
            this
        }

        pub(crate) fn fails(&self, error: Option<RegistryError>) {
            self.state().error = error;
        }

        /// Since the last time this was called.
        pub(crate) fn was_asked(&self) -> Vec<u32> {
            std::mem::take(&mut self.state().asked)
        }

        pub(crate) fn lookup(&self, schemas: Arc<SchemaSet>) -> Lookup {
            let retry = RegistryRetry { base: Duration::from_millis(500), cap: Duration::from_secs(10) };
            Lookup::new(schemas, Arc::new(self.clone()), retry)
        }

        fn state(&self) -> std::sync::MutexGuard<'_, State> {
            self.0.lock().expect("nobody panics with it")
        }
    }

    impl Registry for Scripted {
        fn schema(&self, id: u32) -> BoxFuture<'_, Result<Option<RegisteredSchema>, RegistryError>> {
            let mut state = self.state();
            state.asked.push(id);
            let answer = match &state.error {
                Some(error) => Err(error.clone()),
                None => Ok(state.ids.contains(&id).then(support_event)),
            };
            Box::pin(async move { answer })
        }
    }

    pub(crate) fn support_event() -> RegisteredSchema {
        let released = RELEASED.iter().find(|released| released.record == "SupportEvent").expect("in the table");
        RegisteredSchema { kind: "AVRO".to_owned(), text: released.text.to_owned(), has_references: false }
    }

    /// An event of the tenant `acme`, written under this id.
    pub(crate) fn framed_event(id: u32) -> Vec<u8> {
        let mut event = samples::sparse_event();
        event.tenant_id = "acme".to_owned();
        event.event_id = format!("event-{id}");
        let mut bytes = SchemaSet::numbered().write("SupportEvent", &event, Encoding::Avro);
        bytes[1..5].copy_from_slice(&id.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Scripted, framed_event};
    use super::*;
    use crate::domain::event::SupportEvent;
    use crate::pipeline::schema_set::{RELEASED, ReadError};
    use crate::settings::schemas::Encoding;

    fn read(schemas: &SchemaSet, id: u32) -> Result<SupportEvent, ReadError> {
        schemas.read("SupportEvent", &framed_event(id))
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_is_asked_for_once_and_a_failure_says_nothing_about_it() {
        let (schemas, registry) = (Arc::new(SchemaSet::with_registry()), Scripted::knows([7]));
        let lookup = registry.lookup(schemas.clone());
        assert_eq!(read(&schemas, 7), Err(ReadError::NotYetKnown(7)));
        registry.fails(Some(RegistryError::Server { status: 503 }));
        assert_eq!(lookup.look_up(7).await, Err(RegistryError::Server { status: 503 }));
        assert_eq!(read(&schemas, 7), Err(ReadError::NotYetKnown(7)));
        registry.fails(None);
        assert_eq!(lookup.look_up(7).await, Ok(()));
        assert!(read(&schemas, 7).is_ok() && lookup.is_known(7));
        // What is known goes on without the registry, for ever.
        registry.fails(Some(RegistryError::Server { status: 503 }));
        tokio::time::advance(Duration::from_secs(1_000_000)).await;
        assert!(read(&schemas, 7).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_that_nobody_registered_is_unknown_until_it_may_have_been_registered() {
        let (schemas, registry) = (Arc::new(SchemaSet::with_registry()), Scripted::knows([]));
        registry.lookup(schemas.clone()).look_up(7).await.expect("it answers");
        assert_eq!(read(&schemas, 7), Err(ReadError::UnknownSchema(7)));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(read(&schemas, 7), Err(ReadError::NotYetKnown(7)));
    }

    #[test]
    fn a_settled_record_is_written_under_the_registrys_id_and_no_other_record_may_have_it() {
        let schemas = SchemaSet::with_registry();
        let released = |name: &str| RELEASED.iter().find(|released| released.record == name).expect("in the table");
        schemas.settle(released("OpsEvent"), 4_000_000_000).expect("it is free");
        schemas.settle(released("OpsEvent"), 4_000_000_000).expect("it is the same");
        assert!(schemas.settle(released("DeadLetter"), 4_000_000_000).is_err());
        let written = schemas.write("OpsEvent", &crate::domain::samples::ops_event(), Encoding::Avro);
        assert_eq!(written[..5], [0, 0xee, 0x6b, 0x28, 0x00]);
        assert!(schemas.read::<crate::domain::ops_event::OpsEvent>("OpsEvent", &written).is_ok());
    }
}
