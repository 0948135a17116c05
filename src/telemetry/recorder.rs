//! Where metrics are kept until Prometheus asks for them.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_util::MetricKindMask;

use super::{from_zero, metric_names};

/// Seconds. From a quick commit (1 ms) over a model's p50 (100 ms) to the longest total timeout people set (2 min), and a
/// catch-up after a night (1 h): three a decade where percentiles are looked at.
const SECONDS: [f64; 18] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0, 3_600.0];

/// A histogram that nobody touched for so long is dropped: tenants and models come and go. Counters stay, for one that comes
/// back shows no increase in its first event; tenants, who are the most of their labels, are bounded (`tenant_labels`).
const IDLE: Duration = Duration::from_secs(24 * 3_600);

/// Histograms buffer what they saw until upkeep or a scrape: this bounds the buffer when nobody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The metrics as they stand.
#[derive(Clone)]
pub struct MetricsHandle(PrometheusHandle);

impl MetricsHandle {
    /// As Prometheus reads them.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Sort what histograms saw into their buckets, every few seconds, for ever.
    pub async fn run_upkeep(self) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}

impl std::fmt::Debug for MetricsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetricsHandle")
    }
}

/// Why metrics cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// Another recorder is installed in this process.
    #[error("metrics are recorded already: {0}")]
    Installed(#[from] BuildError),
}

fn builder() -> PrometheusBuilder {
    // The suffix is the unit of every histogram there is (metric_names checks it).
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .expect("the list of buckets is not empty")
        .idle_timeout(MetricKindMask::HISTOGRAM, Some(IDLE))
}

/// Record the metrics of this process from now on.
///
/// # Errors
/// When they are recorded already.
pub fn install() -> Result<MetricsHandle, RecorderError> {
    let handle = builder().install_recorder()?;
    metric_names::describe_all();
    from_zero::begin();
    Ok(MetricsHandle(handle))
}

/// A recorder of one's own, for `metrics::with_local_recorder`: tests read what one passage recorded.
#[must_use]
pub fn local() -> (PrometheusRecorder, MetricsHandle) {
    let recorder = builder().build_recorder();
    let handle = MetricsHandle(recorder.handle());
    metrics::with_local_recorder(&recorder, || {
        metric_names::describe_all();
        from_zero::begin();
    });
    (recorder, handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_our_buckets_and_metrics_their_help() {
        let (recorder, handle) = local();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!(metric_names::BURST_DURATION).record(0.015);
            metrics::counter!(metric_names::AWAY).increment(1);
        });
        let text = handle.render();
        assert!(text.contains("# HELP gatekeeper_burst_duration_seconds From the errand"), "{text}");
        assert!(text.contains("gatekeeper_burst_duration_seconds_bucket{le=\"0.01\"} 0"), "{text}");
        assert!(text.contains("gatekeeper_burst_duration_seconds_bucket{le=\"0.02\"} 1"), "{text}");
        assert!(text.contains("# TYPE gatekeeper_away_total counter"), "{text}");
        assert!(text.contains("\ngatekeeper_away_total 1"), "{text}");
    }
}
