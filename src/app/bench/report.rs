//! Figures beside their targets.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::backlog::Backlog;
use super::ideal::percentile;
use super::paced::Added;
use super::scenario::Run;
use super::usage::Worked;
use crate::settings::Settings;

/// Most memory of a processor, in MB, up to so many calls in flight.
const MAX_MEMORY: [(usize, f64); 2] = [(256, 60.0), (10_000, 400.0)];

/// A ledger costs something.
struct WithOrWithout {
    /// A reader may see the slowest hundredth this much later than one burst interval.
    p99_beyond_burst_ms: f64,
    /// Of what the log alone can do.
    of_bare_loop: f64,
}

const WITH_LEDGER: WithOrWithout = WithOrWithout { p99_beyond_burst_ms: 50.0, of_bare_loop: 0.2 };
const WITHOUT_LEDGER: WithOrWithout = WithOrWithout { p99_beyond_burst_ms: 20.0, of_bare_loop: 0.4 };

/// One run.
#[derive(Debug, Serialize)]
pub struct Report {
    run: &'static str,
    in_flight: usize,
    events: u64,
    seed: u64,
    figures: Vec<Figure>,
}

/// One figure.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    unit: &'static str,
    value: f64,
    target: Option<Target>,
    /// Whether the target is met, if there is one.
    ok: Option<bool>,
}

/// What it should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(target) => value >= target,
            Self::AtMost(target) => value <= target,
        }
    }
}

/// All figures of a run; `bare` is in records a second.
pub fn report(run: &Run, backlog: &Backlog, bare: Option<f64>, paced: &Added, settings: &Settings) -> Report {
    use Target::{AtLeast, AtMost};
    let (targets, worked, added) = (run.scenario.targets, &backlog.worked, &paced.millis[..]);
    let limits = if settings.ledger.enabled { WITH_LEDGER } else { WITHOUT_LEDGER };
    let seconds = backlog.makespan.as_secs_f64();
    let burst_ms = settings.pipeline.burst_interval.as_secs_f64() * 1_000.0;
    let cpu = worked.cpu_seconds * 1_000.0 / backlog.events as f64;
    let memory = MAX_MEMORY.iter().find(|(in_flight, _)| run.in_flight <= *in_flight).map(|(_, most)| AtMost(*most));
    let most = |of: fn(&Worked) -> f64| of(worked).max(of(&paced.worked));
    let most_calls = most(|worked| worked.most_calls as f64);
    let peak_memory = most(|worked| worked.peak_rss.unwrap_or_default() as f64 / 1e6);
    let longest_metadata = most(|worked| worked.longest_metadata as f64);
    let metadata_max = settings.pipeline.metadata_max_chars as f64;
    let of_little = backlog.little.map(|little| backlog.steady_rate / little);
    let of = |ideal: Option<Duration>| ideal.map(|ideal| ideal.as_secs_f64() / seconds);
    let figures = [
        figure("first to last", "s", Some(seconds), None),
        figure("steady rate", "events/s", Some(backlog.steady_rate), targets.rate.map(AtLeast)),
        figure("bare loop", "events/s", bare, None),
        figure(
            "steady rate / bare loop",
            "",
            bare.map(|bare| backlog.steady_rate / bare),
            Some(AtLeast(limits.of_bare_loop)),
        ),
        figure("steady rate / Little's law", "", of_little, targets.of_little.map(AtLeast)),
        figure("perfect scheduler / first to last", "", of(backlog.perfect), targets.of_perfect.map(AtLeast)),
        figure("shortest possible / first to last", "", of(backlog.shortest), None),
        figure("drawn latency, mean", "ms", backlog.little.map(|_| backlog.drawn_mean * 1_000.0), None),
        figure("call as it was, mean", "ms", (worked.calls > 0).then_some(worked.call_mean * 1_000.0), None),
        figure("added latency, p50", "ms", percentile(added, 0.50), Some(AtMost(burst_ms))),
        figure(
            "added latency, p99",
            "ms",
            percentile(added, 0.99),
            Some(AtMost(burst_ms + limits.p99_beyond_burst_ms)),
        ),
        figure("added latency, worst", "ms", percentile(added, 1.0), None),
        figure("most calls at once", "", (most_calls > 0.0).then_some(most_calls), None),
        figure("longest metadata seen", "chars", Some(longest_metadata), Some(AtMost(metadata_max))),
        figure("peak memory", "MB", (peak_memory > 0.0).then_some(peak_memory), memory),
        figure("CPU per 1,000 events", "s", Some(cpu), targets.cpu.map(AtMost)),
    ];
    Report {
        run: run.scenario.name,
        in_flight: run.in_flight,
        events: backlog.events,
        seed: run.seed,
        figures: figures.into_iter().flatten().collect(),
    }
}

fn figure(name: &'static str, unit: &'static str, value: Option<f64>, target: Option<Target>) -> Option<Figure> {
    value.map(|value| Figure { name, unit, value, target, ok: target.map(|target| target.is_met(value)) })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} events, {} in flight, seed {}", self.run, self.events, self.in_flight, self.seed)?;
        for Figure { name, unit, value, target, ok } in &self.figures {
            write!(f, "  {name:<34} {:>10} {unit:<9}", shown(*value))?;
            match target {
                Some(Target::AtLeast(target)) => write!(f, " >= {:<7}", shown(*target))?,
                Some(Target::AtMost(target)) => write!(f, " <= {:<7}", shown(*target))?,
                None => {}
            }
            match ok {
                Some(true) => writeln!(f, " ok")?,
                Some(false) => writeln!(f, " short")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// Three digits are all that a measurement is worth.
fn shown(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 2.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_by_its_target_on_the_right_side() {
        let judged = |value, target| figure("", "", Some(value), Some(target)).expect("a value").ok;
        assert_eq!(judged(0.97, Target::AtLeast(0.97)), Some(true));
        assert_eq!(judged(0.96, Target::AtLeast(0.97)), Some(false));
        assert_eq!(judged(60.0, Target::AtMost(60.0)), Some(true));
        assert_eq!(judged(61.0, Target::AtMost(60.0)), Some(false));
    }
}
