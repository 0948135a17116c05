//! The loop over a log of hand-fed happenings, with time moved by hand.

use std::time::Duration;

use super::closing::LOG_CLOSES_WITHIN;
use super::*;
use crate::domain::clock::{Clock as _, HandClock};
use crate::domain::record::Record;
use crate::pipeline::dedupe::no_ledger::NoLedger;
use crate::pipeline::log::{Assignment, Epoch, Errand, LogAdapterEnd, channels};
use crate::pipeline::road::testing::{EVENTS, decidable_event, fixtures};
use crate::pipeline::triage::breaker::BreakerState;
use crate::pipeline::triage::testing::{Act, Scripted, card, good_reply};
use crate::settings::telemetry::LogFormat;
use crate::telemetry::logging::tests::lines;
use crate::telemetry::recorder::{self, MetricsHandle};

const BATCH_INTERVAL: Duration = Duration::from_millis(10);

struct Running {
    clock: Arc<HandClock>,
    model: Arc<Scripted>,
    guard: Arc<Guard>,
    end: LogAdapterEnd,
    stop: watch::Sender<Stop>,
    task: tokio::task::JoinHandle<Result<Ended, RunError>>,
}

impl Running {
    async fn start() -> Self {
        Self::start_with([]).await
    }

    async fn start_with(script: impl IntoIterator<Item = Act>) -> Self {
        let (clock, model) = (Arc::new(HandClock::default()), Arc::new(Scripted::new(card("gpt", true), script)));
        let fixtures = Fixtures { clock: clock.clone(), ..fixtures(&[], model.clone()).0 };
        let guard = fixtures.guard.clone();
        let (log, end) = channels(8);
        let (stop, stopped) = watch::channel(Stop::No);
        let (_, asides) = mpsc::channel(1);
        let outside = Outside {
            log,
            ledger: Arc::new(NoLedger::new(clock.clone())),
            ledger_batch_max_entries: 100,
            ledger_batch_interval: BATCH_INTERVAL,
            asides,
            stop: stopped,
            until_idle: false,
            lookup: None,
            shared_limits: None,
            on_health: Arc::new(|_, _| {}),
        };
        let task = tokio::spawn(run(fixtures, outside));
        let running = Self { clock, model, guard, end, stop, task };
        running.assign().await;
        running
    }

    async fn say(&self, happening: Happening) {
        self.end.happenings.send(happening).await.expect("it listens");
    }

    async fn assign(&self) {
        let assignment = Assignment::never_read(EVENTS, "t");
        self.say(Happening::Assigned { epoch: Epoch(1), partitions: vec![assignment] }).await;
    }

    /// An event that wants a call.
    async fn read(&self, offset: u64) {
        let event = decidable_event(offset);
        let key = format!("{}|{}", event.tenant_id, event.ticket_id);
        let record = Record {
            offset,
            timestamp: self.clock.now(),
            key: Some(key.into()),
            value: Some(serde_json::to_vec(&event).expect("an event is JSON").into()),
            headers: Vec::new(),
        };
        self.say(Happening::Records { epoch: Epoch(1), partition: EVENTS, records: vec![record] }).await;
    }

    async fn calls_after(&self, millis: u64) -> usize {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        assert!(!self.task.is_finished());
        self.model.calls()
    }

    /// How long it takes to end, with a log that closes so long after it was told to stop.
    async fn ends_after(self, log_takes: Duration, and_then: Stop) -> Duration {
        let Self { end, stop, task, .. } = self;
        let LogAdapterEnd { happenings, mut errands } = end;
        tokio::spawn(async move {
            while errands.recv().await.is_some_and(|errand| !matches!(errand, Errand::Stop)) {}
            tokio::time::sleep(log_takes).await;
            drop(happenings);
        });
        let begun = Instant::now();
        stop.send(Stop::Drain).expect("it listens");
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.send(and_then).ok();
        task.await.expect("it does not panic").expect("it ends well");
        begun.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn the_loops_own_absence_holds_paid_calls_before_the_log_says_a_word() {
    let running = Running::start().await;
    running.read(0).await;
    assert_eq!(running.calls_after(100).await, 1);
    // While nobody ran these came, and the assignment says nothing of what is ours now.
    running.clock.forward(Duration::from_secs(20));
    running.assign().await;
    running.read(1).await;
    assert_eq!(running.calls_after(1_900).await, 1);
    assert_eq!(running.calls_after(200).await, 2, "it waits no longer than away_hold");
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_no_absence() {
    let running = Running::start().await;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        running.clock.forward(Duration::from_millis(500));
    }
    running.read(0).await;
    assert_eq!(running.calls_after(100).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_log_assigns_after_it_spoke_of_the_absence_is_ours() {
    let running = Running::start().await;
    running.clock.forward(Duration::from_secs(20));
    running.say(Happening::Away { silent: Duration::from_secs(20) }).await;
    running.assign().await;
    running.read(0).await;
    assert_eq!(running.calls_after(100).await, 1);
}

async fn ends_after(log_takes: Duration, and_then: Stop) -> Duration {
    let running = Running::start().await;
    running.ends_after(log_takes, and_then).await
}

#[tokio::test(start_paused = true)]
async fn it_does_not_end_before_the_log_has_given_back_what_was_ours() {
    let seconds = Duration::from_secs;
    assert!(ends_after(seconds(4), Stop::Drain).await >= seconds(4));
    let unreachable = ends_after(seconds(3_600), Stop::Drain).await;
    assert!((LOG_CLOSES_WITHIN..LOG_CLOSES_WITHIN + seconds(1)).contains(&unreachable), "{unreachable:?}");
    assert!(ends_after(seconds(3_600), Stop::Now).await < seconds(2), "whoever asks twice is in a hurry");
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_takes_too_long_gives_back_what_was_ours_all_the_same() {
    let running = Running::start_with([Act::Hang, Act::Hang, Act::Hang]).await;
    running.read(0).await;
    assert_eq!(running.calls_after(100).await, 1);
    let drain = fixtures(&[], Arc::new(Scripted::new(card("gpt", true), []))).0.settings.drain_deadline;
    let log_takes = Duration::from_secs(4);
    assert!(running.ends_after(log_takes, Stop::Drain).await >= drain + log_takes);
}

#[tokio::test(start_paused = true)]
async fn calls_that_an_end_cuts_off_are_no_outage_of_their_provider() {
    for and_then in [Stop::Now, Stop::Drain] {
        let running = Running::start_with((0..10).map(|_| Act::Hang)).await;
        for offset in 0..10 {
            running.read(offset).await;
        }
        assert_eq!(running.calls_after(100).await, 10);
        let guard = running.guard.clone();
        running.ends_after(Duration::ZERO, and_then).await;
        // Until the tasks of the calls are gone.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&guard), 1, "a call still runs");
        assert_eq!(guard.breakers()[0].1, BreakerState::Closed, "{and_then:?}");
        assert_eq!(guard.breaker_reports()[0].1.failures, 0, "{and_then:?}");
    }
}

#[test]
fn what_it_leaves_behind_is_said_when_it_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let said = lines("info", LogFormat::Json, || {
        runtime.expect("a runtime").block_on(async {
            let running = Running::start_with([Act::Hang, Act::Hang]).await;
            running.read(0).await;
            running.read(1).await;
            assert_eq!(running.calls_after(100).await, 2);
            running.ends_after(Duration::ZERO, Stop::Now).await;
        });
    });
    let said: serde_json::Value = serde_json::from_str(said.last().expect("a last word")).expect("JSON");
    assert_eq!(said["message"], "stopped; what is left is read again at the next start");
    assert_eq!((said["left_on_road"].as_u64(), said["drained_for_ms"].as_u64()), (Some(2), Some(1_000)));
}

/// How many batches the ledger has written, as far as the metrics know.
fn batches(metrics: &MetricsHandle) -> usize {
    let text = metrics.render();
    let line =
        text.lines().find_map(|line| line.strip_prefix(r#"gatekeeper_ledger_batches_total{outcome="committed"} "#));
    line.map_or(0, |count| count.parse().expect("a count"))
}

#[tokio::test(start_paused = true)]
async fn what_comes_within_the_interval_is_written_together_and_what_comes_after_a_while_at_once() {
    let (recorder, metrics) = recorder::local();
    let _here = metrics::set_default_local_recorder(&recorder);
    let slow = || Act::SayAfter(Duration::from_secs(60), Ok(good_reply()));
    let running = Running::start_with(std::iter::repeat_with(slow).take(51)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = batches(&metrics);
    running.read(0).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(batches(&metrics), before + 1, "nothing was written for a while: it need not wait");
    for offset in 1..=50 {
        running.read(offset).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let most = 50 / BATCH_INTERVAL.as_millis() as usize + 1;
    let written = batches(&metrics) - before - 1;
    assert!((2..=most).contains(&written), "{written} batches within fifty milliseconds");
    assert_eq!(running.calls_after(100).await, 51);
}

/// This ledger takes no time. What came in one moment is told in one turn, and written together; two answers come together,
/// and a third three milliseconds later.
#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_no_interval() {
    let (recorder, metrics) = recorder::local();
    let _here = metrics::set_default_local_recorder(&recorder);
    let after = |millis| Act::SayAfter(Duration::from_millis(millis), Ok(good_reply()));
    let running = Running::start_with([after(1), after(1), after(4)]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = batches(&metrics);
    for offset in 0..3 {
        running.read(offset).await;
    }
    tokio::time::sleep(2 * BATCH_INTERVAL + BATCH_INTERVAL / 2).await;
    let written = batches(&metrics) - before;
    assert_eq!(written, 4, "claimed at 0 and leased at 10 ms, and answered one and four milliseconds after that");
}
