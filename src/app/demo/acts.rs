//! The acts, in order. Each ends when what it shows was seen in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::follower::Place;
use super::narrator::Ink;
use super::script;
use super::stage::Stage;
use crate::app::wiring::Parts;
use crate::domain::clock::Timestamp;
use crate::domain::decision::{Automation, TriageDecision};
use crate::domain::event::SupportEvent;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::identity::DedupeKey;
use crate::pipeline::dedupe::ledger::Ledger;

const BURST: usize = 270;

/// More than anything here takes on a busy machine; on the way only, never slept.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls that must be under way when the worker is killed.
const IN_THE_AIR: usize = 5;

/// How long it works between two looks.
const LET_IT_WORK: Duration = Duration::from_millis(5);

/// Tickets come in and are decided.
pub(super) async fn morning(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.narrator.act("1. A morning: 120 tickets of six companies");
    let places = stage.publish(stage.lines(1, 120)).await?;
    stage.wait_for(&places, PATIENCE).await?;
    stage.narrator.say(&format!("all 120 have their terminal: {}", by_status(stage, &places)));
    Ok(())
}

/// One tenant at many times its share waits; the others do not.
pub(super) async fn noise(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.narrator.act(&format!("2. A noisy tenant: {BURST} tickets of stark at once, 80 of everybody behind them"));
    let mut tickets = script::burst(&stage.tickets, BURST);
    tickets.extend(stage.lines(121, 200));
    let places = stage.publish(tickets).await?;
    let (noise, others) = stage.noise_and_others(&places);
    stage.wait_for(&others, PATIENCE).await?;
    let waiting = noise.len() - stage.ended(&noise);
    anyhow::ensure!(waiting > 0, "the noisy tenant was to wait for its limit, and did not");
    stage.narrator.say(&format!(
        "the others have all their {}, the slowest after {} ms; stark may ask 240 times a minute: {} of its tickets wait, none is lost",
        others.len(),
        slowest(stage, &others),
        stage.narrator.ink(Ink::Careful, &waiting.to_string()),
    ));
    Ok(())
}

/// The provider fails: decisions are late and marked, and never act; then it is back.
pub(super) async fn outage(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.narrator.act("3. The provider fails: every call is answered with 500");
    let changes = stage.seen().ops.len();
    stage.provider.behave(&json!({"mode": "outage_500"})).await?;
    let places = stage.publish(stage.lines(201, 260)).await?;
    stage.wait("the breaker opens", PATIENCE, |stage| changed_to(stage, changes, "open")).await?;
    stage.narrator.say("calls are held back; tickets wait for their model for 3 s (a minute by default)");
    let (_, others) = stage.noise_and_others(&places);
    stage.wait_for(&others, PATIENCE).await?;
    let degraded: Vec<&TriageDecision> = degraded(stage, &others).collect();
    anyhow::ensure!(!degraded.is_empty(), "an outage was to degrade decisions, and none is");
    for decision in &degraded {
        anyhow::ensure!(decision.degraded_reason.is_some(), "{} does not say why", decision.event_id);
        anyhow::ensure!(!acts(decision), "{} is degraded and acts by itself", decision.event_id);
    }
    stage.narrator.say(&format!(
        "{}: the local model or people decided, marked as such; none of them acts by itself",
        stage.narrator.ink(Ink::Careful, &format!("{} degraded decisions", degraded.len())),
    ));

    let changes = stage.seen().ops.len();
    stage.provider.behave(&json!({"latency": {"lognormal": {"p50_ms": 60.0, "p99_ms": 300.0}}})).await?;
    stage
        .narrator
        .say("the provider is well again; when its time has passed, the breaker lets one call through to see");
    let places = stage.publish(stage.lines(261, 270)).await?;
    stage.wait("the breaker closes", PATIENCE, |stage| changed_to(stage, changes, "closed")).await?;
    let (_, others) = stage.noise_and_others(&places);
    stage.wait_for(&others, PATIENCE).await
}

/// kill -9 in the middle of calls: what was saved is not paid again.
pub(super) async fn crash(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.narrator.act("4. A crash: kill -9 while calls are under way");
    stage.provider.behave(&json!({"latency": {"lognormal": {"p50_ms": 800.0, "p99_ms": 3_000.0}}})).await?;
    let tickets = stage.lines(271, 320);
    let keys: Vec<DedupeKey> = tickets
        .iter()
        .map(|ticket| Ok(DedupeKey::of_event(&serde_json::from_value::<SupportEvent>(ticket.event.clone())?)))
        .collect::<anyhow::Result<_>>()?;
    let places = stage.publish(tickets).await?;
    let of_act: Vec<(Place, DedupeKey)> = places.iter().copied().zip(keys).collect();

    let (in_the_air, saved) = kill_when_it_hurts(stage, &of_act).await?;
    let killed_at = stage.parts.clock.now();
    stage.narrator.say(&format!(
        "{}: calls under way {in_the_air}, answers saved and not yet published {}",
        stage.narrator.ink(Ink::Bad, "killed"),
        saved.len(),
    ));
    stage.restart_worker()?;
    let (_, others) = stage.noise_and_others(&places);
    stage.wait_for(&others, PATIENCE).await?;
    let again = asked_since(stage, killed_at)?;
    let paid_again = saved.iter().filter(|key| again.contains(&key.to_hex())).count();
    anyhow::ensure!(paid_again == 0, "{paid_again} saved answers were asked for again");
    stage.narrator.say(&format!(
        "started again, all {} have their terminal; {}",
        others.len(),
        stage.narrator.ink(Ink::Good, &format!("saved answers used, not paid again: {}", saved.len())),
    ));
    Ok(())
}

/// Kill the worker when there is something to lose; answered with the number of calls under way, and the events whose
/// answer is saved without being published.
///
/// An answer is unpublished for some milliseconds only, fewer than a look takes on a busy machine: the worker is frozen
/// while it is looked at, and works for a moment between two looks. If no such moment was met when the calls run out, it
/// is killed all the same, and nothing more is claimed than what was there.
async fn kill_when_it_hurts(
    stage: &mut Stage<'_>,
    events: &[(Place, DedupeKey)],
) -> anyhow::Result<(usize, Vec<DedupeKey>)> {
    // Under another name than the worker's: its leases are its own.
    let mut settings = stage.parts.settings.clone();
    settings.instance = "gatekeeper-demo-audience".to_owned();
    let ledger = Parts::new(settings)?.ledger_to_read().await?;
    let deadline = Instant::now() + PATIENCE;
    let mut most_in_the_air = 0;
    let in_the_air = loop {
        stage.worker.must_be_alive()?;
        stage.worker.freeze()?;
        stage.look().await?;
        let in_the_air = stage.provider.calls()?.iter().filter(|call| !call.ended).count();
        most_in_the_air = most_in_the_air.max(in_the_air);
        let are_running_out = in_the_air < IN_THE_AIR && most_in_the_air >= IN_THE_AIR;
        let something_to_lose =
            in_the_air >= IN_THE_AIR && !saved_and_not_published(stage, &*ledger, events).await?.is_empty();
        if something_to_lose || are_running_out {
            break in_the_air;
        }
        anyhow::ensure!(Instant::now() < deadline, "no calls were under way within {PATIENCE:?}");
        stage.worker.thaw()?;
        sleep(LET_IT_WORK).await;
    };
    stage.worker.kill().await?;
    // Only the dead hold still: what was under way to the disk when it was frozen has ended now.
    stage.look().await?;
    Ok((in_the_air, saved_and_not_published(stage, &*ledger, events).await?))
}

async fn saved_and_not_published(
    stage: &Stage<'_>,
    ledger: &dyn Ledger,
    events: &[(Place, DedupeKey)],
) -> anyhow::Result<Vec<DedupeKey>> {
    let mut saved = Vec::new();
    for (place, key) in events {
        if !stage.seen().terminals.contains_key(place)
            && ledger.find(*key).await.context("the ledger cannot be read")?.is_some_and(|row| row.answer.is_some())
        {
            saved.push(*key);
        }
    }
    Ok(saved)
}

fn asked_since(stage: &Stage<'_>, since: Timestamp) -> anyhow::Result<BTreeSet<String>> {
    let calls = stage.provider.calls()?;
    Ok(calls.into_iter().filter(|call| call.started_at > since.0).map(|call| call.key).collect())
}

/// An upstream sends the first 50 once more.
pub(super) async fn again(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.narrator.act("5. The first 50 tickets are published once more");
    let before = stage.parts.clock.now();
    stage.provider.behave(&json!({"latency": {"lognormal": {"p50_ms": 60.0, "p99_ms": 300.0}}})).await?;
    let mut tickets = stage.lines(1, 50);
    for ticket in &mut tickets {
        // A record that was rejected may be sent again: it is judged anew. Everything else is known.
        let rejected = ticket.expected.as_ref().is_some_and(|(status, _)| status == "REJECTED");
        if !rejected {
            ticket.expected = Some(("DUPLICATE".to_owned(), "SAME_EVENT".to_owned()));
        }
        // Its remark was made the first time.
        ticket.line = None;
    }
    let keys: BTreeSet<String> = tickets
        .iter()
        .filter_map(|ticket| serde_json::from_value::<SupportEvent>(ticket.event.clone()).ok())
        .map(|event| DedupeKey::of_event(&event).to_hex())
        .collect();
    let places = stage.publish(tickets).await?;
    stage.wait_for(&places, PATIENCE).await?;
    anyhow::ensure!(asked_since(stage, before)?.is_disjoint(&keys), "an event that was decided was asked for again");
    stage.narrator.say(&format!("{}; no model was asked", by_status(stage, &places)));
    Ok(())
}

/// Everything comes to its end, and the worker to its own.
pub(super) async fn evening(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.narrator.act("6. Evening: the noisy tenant's queue runs empty, at its own pace");
    let places: Vec<Place> = stage.published.iter().map(|published| published.place).collect();
    stage.narrator.say(&format!("{} tickets still wait", places.len() - stage.ended(&places)));
    stage.wait_for(&places, 2 * PATIENCE).await?;
    let status = stage.worker.terminate(PATIENCE).await?;
    anyhow::ensure!(status.success(), "the worker was asked to end and did so badly: {status}");
    stage.narrator.say(&format!("all {} have their terminal; the worker was asked to end, and did", places.len()));
    Ok(())
}

fn changed_to(stage: &Stage<'_>, since: usize, state: &str) -> bool {
    stage.seen().ops.iter().skip(since).any(|event| event.current.as_deref() == Some(state))
}

fn degraded<'a>(stage: &'a Stage<'_>, places: &'a [Place]) -> impl Iterator<Item = &'a TriageDecision> {
    let is_degraded = |place: &&Place| {
        stage.seen().terminals.get(place).is_some_and(|feedback| feedback.status == FeedbackStatus::Degraded)
    };
    places.iter().filter(is_degraded).filter_map(|place| stage.seen().decisions.get(place))
}

/// Whether a consumer may act on any of it without a person.
fn acts(decision: &TriageDecision) -> bool {
    let routing = decision.routing.as_ref().map(|routing| &routing.queue);
    let fields = [&decision.category, &decision.priority, &decision.impact, &decision.urgency, &decision.language];
    fields.into_iter().flatten().chain(routing).any(|field| field.automation == Automation::Apply)
}

fn slowest(stage: &Stage<'_>, places: &[Place]) -> i64 {
    places.iter().filter_map(|place| stage.seen().terminals.get(place)).map(|f| f.latency_ms).max().unwrap_or_default()
}

/// `98 accepted, 2 rejected`.
fn by_status(stage: &Stage<'_>, places: &[Place]) -> String {
    let mut counts: BTreeMap<FeedbackStatus, usize> = BTreeMap::new();
    for feedback in places.iter().filter_map(|place| stage.seen().terminals.get(place)) {
        *counts.entry(feedback.status).or_default() += 1;
    }
    let parts = counts.iter().map(|(status, count)| format!("{count} {}", format!("{status:?}").to_lowercase()));
    parts.collect::<Vec<_>>().join(", ")
}
