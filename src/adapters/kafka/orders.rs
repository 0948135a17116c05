//! What the road asked for, as the threads see it.
//!
//! Errands arrive on a thread of their own, so that a pause takes effect while a burst is being committed, and a
//! revocation can wait for its answer.

use std::collections::BTreeSet;
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::domain::position::Partition;
use crate::pipeline::log::{Burst, Errand};

/// How long a wait may go without a sign of life.
const BEAT: Duration = Duration::from_millis(20);

/// Shared by the threads.
#[derive(Debug, Default)]
pub struct Orders {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    steering: Vec<Steer>,
    let_go: BTreeSet<Partition>,
    /// Bursts that came in and have no outcome yet.
    bursts: usize,
    stopped: bool,
}

/// A change of what is read, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steer {
    /// Not these.
    Pause(Vec<Partition>),
    /// These again.
    Resume(Vec<Partition>),
}

impl Orders {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hand errands on until the road stops or is gone.
    pub fn attend(&self, mut errands: UnboundedReceiver<Errand>, bursts: &Sender<Burst>) {
        while let Some(errand) = errands.blocking_recv() {
            match errand {
                Errand::Pause(partitions) => self.lock().steering.push(Steer::Pause(partitions)),
                Errand::Resume(partitions) => self.lock().steering.push(Steer::Resume(partitions)),
                Errand::LetGo(partitions) => {
                    self.lock().let_go.extend(partitions);
                    self.changed.notify_all();
                }
                Errand::Publish(burst) => {
                    self.lock().bursts += 1;
                    if bursts.send(burst).is_err() {
                        break;
                    }
                }
                Errand::Stop => break,
            }
        }
        self.stop();
    }

    /// A burst has its outcome.
    pub fn burst_done(&self) {
        let mut state = self.lock();
        state.bursts = state.bursts.saturating_sub(1);
        self.changed.notify_all();
    }

    /// Wait until every burst that came in has its outcome; false: not in time.
    pub fn wait_for_bursts(&self, until: Instant) -> bool {
        let mut state = self.lock();
        while state.bursts > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Everything ends.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Whether everything ends.
    pub fn stopped(&self) -> bool {
        self.lock().stopped
    }

    /// What changed since this was asked.
    pub fn take_steering(&self) -> Vec<Steer> {
        std::mem::take(&mut self.lock().steering)
    }

    /// Before a revocation is told: answers to earlier ones do not count.
    pub fn expect_let_go(&self) {
        self.lock().let_go.clear();
    }

    /// Wait until the road has let go of all of these, calling `beat` meanwhile; false: not in time, or everything ends.
    pub fn wait_for_let_go(&self, partitions: &[Partition], until: Instant, mut beat: impl FnMut()) -> bool {
        let mut state = self.lock();
        loop {
            if partitions.iter().all(|partition| state.let_go.contains(partition)) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.stopped {
                return false;
            }
            beat();
            state = self.changed.wait_timeout(state, left.min(BEAT)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Wait this long, or until everything ends; true: it does.
    pub fn pause(&self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        let mut state = self.lock();
        while !state.stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
