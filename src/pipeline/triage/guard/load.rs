//! What a provider in trouble is asked for, by many events at once, and what becomes of them.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use rand::Rng as _;
use tokio::time::{Duration, sleep};

use super::super::breaker::{BreakerChange, Why};
use super::super::model::{CallError, CallLimits, Content, Question, Range, Reply};
use super::super::testing::{FakeLeases, card, good_reply, reply, settings};
use super::tests::{job, local};
use super::*;

/// Fails by chance, in every way that is tried again.
struct Flaky {
    card: ModelCard,
    fails_of_100: AtomicU32,
    /// 1: with a 500; up to 4: in more ways.
    ways: u32,
    slowest: Duration,
    chance: Mutex<ChaCha8Rng>,
    calls: AtomicU32,
    at_once: AtomicU32,
    most_at_once: AtomicU32,
}

impl Flaky {
    fn new(fails_of_100: u32, ways: u32, slowest: Duration, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            card: card("gpt", true),
            fails_of_100: AtomicU32::new(fails_of_100),
            ways,
            slowest,
            chance: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            calls: AtomicU32::new(0),
            at_once: AtomicU32::new(0),
            most_at_once: AtomicU32::new(0),
        })
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Model for Flaky {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn ask(&self, _: Question) -> BoxFuture<'_, Result<Reply, CallError>> {
        async move {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            let (latency, how) = {
                let mut chance = self.chance.lock().expect("not poisoned");
                let fails = chance.random_range(0..100) < self.fails_of_100.load(Ordering::SeqCst);
                let how = fails.then(|| chance.random_range(0..self.ways));
                (self.slowest.mul_f64(chance.random_range(0.01..1.0)), how)
            };
            sleep(latency).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            let limited = |seconds| CallError::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
            match how {
                None => Ok(good_reply()),
                Some(0) => Err(CallError::Server { status: 500, retry_after: None }),
                Some(1) => Err(limited(0)),
                Some(2) => Err(limited(1)),
                Some(_) => Ok(reply(Content::Text("no".to_owned()))),
            }
        }
        .boxed()
    }
}

fn guard(model: Arc<Flaky>, listener: Listener) -> Arc<Guard> {
    let prompts = Arc::new(Prompts::load(None, 4_000).expect("the shipped templates are right"));
    let models: Vec<Arc<dyn Model>> = vec![model, local()];
    Arc::new(Guard::new(models, &settings(), prompts, Arc::new(crate::domain::clock::SystemClock), 1, listener))
}

/// So many events, one each `every`; what became of them, and how long each took.
async fn stream(guard: &Arc<Guard>, events: u32, every: Duration) -> Vec<(Answer, Duration)> {
    let mut tasks = Vec::new();
    for _ in 0..events {
        let guard = Arc::clone(guard);
        tasks.push(tokio::spawn(async move {
            let began = Instant::now();
            match guard.triage(job(), &FakeLeases::default()).await {
                Triaged::Answered(answer, _) => (answer, began.elapsed()),
                other => panic!("wanted an answer, got {other:?}"),
            }
        }));
        sleep(every).await;
    }
    let mut ends = Vec::new();
    for task in tasks {
        ends.push(task.await.expect("no event breaks down"));
    }
    ends
}

fn paused<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O").block_on(run)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_provider_in_trouble_is_asked_a_tenth_more_at_most(fails_of_100 in 0u32..=100, seed: u64, millis in 1u64..500) {
        const EVENTS: u32 = 150;
        let model = Flaky::new(fails_of_100, 4, Duration::from_secs(2), seed);
        let ends = paused(async {
            let guard = guard(Arc::clone(&model), Arc::new(|_| {}));
            stream(&guard, EVENTS, Duration::from_millis(millis)).await
        });
        // The reserve lets a quiet installation retry at all.
        prop_assert!(model.calls() * 10 <= EVENTS * 11 + 100, "{} calls for {EVENTS} events", model.calls());
        prop_assert!(ends.iter().all(|(answer, _)| answer.predicted.is_some()), "somebody got no decision");
    }
}

#[tokio::test(start_paused = true)]
async fn with_half_of_all_calls_failing_every_event_is_decided_in_time() {
    let model = Flaky::new(50, 4, Duration::from_secs(2), 7);
    let guard = guard(Arc::clone(&model), Arc::new(|_| {}));
    let ends = stream(&guard, 600, Duration::from_millis(100)).await;
    assert_eq!(ends.iter().filter(|(answer, _)| answer.predicted.is_some()).count(), 600);
    assert!(ends.iter().any(|(answer, _)| answer.degraded.is_none()), "some calls must have succeeded");
    let slowest = ends.iter().map(|(_, took)| *took).max();
    assert!(slowest <= Some(Duration::from_secs(60)), "{slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_healed_provider_is_closed_soon_after_its_open_time_although_the_first_in_line_have_no_time_left() {
    let began = Instant::now();
    let changes = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&changes);
    let listener: Listener = Arc::new(move |change: BreakerChange| {
        heard.lock().expect("not poisoned").push((change.why, began.elapsed()));
    });
    let model = Flaky::new(100, 1, Duration::from_secs(4), 3);
    let guard = guard(Arc::clone(&model), listener);
    let heals = Arc::clone(&model);
    tokio::spawn(async move {
        sleep(Duration::from_secs(55)).await;
        heals.fails_of_100.store(0, Ordering::SeqCst);
    });
    stream(&guard, 150, Duration::from_secs(1)).await;
    let changes = changes.lock().expect("not poisoned");
    let at = |why: Why| changes.iter().filter(|(what, _)| *what == why).map(|(_, at)| *at).collect::<Vec<_>>();
    let (tripped, half_open, closed) = (at(Why::Failures), at(Why::TimePassed), at(Why::ProbesSucceeded));
    assert_eq!((tripped.len(), half_open.len(), closed.len()), (1, 1, 1), "{changes:?}");
    assert!(closed[0] - half_open[0] <= Duration::from_secs(15), "{changes:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_run_at_once_than_the_limit_and_all_who_wait_come_through() {
    let limits = CallLimits { at_once: Range { min: 1, initial: 3, max: 5 }, ..CallLimits::default() };
    let mut model = Flaky::new(0, 1, Duration::from_secs(1), 5);
    Arc::get_mut(&mut model).expect("not shared yet").card.limits = limits;
    let guard = guard(Arc::clone(&model), Arc::new(|_| {}));
    let ends = stream(&guard, 100, Duration::ZERO).await;
    assert_eq!(ends.iter().filter(|(answer, _)| answer.degraded.is_none()).count(), 100);
    assert_eq!(model.most_at_once.load(Ordering::SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn a_new_event_finds_room_at_the_first_model_that_is_well_and_none_is_needed_where_none_is() {
    let limits = CallLimits { at_once: Range { min: 1, initial: 1, max: 1 }, ..CallLimits::default() };
    let mut model = Flaky::new(100, 1, Duration::from_millis(1), 3);
    Arc::get_mut(&mut model).expect("not shared yet").card.limits = limits;
    let guard = guard(Arc::clone(&model), Arc::new(|_| {}));
    let now = Instant::now;
    let room = guard.room(now(), 10).expect("one place");
    assert_eq!(guard.room(now(), 10).err(), Some(NotYet::Busy));
    assert!(guard.room_changed().now_or_never().is_none());
    drop(room);
    guard.room_changed().now_or_never().expect("it is told");
    let reserved = guard.room(now(), 10).expect("one place");
    assert!(matches!(guard.triage(Job { reserved, ..job() }, &FakeLeases::default()).await, Triaged::Answered(..)));
    stream(&guard, 60, Duration::from_secs(1)).await;
    assert_eq!(guard.breakers()[0].1, BreakerState::Open);
    let rooms: Vec<_> = (0..9).filter_map(|_| guard.room(now(), 10).ok()).collect();
    assert_eq!(rooms.len(), 9, "events begin without, and hold");
    guard.room_changed().now_or_never().expect("the change of the breaker is told");
}
