//! A schema registry in memory that may be away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use crate::pipeline::schema_set::registry::{RegisteredSchema, Registry, RegistryError};

/// Cloning shares it.
#[derive(Clone)]
pub struct MemoryRegistry {
    answers_after: Duration,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    schemas: BTreeMap<u32, RegisteredSchema>,
    away: bool,
}

impl MemoryRegistry {
    /// With these schemas, or without an answer; both take their time.
    #[must_use]
    pub fn new(schemas: BTreeMap<u32, RegisteredSchema>, answers_after: Duration) -> Self {
        Self { answers_after, shared: Arc::new(Mutex::new(Shared { schemas, away: false })) }
    }

    /// Away, or there again.
    pub fn set_away(&self, away: bool) {
        self.shared().away = away;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for MemoryRegistry {
    fn schema(&self, id: u32) -> BoxFuture<'_, Result<Option<RegisteredSchema>, RegistryError>> {
        Box::pin(async move {
            sleep(self.answers_after).await;
            let shared = self.shared();
            match shared.away {
                true => Err(RegistryError::Unreachable("it is away".to_owned())),
                false => Ok(shared.schemas.get(&id).cloned()),
            }
        })
    }
}
