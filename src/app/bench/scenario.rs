//! Which runs there are.

use std::time::Duration;

use super::latency::Latency;
use super::tickets::Draws;
use crate::cli::{BenchArgs, BenchLog};

/// A kind of run.
#[derive(Debug)]
pub struct Scenario {
    /// As `--only` names it.
    pub name: &'static str,
    /// Calls at once, unless the command line says otherwise.
    in_flight: usize,
    /// Not one of those that run when none is named: it needs a minute, and settings that fit it.
    pub only_by_name: bool,
    /// Of the simulated model; `None`: the generic model of this process answers.
    pub latency: Option<Latency>,
    /// What the design promises.
    pub targets: Targets,
}

/// What the design promises of a run, beside what it promises of all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Targets {
    /// Events a second.
    pub rate: Option<f64>,
    /// Steady rate over Little's law.
    pub of_little: Option<f64>,
    /// The perfect scheduler's makespan over ours.
    pub of_perfect: Option<f64>,
    /// CPU seconds per 1,000 events.
    pub cpu: Option<f64>,
}

const NO_TARGETS: Targets = Targets { rate: None, of_little: None, of_perfect: None, cpu: None };

/// Every run, in order.
pub const SCENARIOS: [Scenario; 6] = [
    Scenario {
        name: "instant",
        in_flight: 256,
        only_by_name: false,
        latency: Some(Latency::Instant),
        targets: Targets { rate: Some(2_000.0), ..NO_TARGETS },
    },
    Scenario {
        name: "lognormal",
        in_flight: 256,
        only_by_name: false,
        latency: Some(Latency::Lognormal { p50: 0.1, p99: 1.0 }),
        targets: Targets { of_little: Some(0.97), cpu: Some(0.15), ..NO_TARGETS },
    },
    Scenario {
        name: "two-point",
        in_flight: 64,
        only_by_name: false,
        latency: Some(Latency::TwoPoint {
            fast: Duration::from_millis(20),
            slow: Duration::from_secs(4),
            slow_per_thousand: 10,
        }),
        targets: Targets { of_perfect: Some(0.95), cpu: Some(0.15), ..NO_TARGETS },
    },
    Scenario { name: "local", in_flight: 256, only_by_name: false, latency: None, targets: NO_TARGETS },
    // Thousands of calls at once, and results that lie far apart.
    Scenario {
        name: "long",
        in_flight: 10_000,
        only_by_name: true,
        latency: Some(Latency::Lognormal { p50: 3.0, p99: 10.0 }),
        targets: NO_TARGETS,
    },
    // One in a thousand takes a minute: nobody else may be later for it.
    Scenario {
        name: "stuck",
        in_flight: 1_000,
        only_by_name: true,
        latency: Some(Latency::TwoPoint {
            fast: Duration::from_millis(20),
            slow: Duration::from_secs(60),
            slow_per_thousand: 1,
        }),
        targets: NO_TARGETS,
    },
];

/// Events a second that a run without latency is expected to manage: how many it gets for its seconds.
const EXPECTED_RATE: f64 = 2_000.0;
const EXPECTED_RATE_OF_KAFKA: f64 = 8_000.0;

/// A scenario with the numbers of this command line.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its kind.
    pub scenario: &'static Scenario,
    /// Calls at once.
    pub in_flight: usize,
    /// Seconds of ideal time.
    pub seconds: u64,
    /// Events a second when latency is measured; otherwise half of what the backlog went with.
    pub pace: Option<u32>,
    /// All chance.
    pub seed: u64,
    /// Where events come from.
    pub log: BenchLog,
}

impl Run {
    pub fn new(scenario: &'static Scenario, args: &BenchArgs) -> Self {
        let in_flight = args.in_flight.unwrap_or(scenario.in_flight);
        Self { scenario, in_flight, seconds: args.seconds, pace: args.pace, seed: args.seed, log: args.log }
    }

    /// Whether the log itself is the limit, so that a loop that does nothing else says what there is to be had.
    pub fn is_limited_by_log(&self) -> bool {
        self.log == BenchLog::Kafka && self.scenario.latency == Some(Latency::Instant)
    }

    /// As many as the ideal works off in the run's seconds.
    pub fn events(&self) -> u64 {
        let mean = self.scenario.latency.map_or(0.0, Latency::mean);
        let expected = match self.log {
            BenchLog::Embedded => EXPECTED_RATE,
            BenchLog::Kafka => EXPECTED_RATE_OF_KAFKA,
        };
        let rate = if mean > 0.0 { self.in_flight as f64 / mean } else { expected };
        ((rate * self.seconds as f64) as u64).max(1)
    }

    /// Tickets are twenty times the calls in flight: enough that there is always a ready one, few enough that they wait
    /// for each other.
    pub fn draws(&self) -> Draws {
        Draws { seed: self.seed, latency: self.scenario.latency, tickets: 20 * self.in_flight as u64 }
    }
}
