//! How long simulated calls take: drawn from a seed by event, so that it does not matter in which order they are asked
//! for, and the run, its ideal and the paced run's arithmetic all speak of the same draws.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal};

/// Standard deviations between the median and the 99th percentile of a normal distribution.
const P99_DEVIATIONS: f64 = 2.326_347_874_040_841;

/// A distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Latency {
    /// None at all.
    Instant,
    /// A long tail.
    Lognormal {
        /// Median, in seconds.
        p50: f64,
        /// 99th percentile, in seconds.
        p99: f64,
    },
    /// Mostly fast, sometimes stuck.
    TwoPoint {
        /// Mostly.
        fast: Duration,
        /// Sometimes.
        slow: Duration,
        /// How often, of a thousand.
        slow_per_thousand: u32,
    },
}

impl Latency {
    /// Of this event's call.
    pub fn draw(self, seed: u64, event: u64) -> Duration {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        chance.set_stream(event);
        match self {
            Self::Instant => Duration::ZERO,
            Self::Lognormal { p50, p99 } => {
                let seconds = LogNormal::new(p50.ln(), deviation(p50, p99)).expect("percentiles in their order");
                Duration::from_secs_f64(seconds.sample(&mut chance))
            }
            Self::TwoPoint { fast, slow, slow_per_thousand } => {
                if chance.random_range(0..1_000) < slow_per_thousand {
                    slow
                } else {
                    fast
                }
            }
        }
    }

    /// In seconds.
    pub fn mean(self) -> f64 {
        match self {
            Self::Instant => 0.0,
            Self::Lognormal { p50, p99 } => p50 * (deviation(p50, p99).powi(2) / 2.0).exp(),
            Self::TwoPoint { fast, slow, slow_per_thousand } => {
                let slow_share = f64::from(slow_per_thousand) / 1_000.0;
                slow.as_secs_f64() * slow_share + fast.as_secs_f64() * (1.0 - slow_share)
            }
        }
    }
}

/// Of the logarithms.
fn deviation(p50: f64, p99: f64) -> f64 {
    (p99 / p50).ln() / P99_DEVIATIONS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::bench::ideal::{mean, percentile};

    const LOGNORMAL: Latency = Latency::Lognormal { p50: 0.1, p99: 1.0 };

    #[test]
    fn a_draw_belongs_to_its_event_whatever_was_asked_before() {
        let forwards: Vec<_> = (0..50).map(|event| LOGNORMAL.draw(7, event)).collect();
        let mut backwards: Vec<_> = (0..50).rev().map(|event| LOGNORMAL.draw(7, event)).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        assert_ne!(forwards, (0..50).map(|event| LOGNORMAL.draw(8, event)).collect::<Vec<_>>());
    }

    #[test]
    fn a_lognormal_has_the_median_and_the_percentile_it_was_asked_for() {
        let draws: Vec<_> = (0..50_000).map(|event| LOGNORMAL.draw(1, event)).collect();
        let seconds: Vec<_> = draws.iter().map(Duration::as_secs_f64).collect();
        let near = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.05;
        assert!(near(percentile(&seconds, 0.5).expect("there are some"), 0.1));
        assert!(near(percentile(&seconds, 0.99).expect("there are some"), 1.0));
        assert!(near(mean(&draws), LOGNORMAL.mean()));
    }

    #[test]
    fn one_in_a_hundred_of_two_points_is_slow() {
        let (fast, slow) = (Duration::from_millis(20), Duration::from_secs(4));
        let two = Latency::TwoPoint { fast, slow, slow_per_thousand: 10 };
        let slow = (0..50_000).filter(|event| two.draw(1, *event) == slow).count();
        assert!((400..600).contains(&slow), "{slow}");
        assert!((two.mean() - 0.0598).abs() < 1e-9);
    }
}
