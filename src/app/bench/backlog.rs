//! How fast a backlog is worked off.

use std::time::Duration;

use anyhow::Context as _;

use super::ideal::{self, Foresight};
use super::place::{self, Place};
use super::scenario::Run;
use super::terminals::Terminals;
use super::tickets::Tickets;
use super::usage::Worked;
use crate::app::out::complain;
use crate::cli::BenchWork;
use crate::domain::position::{Partition, TopicRole};
use crate::operations::log_browser::LogBrowser;

/// Records appended in one transaction.
const APPENDED_AT_ONCE: u64 = 2_000;

/// What the run came to.
#[derive(Debug)]
pub struct Backlog {
    /// How many there were.
    pub events: u64,
    /// From opening the log to the last terminal written.
    pub makespan: Duration,
    /// Terminals a second, without ramp-up and tail.
    pub steady_rate: f64,
    /// What Little's law allows.
    pub little: Option<f64>,
    /// What a perfect scheduler needs.
    pub perfect: Option<Duration>,
    /// What one needs that knows every latency beforehand.
    pub shortest: Option<Duration>,
    /// Mean of the drawn latencies, in seconds.
    pub drawn_mean: f64,
    /// What the processor says of itself.
    pub worked: Worked,
}

/// Write the backlog, have it worked off, read what came of it.
pub async fn measure(place: &Place, run: &Run) -> anyhow::Result<Backlog> {
    let events = run.events();
    let log = place.log().await?;
    let partitions = place.partitions();
    complain!("{}: appending {events} events", run.scenario.name);
    append(place, run, &*log, partitions).await?;
    complain!("{}: working them off, {} in flight", run.scenario.name, run.in_flight);
    let worked = place::ended(place.start(run, BenchWork::Backlog)?).await?;

    let ends = Terminals::new(place.readers().await?).read().await?;
    let distinct: std::collections::HashSet<u64> = ends.iter().map(|end| end.event).collect();
    anyhow::ensure!(
        ends.len() as u64 == events && distinct.len() as u64 == events,
        "{events} events have {} terminals, of {} events",
        ends.len(),
        distinct.len()
    );
    let times: Vec<i64> = ends.iter().map(|end| end.written_at.0).collect();
    let last = times.iter().max().copied().unwrap_or_default();
    let makespan = Duration::from_millis((last - worked.started_at.0).unsigned_abs());
    // All in one burst: there is nothing steady about so few.
    let steady_rate = ideal::steady_rate(&times).unwrap_or(events as f64 / makespan.as_secs_f64());

    let draws = run.draws();
    let drawn: Vec<(u64, Duration)> = (0..events).map(|event| (draws.ticket(event), draws.latency(event))).collect();
    let latencies: Vec<Duration> = drawn.iter().map(|(_, latency)| *latency).collect();
    let little = ideal::little(run.in_flight, &latencies);
    let makespan_of = |foresight| little.map(|_| ideal::makespan(&drawn, run.in_flight, foresight));
    let (perfect, shortest) = (makespan_of(Foresight::None), makespan_of(Foresight::Full));
    let drawn_mean = ideal::mean(&latencies);
    Ok(Backlog { events, makespan, steady_rate, little, perfect, shortest, drawn_mean, worked })
}

/// Records a second of a loop that only reads and publishes, on the same kind of log in the same minute.
pub async fn measure_bare(place: &Place, run: &Run) -> anyhow::Result<f64> {
    let log = place.log().await?;
    append(place, run, &*log, place.partitions()).await?;
    complain!("{}: the same events through a bare loop", run.scenario.name);
    let worked = place::ended(place.start(run, BenchWork::Bare)?).await?;
    let ends = log_end(&*log, place.partitions()).await?;
    anyhow::ensure!(ends >= run.events(), "{} events came out of the bare loop as {ends}", run.events());
    worked.bare_rate.context("the bare loop did not say how fast it was")
}

async fn log_end(log: &dyn LogBrowser, partitions: u32) -> anyhow::Result<u64> {
    let mut end = 0;
    for number in 0..partitions {
        end += log.watermarks(Partition { topic: TopicRole::Feedback, number }).await?.end;
    }
    Ok(end)
}

async fn append(place: &Place, run: &Run, log: &dyn LogBrowser, partitions: u32) -> anyhow::Result<()> {
    let (tickets, draws) = (Tickets::new(place.parts.publisher(), place.source(), partitions)?, run.draws());
    let events: Vec<u64> = (0..run.events()).collect();
    for chunk in events.chunks(APPENDED_AT_ONCE as usize) {
        let now = place.parts.clock.now();
        let records = chunk.iter().map(|event| tickets.record(*event, draws.ticket(*event), now)).collect();
        log.append(records).await.context("the backlog cannot be written")?;
    }
    Ok(())
}
