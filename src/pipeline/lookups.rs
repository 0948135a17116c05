//! Schema ids that partitions wait for, asked for one by one until the registry answers.
//!
//! A look-up is a task beside the loop; one that failed is tried again after a pause that doubles, on its own clock, so
//! that neither an outage nor a wrong id makes a tight loop. The first answer after an outage brings the others forward.
//! An id that nobody waits for any more is not asked for again.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::health::{HealthListener, REGISTRY, SCHEMAS};
use super::schema_set::registry::{Lookup, RegistryError};
use crate::domain::position::Partition;

/// Look-ups at once: each partition waits for one id at most, and a registry that comes back should not be met by all.
const MAX_AT_ONCE: usize = 4;

/// What is asked of the registry, and what will be asked again.
pub(super) struct Lookups {
    lookup: Option<Lookup>,
    on_health: HealthListener,
    running: BTreeSet<u32>,
    tasks: JoinSet<(u32, Result<(), RegistryError>)>,
    failed: BTreeMap<u32, Failed>,
    /// The failure for which readiness was taken away: which id, and its how-manieth.
    told: Option<(u32, u32)>,
}

struct Failed {
    times: u32,
    again: Instant,
    error: RegistryError,
}

impl Lookups {
    pub fn new(lookup: Option<Lookup>, on_health: HealthListener) -> Self {
        Self { lookup, on_health, running: BTreeSet::new(), tasks: JoinSet::new(), failed: BTreeMap::new(), told: None }
    }

    /// Ask for what is awaited and due.
    pub fn start(&mut self, awaited: &BTreeMap<u32, Partition>, now: Instant) {
        let Some(lookup) = &self.lookup else { return };
        self.failed.retain(|id, _| awaited.contains_key(id));
        for &id in awaited.keys() {
            let is_due = self.failed.get(&id).is_none_or(|failed| failed.again <= now);
            if is_due && self.running.len() < MAX_AT_ONCE && self.running.insert(id) {
                let lookup = lookup.clone();
                self.tasks.spawn(async move { (id, lookup.look_up(id).await) });
            }
        }
        self.tell_readiness(awaited);
    }

    /// When the next one that failed is due, if it does not wait for its turn.
    pub fn next_due(&self) -> Option<Instant> {
        let waiting = self.failed.iter().filter(|(id, _)| !self.running.contains(id));
        waiting.map(|(_, failed)| failed.again).min().filter(|_| self.running.len() < MAX_AT_ONCE)
    }

    /// The next look-up that ends: its id, and whether there is an answer. None while there are none.
    pub async fn next(&mut self) -> Option<(u32, bool)> {
        let done = self.tasks.join_next().await?;
        let now = Instant::now();
        match done {
            Ok((id, Ok(()))) => {
                self.running.remove(&id);
                self.failed.remove(&id);
                self.failed.values_mut().for_each(|failed| failed.again = now);
                (self.on_health)(REGISTRY, Ok(None));
                Some((id, true))
            }
            Ok((id, Err(error))) => {
                self.running.remove(&id);
                (self.on_health)(REGISTRY, Err(error.to_string()));
                self.note_failure(id, error, now);
                Some((id, false))
            }
            Err(error) => {
                // Which one it was is not said: all are asked again, the broken one among them.
                tracing::error!(%error, "a look-up of a schema broke down");
                self.tasks.abort_all();
                for id in std::mem::take(&mut self.running) {
                    self.note_failure(id, RegistryError::Garbled("the look-up broke down".to_owned()), now);
                }
                None
            }
        }
    }

    fn note_failure(&mut self, id: u32, error: RegistryError, now: Instant) {
        let Some(lookup) = &self.lookup else { return };
        let times = self.failed.get(&id).map_or(0, |failed| failed.times) + 1;
        self.failed.insert(id, Failed { times, again: now + lookup.wait(times), error });
    }

    /// A partition that waits for milliseconds is no reason to be sent no work; one that waits for a registry that does
    /// not answer is.
    fn tell_readiness(&mut self, awaited: &BTreeMap<u32, Partition>) {
        let stuck = self.failed.iter().next().and_then(|(id, failed)| Some((*id, failed, awaited.get(id)?)));
        let told = stuck.map(|(id, failed, _)| (id, failed.times));
        if told == self.told {
            return;
        }
        self.told = told;
        let state = match stuck {
            Some((id, failed, partition)) => Err(format!("{partition} waits for schema id {id}: {}", failed.error)),
            None => Ok(None),
        };
        (self.on_health)(SCHEMAS, state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::domain::position::TopicRole;
    use crate::pipeline::schema_set::SchemaSet;
    use crate::pipeline::schema_set::registry::testing::Scripted;

    type Told = Arc<Mutex<Vec<(&'static str, bool)>>>;

    fn lookups(registry: &Scripted) -> (Lookups, Told) {
        let told = Told::default();
        let tell = told.clone();
        let on_health: HealthListener =
            Arc::new(move |name, state| tell.lock().expect("nobody panics with it").push((name, state.is_ok())));
        (Lookups::new(Some(registry.lookup(Arc::new(SchemaSet::with_registry()))), on_health), told)
    }

    fn awaited(ids: &[u32]) -> BTreeMap<u32, Partition> {
        ids.iter().map(|id| (*id, Partition { topic: TopicRole::Events, number: *id })).collect()
    }

    fn down() -> Option<RegistryError> {
        Some(RegistryError::Unreachable("connection refused".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_is_down_is_asked_again_after_ever_longer_pauses() {
        let registry = Scripted::knows([1]);
        registry.fails(down());
        let (mut lookups, _) = lookups(&registry);
        let began = Instant::now();
        let mut asked_at = Vec::new();
        for _ in 0..8 {
            lookups.start(&awaited(&[1]), Instant::now());
            // Asking twice for what is on its way, or not due, changes nothing.
            lookups.start(&awaited(&[1]), Instant::now());
            assert_eq!(lookups.next().await, Some((1, false)));
            asked_at.push(began.elapsed().as_millis());
            tokio::time::sleep_until(lookups.next_due().expect("it will be asked again")).await;
        }
        assert_eq!(asked_at, [0, 500, 1_500, 3_500, 7_500, 15_500, 25_500, 35_500]);
        assert_eq!(registry.was_asked(), [1; 8]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_brings_the_others_forward_and_gives_readiness_back() {
        let registry = Scripted::knows([1, 2]);
        registry.fails(down());
        let (mut lookups, told) = lookups(&registry);
        for _ in 0..6 {
            lookups.start(&awaited(&[1, 2]), Instant::now());
            lookups.next().await;
            lookups.next().await;
            tokio::time::sleep_until(lookups.next_due().expect("both failed")).await;
        }
        registry.was_asked();
        registry.fails(None);
        // Only one of them is awaited by somebody who came later.
        lookups.failed.get_mut(&2).expect("it failed").again += Duration::from_secs(5);
        lookups.start(&awaited(&[1, 2]), Instant::now());
        assert_eq!(lookups.next().await, Some((1, true)));
        assert!(lookups.next_due().expect("the other one") <= Instant::now());
        lookups.start(&awaited(&[2]), Instant::now());
        assert_eq!(lookups.next().await, Some((2, true)));
        assert_eq!(told.lock().expect("fine").last(), Some(&(REGISTRY, true)));
        lookups.start(&awaited(&[]), Instant::now());
        assert_eq!(told.lock().expect("fine").last(), Some(&(SCHEMAS, true)));
        assert_eq!(lookups.next_due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_any_more_is_not_asked_for_and_keeps_nobody_from_being_ready() {
        let registry = Scripted::knows([]);
        registry.fails(down());
        let (mut lookups, told) = lookups(&registry);
        lookups.start(&awaited(&[1]), Instant::now());
        lookups.next().await;
        lookups.start(&awaited(&[1]), Instant::now());
        assert_eq!(told.lock().expect("fine").last(), Some(&(SCHEMAS, false)));
        lookups.start(&awaited(&[]), Instant::now());
        assert_eq!(told.lock().expect("fine").last(), Some(&(SCHEMAS, true)));
        assert_eq!(lookups.next_due(), None);
        tokio::time::advance(Duration::from_secs(100)).await;
        lookups.start(&awaited(&[]), Instant::now());
        assert_eq!(registry.was_asked(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_few_are_asked_for_at_once() {
        let registry = Scripted::knows(1..=9);
        let (mut lookups, _) = lookups(&registry);
        let all: Vec<u32> = (1..=9).collect();
        lookups.start(&awaited(&all), Instant::now());
        assert_eq!(lookups.tasks.len(), MAX_AT_ONCE);
        assert_eq!(lookups.next().await, Some((1, true)));
    }
}
