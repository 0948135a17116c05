//! The smallest and largest value of every number and duration, in one table each.
//!
//! Everything that is bounded by a setting is only bounded if the setting is. Upper ends are where a value stops being
//! a choice and becomes a slip of the finger; durations end at ten years, far below where adding them to a clock
//! overflows.

use std::time::Duration;

use super::Settings;
use super::layers::KeyPath;
use super::models::{Limits, Model};
use super::problem::Violation;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
const GIBIBYTE: u64 = 1 << 30;

/// Every number and duration out of its range.
#[must_use]
pub fn check(settings: &Settings) -> Vec<Violation> {
    let mut broken = Vec::new();
    for (key, value, min, max) in numbers(settings) {
        if !(min..=max).contains(&value) {
            broken.push(Violation::new(&[key], format!("must be from {min} to {max}")));
        }
    }
    for (key, value, min, max) in durations(settings) {
        if !(min..=max).contains(&value) {
            broken.push(outside(KeyPath::dotted(key), min, max));
        }
    }
    for (name, model) in &settings.models {
        of_model(&KeyPath::dotted("models").join(name), model, &mut broken);
    }
    broken
}

fn outside(key: KeyPath, min: Duration, max: Duration) -> Violation {
    let text = |duration| humantime_serde::re::humantime::format_duration(duration).to_string();
    Violation { keys: vec![key], message: format!("must be from {} to {}", text(min), text(max)) }
}

fn numbers(settings: &Settings) -> Vec<(&'static str, u64, u64, u64)> {
    let (log, kafka) = (&settings.log.embedded, &settings.log.kafka);
    let (ledger, pipeline) = (&settings.ledger, &settings.pipeline);
    let (retry, breaker) = (&settings.triage.retry, &settings.triage.breaker);
    let size = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    vec![
        ("log.embedded.partitions", log.partitions.into(), 1, 1_024),
        ("log.embedded.batch_max_records", size(log.batch_max_records), 1, 100_000),
        ("log.embedded.batch_max_bytes", size(log.batch_max_bytes), 1_024, GIBIBYTE),
        ("log.kafka.read_ahead_records", size(kafka.read_ahead_records), 1, 1_000_000),
        ("log.kafka.read_ahead_bytes", size(kafka.read_ahead_bytes), 1_024, GIBIBYTE),
        ("log.kafka.batch_max_records", size(kafka.batch_max_records), 1, 100_000),
        ("log.kafka.batch_max_bytes", size(kafka.batch_max_bytes), 1_024, GIBIBYTE),
        ("log.embedded.max_message_bytes", size(log.max_message_bytes), 65_536, GIBIBYTE / 2),
        ("log.kafka.max_message_bytes", size(kafka.max_message_bytes), 65_536, GIBIBYTE / 2),
        ("log.kafka.partitions", kafka.partitions.into(), 1, 1_024),
        ("log.kafka.replication_factor", kafka.replication_factor.into(), 1, 100),
        ("schemas.max_payload_bytes", size(settings.schemas.max_payload_bytes), 1_024, GIBIBYTE / 8),
        ("schemas.registry.max_body_bytes", size(settings.schemas.registry.max_body_bytes), 1_024, GIBIBYTE / 8),
        ("schemas.registry.max_schemas", size(settings.schemas.registry.max_schemas), 16, 100_000),
        ("ledger.retention_batch", ledger.retention_batch.into(), 1, 100_000),
        ("ledger.batch_max_entries", size(ledger.batch_max_entries), 1, 10_000),
        ("ledger.postgres.max_connections", ledger.postgres.max_connections.into(), 3, 1_000),
        ("pipeline.max_in_flight", size(pipeline.max_in_flight), 1, 100_000),
        ("pipeline.max_on_road", size(pipeline.max_on_road), 1, 1_000_000),
        ("pipeline.max_on_road_bytes", size(pipeline.max_on_road_bytes), 1 << 20, 64 * GIBIBYTE),
        ("pipeline.max_waiting_per_tenant", size(pipeline.max_waiting_per_tenant), 1, 1_000_000),
        ("pipeline.max_prepared", size(pipeline.max_prepared), 0, 100_000),
        ("pipeline.max_over_limits", size(pipeline.max_over_limits), 1, 1_000_000),
        // One at least waits in memory: it is the one that finds out that the provider is well again.
        ("pipeline.max_held", size(pipeline.max_held), 1, 1_000_000),
        ("pipeline.burst_max_records", size(pipeline.burst_max_records), 1, 100_000),
        ("pipeline.burst_max_bytes", size(pipeline.burst_max_bytes), 1 << 16, GIBIBYTE),
        ("pipeline.metadata_max_chars", size(pipeline.metadata_max_chars), 256, 4_096),
        ("pipeline.metadata_pause_percent", pipeline.metadata_pause_percent.into(), 10, 95),
        ("pipeline.log_queue", size(pipeline.log_queue), 1, 65_536),
        ("triage.max_prompt_chars", size(settings.triage.max_prompt_chars), 200, 200_000),
        ("triage.retry.max_attempts", retry.max_attempts.into(), 1, 10),
        ("triage.retry.budget_percent", retry.budget_percent.into(), 0, 100),
        ("triage.breaker.consecutive_failures", breaker.consecutive_failures.into(), 1, 10_000),
        ("triage.breaker.failure_percent", breaker.failure_percent.into(), 1, 100),
        ("triage.breaker.min_calls", breaker.min_calls.into(), 1, 100_000),
        ("triage.breaker.probes", breaker.probes.into(), 1, 100),
        ("telemetry.log_queue", size(settings.telemetry.log_queue), 100, 1_000_000),
        ("calibration.min_reviews", settings.calibration.min_reviews.into(), 30, 1_000_000),
        ("secrets.min_length", size(settings.secrets.min_length), 0, 1_024),
    ]
}

fn durations(settings: &Settings) -> Vec<(&'static str, Duration, Duration, Duration)> {
    let (log, kafka) = (&settings.log.embedded, &settings.log.kafka);
    let (ledger, pipeline) = (&settings.ledger, &settings.pipeline);
    let registry = &settings.schemas.registry;
    let (postgres, retry, breaker) = (&ledger.postgres, &settings.triage.retry, &settings.triage.breaker);
    vec![
        ("log.embedded.poll_interval", log.poll_interval, MILLISECOND, 10 * SECOND),
        ("log.embedded.retention", log.retention, SECOND, YEARS),
        ("log.kafka.start_patience", kafka.start_patience, Duration::ZERO, 24 * HOUR),
        ("log.kafka.session_timeout", kafka.session_timeout, SECOND, HOUR),
        ("log.kafka.heartbeat_interval", kafka.heartbeat_interval, 10 * MILLISECOND, HOUR),
        ("log.kafka.max_poll_interval", kafka.max_poll_interval, SECOND, 24 * HOUR),
        ("log.kafka.transaction_timeout", kafka.transaction_timeout, SECOND, HOUR / 4),
        ("log.kafka.request_timeout", kafka.request_timeout, 100 * MILLISECOND, HOUR / 4),
        ("log.kafka.revoke_deadline", kafka.revoke_deadline, MILLISECOND, HOUR / 60),
        ("log.kafka.fence_after", kafka.fence_after, 100 * MILLISECOND, HOUR / 60),
        ("log.kafka.retention", kafka.retention, SECOND, YEARS),
        ("log.kafka.security.oauth.timeout", kafka.security.oauth.timeout, 100 * MILLISECOND, HOUR / 60),
        ("log.embedded.retention_interval", log.retention_interval, SECOND, 24 * HOUR),
        ("log.embedded.busy_timeout", log.busy_timeout, MILLISECOND, 60 * SECOND),
        ("ledger.start_patience", ledger.start_patience, Duration::ZERO, 24 * HOUR),
        ("schemas.registry.connect_timeout", registry.connect_timeout, MILLISECOND, 60 * SECOND),
        ("schemas.registry.request_timeout", registry.request_timeout, MILLISECOND, HOUR / 12),
        ("schemas.registry.absent_for", registry.absent_for, SECOND, HOUR),
        ("schemas.registry.retry.base", registry.retry.base, 10 * MILLISECOND, HOUR / 60),
        ("schemas.registry.retry.cap", registry.retry.cap, 10 * MILLISECOND, HOUR / 6),
        ("ledger.window", ledger.window, SECOND, YEARS),
        ("ledger.rejected_window", ledger.rejected_window, SECOND, YEARS),
        ("ledger.decisions_window", ledger.decisions_window, SECOND, YEARS),
        ("ledger.retention_interval", ledger.retention_interval, SECOND, 24 * HOUR),
        ("ledger.slow_warn", ledger.slow_warn, MILLISECOND, HOUR),
        ("ledger.slow_error", ledger.slow_error, MILLISECOND, HOUR),
        ("ledger.busy_timeout", ledger.busy_timeout, MILLISECOND, 60 * SECOND),
        ("ledger.postgres.acquire_timeout", postgres.acquire_timeout, MILLISECOND, 60 * SECOND),
        ("ledger.postgres.statement_timeout", postgres.statement_timeout, MILLISECOND, HOUR),
        ("ledger.postgres.lock_timeout", postgres.lock_timeout, MILLISECOND, HOUR),
        ("ledger.postgres.idle_in_transaction_timeout", postgres.idle_in_transaction_timeout, MILLISECOND, HOUR),
        ("ledger.postgres.leak_after", postgres.leak_after, MILLISECOND, HOUR),
        ("ledger.postgres.heartbeat_interval", postgres.heartbeat_interval, 10 * MILLISECOND, 60 * SECOND),
        ("ledger.postgres.heartbeat_stale", postgres.heartbeat_stale, 30 * MILLISECOND, HOUR),
        ("limits.trip_interval", settings.limits.trip_interval, SECOND, 10 * SECOND),
        ("limits.lease", settings.limits.lease, SECOND, HOUR / 60),
        ("limits.patience", settings.limits.patience, 100 * MILLISECOND, 60 * SECOND),
        ("pipeline.crowded_after", pipeline.crowded_after, 100 * MILLISECOND, HOUR),
        ("pipeline.defer_after", pipeline.defer_after, 100 * MILLISECOND, HOUR),
        ("ledger.batch_interval", settings.ledger.batch_interval, Duration::ZERO, SECOND),
        ("pipeline.burst_interval", pipeline.burst_interval, MILLISECOND, 5 * SECOND),
        ("pipeline.retry_pause", pipeline.retry_pause, MILLISECOND, 60 * SECOND),
        ("pipeline.away_limit", pipeline.away_limit, 10 * MILLISECOND, 60 * SECOND),
        ("pipeline.away_hold", pipeline.away_hold, MILLISECOND, 60 * SECOND),
        ("pipeline.drain_deadline", pipeline.drain_deadline, Duration::ZERO, HOUR),
        ("tenants.poll_interval", settings.tenants.poll_interval, 100 * MILLISECOND, HOUR / 60),
        ("triage.retry.base", retry.base, MILLISECOND, HOUR),
        ("triage.retry.cap", retry.cap, MILLISECOND, HOUR),
        ("triage.retry.max_retry_after", retry.max_retry_after, Duration::ZERO, HOUR),
        ("triage.breaker.window", breaker.window, SECOND, HOUR),
        ("triage.breaker.open_for", breaker.open_for, MILLISECOND, 24 * HOUR),
    ]
}

fn limits_of_model(at: &KeyPath, limits: &Limits, broken: &mut Vec<Violation>) {
    let concurrency = at.join("concurrency");
    let numbers = [
        (at.join("requests_per_minute"), limits.requests_per_minute, 10_000_000),
        (at.join("tokens_per_minute"), limits.tokens_per_minute, 4_000_000_000),
        (concurrency.join("min"), Some(limits.concurrency.min), 100_000),
        (concurrency.join("initial"), Some(limits.concurrency.initial), 100_000),
        (concurrency.join("max"), Some(limits.concurrency.max), 100_000),
    ];
    for (key, value, max) in numbers {
        if value.is_some_and(|value| !(1..=max).contains(&value)) {
            broken.push(Violation { keys: vec![key], message: format!("must be from 1 to {max}") });
        }
    }
}

fn of_model(at: &KeyPath, model: &Model, broken: &mut Vec<Violation>) {
    match model {
        Model::Local(local) => {
            if !(0.0..=1.0).contains(&local.min_known_share) {
                let keys = vec![at.join("min_known_share")];
                broken.push(Violation { keys, message: "must be from 0 to 1".to_owned() });
            }
        }
        Model::Openai(model) => {
            let timeouts = at.join("timeouts");
            let limits = [
                ("connect", model.timeouts.connect),
                ("first_byte", model.timeouts.first_byte),
                ("total", model.timeouts.total),
            ];
            for (name, value) in limits {
                if !(MILLISECOND..=HOUR).contains(&value) {
                    broken.push(outside(timeouts.join(name), MILLISECOND, HOUR));
                }
            }
            let mut number = |name: &str, fits: bool, range: &str| {
                if !fits {
                    broken.push(Violation { keys: vec![at.join(name)], message: format!("must be from {range}") });
                }
            };
            number("max_body_bytes", (1_024..=1 << 30).contains(&model.max_body_bytes), "1024 to 1073741824");
            let tokens = model.max_completion_tokens;
            number("max_completion_tokens", (16..=100_000).contains(&tokens), "16 to 100000");
            limits_of_model(&at.join("limits"), &model.limits, broken);
        }
    }
}
