//! What the pipeline tells of its dependencies, to whoever reports it.

use std::sync::Arc;
use std::time::Duration;

/// The registry as it was last seen.
pub const REGISTRY: &str = "registry";
/// Whether nothing waits for the registry; readiness needs it.
pub const SCHEMAS: &str = "schemas";

/// The ledger.
pub const DATABASE: &str = "database";

/// Told of `(DATABASE, Err(why))` and the like; what is there may come with the time it took to answer.
pub type HealthListener = Arc<dyn Fn(&'static str, Result<Option<Duration>, String>) + Send + Sync>;
