//! Whether the cluster can be reached, told as health.
//!
//! An error of one connection is no outage: librdkafka goes on with the others. So an error is only a suspicion, and one
//! question to the cluster decides; while there is no answer, it is asked again every second.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Told what can be reached or not, and why not. Names are [`READING`] and [`WRITING`].
pub type ReachListener = Arc<dyn Fn(&'static str, Result<(), String>) + Send + Sync>;

/// The consumer.
pub const READING: &str = "kafka reading";

/// The producer of bursts.
pub const WRITING: &str = "kafka writing";

/// Between two questions.
const EVERY: Duration = Duration::from_secs(1);

/// What is known. Pure but for telling: whoever owns it asks.
pub struct Reach {
    what: &'static str,
    listener: ReachListener,
    suspicion: Option<Suspicion>,
}

struct Suspicion {
    reason: String,
    ask_at: Instant,
    told: bool,
}

impl Reach {
    /// It can be reached.
    pub fn new(what: &'static str, listener: ReachListener) -> Self {
        Self { what, listener, suspicion: None }
    }

    /// Something went wrong. The latest reason is the one that is told.
    pub fn suspect(&mut self, reason: &str, now: Instant) {
        let new = Suspicion { reason: String::new(), ask_at: now, told: false };
        reason.clone_into(&mut self.suspicion.get_or_insert(new).reason);
    }

    /// Ask, if it is time to.
    pub fn look(&mut self, now: Instant, answers: impl FnOnce() -> bool) {
        let Some(suspicion) = self.suspicion.as_mut().filter(|suspicion| suspicion.ask_at <= now) else { return };
        if answers() {
            if self.suspicion.take().is_some_and(|suspicion| suspicion.told) {
                (self.listener)(self.what, Ok(()));
            }
            return;
        }
        suspicion.ask_at = now + EVERY;
        suspicion.told = true;
        (self.listener)(self.what, Err(suspicion.reason.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type Told = Arc<Mutex<Vec<Result<(), String>>>>;

    fn reach() -> (Reach, Told) {
        let told = Told::default();
        let listener = told.clone();
        (Reach::new(READING, Arc::new(move |_, state| listener.lock().expect("alive").push(state))), told)
    }

    #[test]
    fn an_error_is_no_outage_while_the_cluster_answers() {
        let (mut reach, told) = reach();
        let now = Instant::now();
        reach.look(now, || panic!("nothing is suspected"));
        reach.suspect("one broker is away", now);
        reach.look(now, || true);
        reach.look(now + EVERY, || panic!("it answered"));
        assert_eq!(*told.lock().expect("alive"), []);
    }

    #[test]
    fn an_outage_is_told_with_its_latest_reason_until_the_cluster_answers() {
        let (mut reach, told) = reach();
        let now = Instant::now();
        reach.suspect("the password is wrong", now);
        reach.look(now, || false);
        reach.look(now, || panic!("it was just asked"));
        reach.suspect("all brokers are down", now);
        reach.look(now + EVERY, || false);
        reach.look(now + 2 * EVERY, || true);
        let down = |reason: &str| Err(reason.to_owned());
        let expected = [down("the password is wrong"), down("all brokers are down"), Ok(())];
        assert_eq!(*told.lock().expect("alive"), expected);
    }
}
