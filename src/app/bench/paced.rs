//! What we add to the latency of a call, for events that come evenly, at half our speed or as many a second as asked for.
//!
//! Added latency = terminal readable - input acknowledged - call. Every event has a ticket of its own, so none waits
//! behind another of the same ticket, and that wait need not be taken off. The local model's calls are part of what is
//! added: they are computed in our process.

use std::ops::Range;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::place::{self, Feeder, Place};
use super::scenario::Run;
use super::terminals::Followed;
use super::tickets::Tickets;
use super::usage::Worked;
use crate::app::out::complain;
use crate::cli::BenchWork;

/// Share of the steady rate.
const PACE: f64 = 0.5;
/// Long enough for a 99th percentile, where nobody asked for a pace of their own.
const MAX_SECONDS: u64 = 10;
/// Events of this first time are not counted: the processor has just started.
const WARM_UP: Duration = Duration::from_secs(2);
/// What has come due is appended this often.
const APPEND_EVERY: Duration = Duration::from_millis(20);
/// The embedded log is looked at this often: what is seen there is late by half of it on average.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Beyond the last event's time: the longest call, and a minute.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of it.
pub struct Added {
    /// Milliseconds added to each event that was counted.
    pub millis: Vec<f64>,
    /// What the processor says of itself.
    pub worked: Worked,
}

pub async fn measure(place: &Place, run: &Run, steady_rate: f64) -> anyhow::Result<Added> {
    let (rate, seconds) = match run.pace {
        Some(pace) => (f64::from(pace), run.seconds),
        None => (steady_rate * PACE, run.seconds.min(MAX_SECONDS)),
    };
    let length = WARM_UP + Duration::from_secs(seconds);
    let events = (rate * length.as_secs_f64()).ceil().max(1.0) as u64;
    let warm_up = ((rate * WARM_UP.as_secs_f64()) as u64).min(events - 1);
    complain!("{}: {events} events at {rate:.0} a second, for their latency", run.scenario.name);
    let feeder = place.feeder().await?;
    let partitions = place.partitions();
    let mut child = place.start(run, BenchWork::Paced)?;
    let tickets = Tickets::new(place.parts.publisher(), place.source(), partitions)?;
    let mut terminals = place.follow(LOOK_EVERY).await?;
    // One more than the others: once it has its end, the processor is there.
    let herald = tickets.record(events, events, place.parts.clock.now());
    feeder.append(vec![herald]).await?;
    look(&mut terminals, events..events + 1, Instant::now() + PATIENCE).await?;
    let appending = append_evenly(place, &feeder, &tickets, rate, events);
    let looking = look(&mut terminals, 0..events, Instant::now() + length + PATIENCE);
    let (acknowledged, readable) = tokio::try_join!(appending, looking)?;
    drop(child.stdin.take());
    let worked = place::ended(child).await?;

    let draws = run.draws();
    let added = (warm_up..events).zip(acknowledged.iter().zip(&readable).skip(warm_up as usize));
    let millis = added.map(|(event, (from, to))| {
        let call = draws.latency(event).as_secs_f64();
        (to.saturating_duration_since(*from).as_secs_f64() - call) * 1_000.0
    });
    Ok(Added { millis: millis.collect(), worked })
}

/// When the log had taken each event.
async fn append_evenly(
    place: &Place,
    feeder: &Feeder,
    tickets: &Tickets,
    rate: f64,
    events: u64,
) -> anyhow::Result<Vec<Instant>> {
    let mut ticks = interval(APPEND_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = Instant::now();
    let mut acknowledged = Vec::with_capacity(events as usize);
    while (acknowledged.len() as u64) < events {
        ticks.tick().await;
        let due = ((begun.elapsed().as_secs_f64() * rate) as u64).min(events);
        let now = place.parts.clock.now();
        // The number of the event is that of its ticket.
        let records: Vec<_> = (acknowledged.len() as u64..due).map(|event| tickets.record(event, event, now)).collect();
        if !records.is_empty() {
            feeder.append(records).await?;
            acknowledged.resize(due as usize, Instant::now());
        }
    }
    Ok(acknowledged)
}

/// When each event's terminal could be read.
async fn look(terminals: &mut Followed, events: Range<u64>, until: Instant) -> anyhow::Result<Vec<Instant>> {
    let mut missing = events.end - events.start;
    let mut readable: Vec<Option<Instant>> = vec![None; missing as usize];
    while missing > 0 {
        let Ok(end) = timeout_at(until, terminals.next()).await else {
            anyhow::bail!("{missing} of {} events have no terminal", readable.len())
        };
        let end = end?;
        let place = end.event.checked_sub(events.start).context("a terminal of an event we did not write")?;
        let seen = readable.get_mut(place as usize).context("a terminal of an event we did not write")?;
        missing -= u64::from(seen.replace(end.seen_at).is_none());
    }
    Ok(readable.into_iter().flatten().collect())
}
