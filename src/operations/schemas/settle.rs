//! Before anything is written: under which ids.

use super::{Subject, Subjects, subjects};
use crate::domain::position::TopicRole;
use crate::pipeline::schema_set::registry::RegistryError;
use crate::pipeline::schema_set::{IdsError, RELEASED, Released, SchemaSet};
use crate::settings::topics::Topics;

/// Why nothing can be written yet.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// Somebody has to register, and it is not to be us.
    #[error(
        "the schema registry does not have {schema} under {subject}, and schemas.registry.auto_register is false: \
         `gatekeeper schemas --register` registers it"
    )]
    Missing {
        /// Under which subject.
        subject: String,
        /// What.
        schema: String,
    },
    /// The registry, about one subject.
    #[error("{subject}: {error}")]
    Registry {
        /// Which.
        subject: String,
        /// What it says.
        error: RegistryError,
    },
    /// Ids that cannot be.
    #[error("the schema registry contradicts itself: {0}")]
    Ids(#[from] IdsError),
}

impl SettleError {
    /// Whether it may pass by itself.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Registry { error, .. } if error.is_retryable())
    }
}

/// The id of each of these topics' records, looked up or registered, goes into the set.
///
/// # Errors
/// When an id cannot be had; those that could are settled.
pub async fn settle(
    registry: &dyn Subjects,
    schemas: &SchemaSet,
    topics: &Topics,
    roles: &[TopicRole],
    auto_register: bool,
) -> Result<(), SettleError> {
    for subject in subjects(topics).into_iter().filter(|subject| roles.contains(&subject.role)) {
        let released = newest(&subject);
        let at = |error| SettleError::Registry { subject: subject.name.clone(), error };
        let id = match registry.find(&subject.name, released.text).await.map_err(at)? {
            Some(id) => id,
            None if auto_register => registry.register(&subject.name, released.text).await.map_err(at)?,
            None => return Err(SettleError::Missing { subject: subject.name, schema: released.name() }),
        };
        schemas.settle(released, id)?;
        tracing::info!(subject = subject.name, schema = released.name(), id, "schema id settled with the registry");
    }
    Ok(())
}

/// What is written there.
pub(super) fn newest(subject: &Subject) -> &'static Released {
    let newest = RELEASED.iter().rfind(|released| released.record == subject.record);
    newest.expect("every record has a released version: record_of names no other")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Shelf, topics};
    use super::super::{WRITTEN_BY_PUBLISH, WRITTEN_BY_SERVE};
    use super::*;
    use crate::settings::schemas::Encoding;

    #[tokio::test]
    async fn what_is_missing_is_registered_if_that_is_allowed_and_named_if_not() {
        let (shelf, schemas) = (Shelf::default(), SchemaSet::with_registry());
        let error = settle(&shelf, &schemas, &topics(), &WRITTEN_BY_SERVE, false).await.expect_err("all is missing");
        assert!(!error.is_retryable());
        let said = error.to_string();
        assert!(said.contains("TriageDecision.v1 under support.decisions.v1-value"), "{said}");
        assert!(shelf.texts("support.decisions.v1-value").is_empty());

        settle(&shelf, &schemas, &topics(), &WRITTEN_BY_SERVE, true).await.expect("it may register");
        let written = schemas.write("OpsEvent", &crate::domain::samples::ops_event(), Encoding::Avro);
        assert!(schemas.read::<crate::domain::ops_event::OpsEvent>("OpsEvent", &written).is_ok());
        // What is written elsewhere is nobody's business here.
        assert!(shelf.texts("support.events.v1-value").is_empty());
        settle(&shelf, &schemas, &topics(), &WRITTEN_BY_PUBLISH, true).await.expect("it may register");
        assert_eq!(shelf.texts("support.events.v1-value").len(), 1);
        // The same again changes nothing.
        settle(&shelf, &schemas, &topics(), &WRITTEN_BY_SERVE, false).await.expect("all is there");
    }

    #[tokio::test]
    async fn a_registry_that_is_away_is_worth_waiting_for_and_one_that_refuses_us_is_not() {
        let (shelf, schemas) = (Shelf::default(), SchemaSet::with_registry());
        for (error, retryable) in
            [(RegistryError::Server { status: 503 }, true), (RegistryError::Credentials { status: 401 }, false)]
        {
            shelf.fails(Some(error));
            let settled = settle(&shelf, &schemas, &topics(), &WRITTEN_BY_SERVE, true).await;
            assert_eq!(settled.expect_err("it fails").is_retryable(), retryable);
        }
    }
}
