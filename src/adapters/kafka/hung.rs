//! A thread that does not come back: no error, no panic, and a process that looks well while it reads nothing.
//!
//! Calls of librdkafka that wait for its main thread have no time-out, and that thread can deadlock with those of brokers that
//! leave (confluentinc/librdkafka issue 5476). Nobody can end a thread, so everything ends, and is started anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, WeakSender};

use super::orders::Orders;
use crate::domain::silence::Silence;
use crate::pipeline::log::Happening;

/// Between looks.
const EVERY: Duration = Duration::from_secs(1);

/// While the road is full.
const ROAD_FULL: Duration = Duration::from_millis(2);

/// One thread's signs of life. Clones are of the same thread.
#[derive(Debug, Clone, Default)]
pub struct Life(Arc<AtomicU64>);

impl Life {
    /// It is there.
    pub fn sign(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn signs(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Tell the road, calling `beat` as long as it is full; false: it is gone.
pub fn tell(to_road: &Sender<Happening>, happening: Happening, mut beat: impl FnMut()) -> bool {
    let mut happening = happening;
    loop {
        match to_road.try_send(happening) {
            Ok(()) => return true,
            Err(TrySendError::Closed(_)) => return false,
            Err(TrySendError::Full(back)) => happening = back,
        }
        beat();
        #[expect(clippy::disallowed_methods, reason = "a thread of its own, not the runtime's")]
        std::thread::sleep(ROAD_FULL);
    }
}

/// The polling thread's signs, in which it notices its own silence too.
#[derive(Debug)]
pub struct Heart {
    /// Noticed once it beats again.
    pub silence: Silence,
    /// Noticed by others.
    pub life: Life,
}

impl Heart {
    /// As [`Silence::beat`].
    pub fn beat(&mut self, now: Duration) {
        self.life.sign();
        self.silence.beat(now);
    }

    /// As [`Silence::restart`].
    pub fn restart(&mut self, now: Duration) {
        self.life.sign();
        self.silence.restart(now);
    }

    /// As [`Silence::take`].
    pub fn take(&mut self) -> Option<Duration> {
        self.silence.take()
    }
}

/// A thread that is watched.
pub struct Watched {
    name: &'static str,
    life: Life,
    seen: u64,
    in_vain: u32,
}

impl Watched {
    /// By this name.
    pub fn new(name: &'static str, life: Life) -> Self {
        Self { name, life, seen: 0, in_vain: 0 }
    }

    /// Whether the last so many looks saw no sign. Looks are counted and not time: while the process is frozen nobody looks.
    fn is_hung(&mut self, limit: u32) -> bool {
        let signs = self.life.signs();
        self.in_vain = if signs == self.seen { self.in_vain + 1 } else { 0 };
        self.seen = signs;
        self.in_vain >= limit
    }
}

/// Until everything ends: the first thread without a sign for `limit` is told to the road, and is the end of everything.
pub fn watch(mut threads: Vec<Watched>, limit: Duration, orders: &Orders, to_road: &WeakSender<Happening>) {
    let looks = u32::try_from(limit.as_secs() / EVERY.as_secs()).unwrap_or(u32::MAX);
    while !orders.pause(EVERY) {
        let hung = threads.iter_mut().filter_map(|thread| thread.is_hung(looks).then_some(thread.name)).next();
        if let Some(name) = hung {
            let reason = format!("the log's thread {name} has not come back for {limit:?}");
            tracing::error!(reason, "the log cannot go on");
            // Before the road is told, which may be long in hearing; a road that is gone needs no reason.
            let to_road = to_road.upgrade();
            orders.stop();
            to_road.map(|to_road| to_road.blocking_send(Happening::Failed { reason }));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::log::channels;

    #[test]
    fn a_thread_is_hung_after_so_many_looks_without_a_sign() {
        let life = Life::default();
        let mut thread = Watched::new("kafka-test", life.clone());
        for _ in 0..3 {
            life.sign();
            assert!(!thread.is_hung(3), "it gives signs");
            assert!(!thread.is_hung(3));
            assert!(!thread.is_hung(3));
        }
        assert!(thread.is_hung(3));
    }

    #[test]
    fn who_waits_for_a_road_that_is_long_in_hearing_is_not_hung() {
        let (mut port, end) = channels(1);
        let capacity = end.happenings.capacity();
        let (life, word) = (Life::default(), || Happening::Heard { answer: Ok(Duration::ZERO) });
        for _ in 0..capacity {
            assert!(tell(&end.happenings, word(), || life.sign()));
        }
        let waiting = std::thread::spawn({
            let life = life.clone();
            move || tell(&end.happenings, word(), || life.sign())
        });
        let before = life.signs();
        while life.signs() < before + 3 {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        while port.happenings.blocking_recv().is_some() {}
        assert!(waiting.join().expect("it does not panic"), "it is told in the end");
        let (port, end) = channels(1);
        drop(port);
        assert!(!tell(&end.happenings, word(), || life.sign()), "a road that is gone");
    }

    #[test]
    fn a_thread_that_hangs_is_told_and_everything_ends() {
        let (mut port, end) = channels(1);
        let (orders, lively) = (Orders::default(), Life::default());
        let threads = vec![Watched::new("kafka-lively", lively.clone()), Watched::new("kafka-hung", Life::default())];
        let signing = std::thread::spawn({
            let lively = lively.clone();
            move || {
                for _ in 0..40 {
                    lively.sign();
                    std::thread::park_timeout(Duration::from_millis(100));
                }
            }
        });
        watch(threads, Duration::from_secs(2), &orders, &end.happenings.downgrade());
        match port.happenings.blocking_recv() {
            Some(Happening::Failed { reason }) => assert!(reason.contains("kafka-hung"), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert!(orders.stopped());
        signing.join().expect("it does not panic");
    }
}
