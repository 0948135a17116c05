//! What is known about each dependency, told by whoever uses it.
//!
//! Nothing is asked when health is read: a check that calls a dependency fails when that is slow, and then the
//! orchestrator kills a process that was only waiting. *Live* means that this process answers; *ready* means that it can
//! do its work: every dependency it needs is up, and it is not ending. A model that is away does not end readiness, for
//! the chain goes on without it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// Errors come from elsewhere and may be pages long.
const MAX_ERROR_CHARS: usize = 300;

/// Shared by the road, which tells, and the listener, which answers. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    ending: bool,
    dependencies: BTreeMap<String, Dependency>,
}

#[derive(Debug)]
struct Dependency {
    required: bool,
    state: Option<bool>,
    since: Instant,
    latency: Option<Duration>,
    last_error: Option<String>,
}

/// How a dependency is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It answered.
    Up {
        /// How fast, if that was measured.
        latency: Option<Duration>,
    },
    /// It did not.
    Down {
        /// Why; without secrets and ticket text.
        error: String,
    },
}

/// What `/health` says of a dependency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DependencyReport {
    /// Its name.
    pub name: String,
    /// up, down, or unknown until somebody used it.
    pub state: &'static str,
    /// Whether readiness needs it.
    pub required: bool,
    /// How long it has been in that state.
    pub for_ms: u64,
    /// Of its last answer, if that was measured.
    pub latency_ms: Option<f64>,
    /// Of its last failure, kept when it is up again.
    pub last_error: Option<String>,
}

/// What `/health` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// ready, starting, degraded (something that is not required is down), unavailable or ending.
    pub status: &'static str,
    /// In the order of names.
    pub dependencies: Vec<DependencyReport>,
}

impl Health {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// There is such a dependency; its state is unknown until it was used. Readiness waits for required ones.
    pub fn expect(&self, name: &str, required: bool) {
        let dependency = Dependency { required, state: None, since: Instant::now(), latency: None, last_error: None };
        self.lock().dependencies.insert(name.to_owned(), dependency);
    }

    /// It is like this now. One that nobody expected is not required.
    pub fn set(&self, name: &str, state: State) {
        let mut known = self.lock();
        if !known.dependencies.contains_key(name) {
            let new =
                Dependency { required: false, state: None, since: Instant::now(), latency: None, last_error: None };
            known.dependencies.insert(name.to_owned(), new);
        }
        let Some(dependency) = known.dependencies.get_mut(name) else { return };
        let up = matches!(state, State::Up { .. });
        if dependency.state != Some(up) {
            dependency.state = Some(up);
            dependency.since = Instant::now();
        }
        match state {
            State::Up { latency } => dependency.latency = latency.or(dependency.latency),
            State::Down { error } => dependency.last_error = Some(error.chars().take(MAX_ERROR_CHARS).collect()),
        }
    }

    /// The process ends: whoever sends it work should stop.
    pub fn end(&self) {
        self.lock().ending = true;
    }

    /// Whether the process can do its work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.report().status, "ready" | "degraded")
    }

    /// Everything that is known.
    #[must_use]
    pub fn report(&self) -> Report {
        let known = self.lock();
        let required = |state| known.dependencies.values().any(|d| d.required && d.state == state);
        let status = if known.ending {
            "ending"
        } else if required(Some(false)) {
            "unavailable"
        } else if required(None) {
            "starting"
        } else if known.dependencies.values().any(|d| d.state == Some(false)) {
            "degraded"
        } else {
            "ready"
        };
        let dependencies = known.dependencies.iter().map(|(name, dependency)| dependency.report(name)).collect();
        Report { status, dependencies }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Each change is whole by itself: what a panicking thread left is readable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dependency {
    fn report(&self, name: &str) -> DependencyReport {
        DependencyReport {
            name: name.to_owned(),
            state: match self.state {
                None => "unknown",
                Some(true) => "up",
                Some(false) => "down",
            },
            required: self.required,
            for_ms: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            latency_ms: self.latency.map(|latency| latency.as_secs_f64() * 1_000.0),
            last_error: self.last_error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: State = State::Up { latency: None };

    fn down(error: &str) -> State {
        State::Down { error: error.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_waits_for_what_is_required_and_survives_the_loss_of_what_is_not() {
        let health = Health::new();
        health.expect("log", true);
        health.expect("model openai", false);
        assert_eq!((health.report().status, health.is_ready()), ("starting", false));
        health.set("log", UP);
        assert_eq!((health.report().status, health.is_ready()), ("ready", true));
        health.set("model openai", down("503"));
        assert_eq!((health.report().status, health.is_ready()), ("degraded", true));
        health.set("log", down("disk full"));
        assert_eq!((health.report().status, health.is_ready()), ("unavailable", false));
        health.set("log", UP);
        health.end();
        assert_eq!((health.report().status, health.is_ready()), ("ending", false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_as_old_as_its_last_change_and_the_last_error_is_kept() {
        let health = Health::new();
        health.set("database", down(&"x".repeat(1_000)));
        tokio::time::advance(Duration::from_secs(2)).await;
        health.set("database", down("busy"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(health.report().dependencies[0].for_ms, 3_000);
        health.set("database", State::Up { latency: Some(Duration::from_millis(4)) });
        let ledger = health.report().dependencies.remove(0);
        assert_eq!((ledger.state, ledger.for_ms, ledger.latency_ms), ("up", 0, Some(4.0)));
        assert_eq!(ledger.last_error.as_deref(), Some("busy"));
        health.set("database", down(&"x".repeat(1_000)));
        assert_eq!(health.report().dependencies[0].last_error.as_ref().map(String::len), Some(MAX_ERROR_CHARS));
    }
}
