//! Every metric there is, with its unit and its help: alerts, dashboards and the README use these names.
//!
//! Counters end in `_total`; times are seconds; what is bounded by a setting has its bound beside it as `_max`.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counted in buckets.
    Histogram,
}

macro_rules! metric_names {
    ($($kind:ident $name:ident = $text:literal, $unit:ident, $help:literal;)*) => {
        $(#[doc = $help] pub const $name: &str = $text;)*

        /// All of them: kind, name, unit, help.
        pub const ALL: &[(Kind, &str, Unit, &str)] = &[$((Kind::$kind, $name, Unit::$unit, $help),)*];
    };
}

metric_names! {
    Counter RECORDS_READ = "gatekeeper_records_read_total", Count, "Records read, by topic.";
    Counter RECORDS_READ_BYTES = "gatekeeper_records_read_bytes_total", Bytes, "Bytes of values read, by topic.";
    Counter FOREIGN_KEYS = "gatekeeper_foreign_keys_total", Count, "Events whose record's key is not tenant|ticket: their order within the ticket is not promised.";
    Counter EVENTS_SETTLED = "gatekeeper_events_settled_total", Count, "Records that reached their terminal, by status and reason code; status deferred: times one was put off, which is no terminal.";
    Counter TENANT_EVENTS_SETTLED = "gatekeeper_tenant_events_settled_total", Count, "Records that reached their terminal, by tenant and status; status deferred: times one was put off, which is no terminal.";
    Histogram EVENT_LATENCY = "gatekeeper_event_latency_seconds", Seconds, "From a record's timestamp to its terminal, by status; status deferred: to the moment at which it was put off.";
    Counter ANSWERS_REUSED = "gatekeeper_answers_reused_total", Count, "Saved answers used again instead of a paid call.";
    Counter CALLS_REATTACHED = "gatekeeper_calls_reattached_total", Count, "Running calls picked up again when their partition came back.";
    Counter DROPPED_UNSETTLED = "gatekeeper_records_dropped_unsettled_total", Count, "Records dropped without a terminal: a defect; the frontier holds until a restart.";

    Counter HUMAN_FEEDBACK_SETTLED = "gatekeeper_human_feedback_settled_total", Count, "Records of human feedback that reached their end, by end (reviewed, rejected, duplicate, read_before) and reason code.";
    Counter BETTER_DECISIONS = "gatekeeper_better_decisions_total", Count, "Better decisions after fallbacks, by how far they came (wanted, later, given, dropped) and why not further.";
    Counter REVIEWS = "gatekeeper_reviews_total", Count, "Reviews made, by whether their decision was found (by_id, by_ticket, orphan).";
    Counter FIELDS_JUDGED = "gatekeeper_fields_judged_total", Count, "Predicted fields that people judged, by tenant, field and outcome (agreed, overridden; overridden_by_hand: an agent changed it without a word).";
    Counter JUDGED_CONFIDENCE = "gatekeeper_judged_confidence_percent_total", Count, "Confidence of the fields that people agreed with or overrode, in percent, added up, by tenant and field: how far its mean lies above the share of those that were agreed with is how much too sure decisions are.";

    Counter BURSTS = "gatekeeper_bursts_total", Count, "Bursts, by outcome: committed, refused, not_committed.";
    Counter BURST_RESULTS = "gatekeeper_burst_results_total", Count, "Results in committed bursts.";
    Histogram BURST_DURATION = "gatekeeper_burst_duration_seconds", Seconds, "From the errand to the confirmed commit.";
    Counter OPS_EVENTS_DROPPED = "gatekeeper_ops_events_dropped_total", Count, "Records for operators that were dropped because too many waited for a burst; the log has what they said.";
    Gauge FRONTIER_WIDTH = "gatekeeper_frontier_width", Count, "Offsets from the lowest unfinished record to the last one that was read, by partition; 0: all of them are finished.";
    Gauge FRONTIER_METADATA = "gatekeeper_frontier_metadata_chars", Count, "Length of the commit's metadata, by partition.";
    Gauge FRONTIER_METADATA_MAX = "gatekeeper_frontier_metadata_chars_max", Count, "Most it may have (pipeline.metadata_max_chars).";

    Gauge READ_AHEAD = "gatekeeper_read_ahead_records", Count, "Records read from the cluster that the road has no room for yet.";
    Gauge READ_AHEAD_MAX = "gatekeeper_read_ahead_records_max", Count, "Most there may be (log.kafka.read_ahead_records, for each partition).";
    Counter KAFKA_TROUBLES = "gatekeeper_kafka_troubles_total", Count, "Errors that clients of the cluster met, by client and librdkafka's code.";
    Counter KAFKA_REFUSALS = "gatekeeper_kafka_refusals_total", Count, "Times the cluster did not let a client in, by client and reason.";
    Counter KAFKA_TOKENS = "gatekeeper_kafka_tokens_total", Count, "Tokens asked for, by outcome: renewed, failed.";
    Gauge KAFKA_TOKEN_ENDS = "gatekeeper_kafka_token_ends_timestamp_seconds", Seconds, "When the token for the cluster ends, since the epoch.";
    Counter PRODUCERS_REPLACED = "gatekeeper_producers_replaced_total", Count, "Producers dropped because they saw trouble; fenced: by another process.";
    Counter COMMITS_LOOKED_UP = "gatekeeper_commits_looked_up_total", Count, "Commits without an answer whose outcome was looked up, by whether they stand.";
    Counter ORPHANS_FENCED = "gatekeeper_orphans_fenced_total", Count, "Open transactions of dead writers that were ended.";

    Counter LEDGER_BATCHES = "gatekeeper_ledger_batches_total", Count, "Ledger batches, by outcome: committed, failed.";
    Counter LEDGER_ENTRIES = "gatekeeper_ledger_entries_total", Count, "Entries in committed ledger batches.";
    Histogram LEDGER_DURATION = "gatekeeper_ledger_batch_duration_seconds", Seconds, "One ledger batch, from asking to committed.";
    Gauge LEDGER_HOLDING = "gatekeeper_ledger_holding_seconds", Seconds, "For how long the road has been holding because the ledger is away; 0: it is there.";

    Counter RETENTION_FAILURES = "gatekeeper_ledger_retention_failures_total", Count, "Times old rows of the ledger could not be dropped, by what: rows, decisions.";
    Histogram LEDGER_STATEMENT_DURATION = "gatekeeper_ledger_statement_duration_seconds", Seconds, "One statement of the ledger, by statement.";
    Counter LEDGER_SLOW_STATEMENTS = "gatekeeper_ledger_slow_statements_total", Count, "Statements slower than ledger.slow_warn (mark warn) or ledger.slow_error (mark error), by statement and mark.";
    Gauge LEDGER_POOL_USED = "gatekeeper_ledger_pool_used", Count, "Connections to the ledger that are in use.";
    Gauge LEDGER_POOL_MAX = "gatekeeper_ledger_pool_max", Count, "Most there may be (ledger.postgres.max_connections).";
    Counter LEDGER_POOL_MARKS = "gatekeeper_ledger_pool_marks_total", Count, "Times the use of the ledger's pool rose past a mark, by mark in percent (70, 90).";
    Counter LEDGER_POOL_EXHAUSTED = "gatekeeper_ledger_pool_exhausted_total", Count, "Times no connection to the ledger became free within ledger.postgres.acquire_timeout.";
    Counter LEDGER_LEAKS_SUSPECTED = "gatekeeper_ledger_leaks_suspected_total", Count, "Connections to the ledger held longer than ledger.postgres.leak_after.";

    Counter LIMIT_SHADOWED = "gatekeeper_limit_shadowed_total", Count, "Events that a limit in shadow mode would have made wait, by tenant and how: wait, defer.";
    Gauge BUDGET_SPENT = "gatekeeper_budget_spent", Count, "Money of the day that is spent or spoken for, by tenant with a budget, in its currency, as this instance last saw it; NaN: it has no budget any more.";
    Gauge BUDGET_LEFT = "gatekeeper_budget_left", Count, "Money of the day that is left, by tenant with a budget, in its currency, as this instance last saw it; NaN: it has no budget any more.";
    Counter BUDGETS_EXHAUSTED = "gatekeeper_budgets_exhausted_total", Count, "Budgets that had no room for a call any more, by tenant.";
    Counter BUDGET_SHADOWED = "gatekeeper_budget_shadowed_total", Count, "Calls beyond a budget that is only watched, by tenant.";
    Counter LIMIT_TRIPS = "gatekeeper_limit_trips_total", Count, "Questions to the database for shares of tenants' limits, by outcome: answered, failed.";
    Histogram LIMIT_TRIP_DURATION = "gatekeeper_limit_trip_duration_seconds", Seconds, "One such question.";
    Gauge LIMIT_ALONE = "gatekeeper_limit_alone", Count, "1 while such questions are not answered: this instance goes on with its last share.";

    Counter SCHEMA_LOOKUPS = "gatekeeper_schema_lookups_total", Count, "Questions to the schema registry about an id, by outcome.";
    Histogram SCHEMA_LOOKUP_DURATION = "gatekeeper_schema_lookup_duration_seconds", Seconds, "One question to the schema registry about an id.";
    Counter SCHEMA_STARTS_HELD = "gatekeeper_schema_starts_held_total", Count, "Times the start went on waiting for the schema registry.";
    Counter PARTITIONS_HELD = "gatekeeper_partitions_held_total", Count, "Times a record with an id that is not known yet held its partition.";
    Histogram PARTITION_HOLD_DURATION = "gatekeeper_partition_hold_duration_seconds", Seconds, "For how long a record waited for its schema, and its partition with it.";

    Counter MODEL_CALLS = "gatekeeper_model_calls_total", Count, "Attempts at models, by model and outcome.";
    Histogram MODEL_CALL_DURATION = "gatekeeper_model_call_duration_seconds", Seconds, "One attempt, by model and outcome.";
    Counter MODEL_TOKENS = "gatekeeper_model_tokens_total", Count, "Tokens billed, by model and direction (input, output).";
    Counter MODEL_COST = "gatekeeper_model_cost_micros_total", Count, "Cost in millionths of the tenant's currency, by model and currency.";
    Counter TENANT_TOKENS = "gatekeeper_tenant_tokens_total", Count, "Tokens billed, by tenant and direction (input, output).";
    Counter TENANT_COST = "gatekeeper_tenant_cost_micros_total", Count, "Cost in millionths of the tenant's currency, by tenant and currency.";
    Gauge MODEL_RUNNING = "gatekeeper_model_running", Count, "Calls that run, by model.";
    Gauge MODEL_CONCURRENCY = "gatekeeper_model_concurrency", Count, "Calls that may run at once as the provider takes it now, by model.";
    Gauge MODEL_CONCURRENCY_MAX = "gatekeeper_model_concurrency_max", Count, "Most that ever may (models.*.limits.concurrency.max), by model.";
    Gauge MODEL_PAUSED = "gatekeeper_model_paused_seconds", Seconds, "For how much longer nothing is asked because the provider wants it so, by model; 0: it is asked.";
    Gauge MODEL_REQUESTS_LEFT = "gatekeeper_model_requests_left", Count, "Requests left of models.*.limits.requests_per_minute, by model.";
    Gauge MODEL_TOKENS_LEFT = "gatekeeper_model_tokens_left", Count, "Tokens left of models.*.limits.tokens_per_minute, negative in debt, by model.";
    Counter MODEL_SLOWED = "gatekeeper_model_slowed_total", Count, "Times fewer calls ran at once from then on, by model and why: rate_limited, timeouts, latency.";
    Counter MODEL_PAUSES = "gatekeeper_model_pauses_total", Count, "Times a provider wanted to be left alone for a while, by model.";
    Gauge BREAKER_STATE = "gatekeeper_breaker_state", Count, "0 closed, 1 half open, 2 open, 3 stopped until somebody mends it, by model.";
    Counter BREAKER_CHANGES = "gatekeeper_breaker_changes_total", Count, "Changes of a breaker, by model and the state it changed to.";

    Gauge CHANGES_REVISION = "gatekeeper_changes_revision", Count, "Revision of the newest change by an operator that this instance has taken.";
    Counter LOG_LINES_DROPPED = "gatekeeper_log_lines_dropped_total", Count, "Log lines that found no room, because whoever reads them is slower.";
    Counter CHANGES_UNREAD = "gatekeeper_changes_unread_total", Count, "Times what operators changed could not be read; what was known went on.";
    Counter TENANT_CHANGES = "gatekeeper_tenant_changes_total", Count, "Tenants that had another policy from then on.";
    Counter TENANTS_REFUSED = "gatekeeper_tenants_refused_total", Count, "Times policies with mistakes were not taken, by where they came from: database, files.";

    Counter FLAG_EVALUATIONS = "gatekeeper_flag_evaluations_total", Count, "Flags read for answers, by flag, variant (on, off) and reason.";
    Gauge FLAG_SHARE = "gatekeeper_flag_share_percent", Count, "Share of tickets for which a flag is on, in percent, by flag and whose: everybody (without a rule of their own), tenant:ID.";
    Counter FLAG_CHANGES = "gatekeeper_flag_changes_total", Count, "Times a flag was on for another share of tickets from then on, by flag.";
    Counter FLAGS_REFUSED = "gatekeeper_flags_refused_total", Count, "Rules for flags in the database that could not be taken.";
    Counter LOCAL_FIRST = "gatekeeper_local_first_total", Count, "Tickets at which the local model looked first, by tenant and outcome: saved (no remote call was made), in_doubt.";

    Counter READING_PAUSES = "gatekeeper_reading_pauses_total", Count, "Times reading was paused, by reason.";
    Gauge PARTITIONS_PAUSED = "gatekeeper_partitions_paused", Count, "Partitions whose reading is paused, by reason.";
    Gauge PARTITIONS_OWNED = "gatekeeper_partitions_owned", Count, "Partitions this instance owns.";
    Gauge PARTITIONS_ADDED = "gatekeeper_partitions_added", Count, "Partitions that were added to a topic and wait until the old ones are worked off.";
    Gauge PARTITIONS_UNKNOWN = "gatekeeper_partitions_unknown", Count, "Partitions of this instance that are not read because the cluster does not say where they stand; the log says why.";
    Gauge PARTITIONS_STOPPED = "gatekeeper_partitions_stopped", Count, "Partitions of this instance that are not read until a person has looked; the log says why.";
    Counter PARTITION_CHANGES = "gatekeeper_partition_changes_total", Count, "Partitions that were assigned, revoked, lost or stopped.";
    Counter AWAY = "gatekeeper_away_total", Count, "Times the process, or its reading of the log, stood still for longer than pipeline.away_limit.";
    Histogram AWAY_DURATION = "gatekeeper_away_duration_seconds", Seconds, "For how long nobody listened to the log.";

    Gauge ON_ROAD = "gatekeeper_on_road", Count, "Records on the road, from read to committed.";
    Gauge ON_ROAD_MAX = "gatekeeper_on_road_max", Count, "Most there may be (pipeline.max_on_road).";
    Gauge ON_ROAD_BYTES = "gatekeeper_on_road_bytes", Bytes, "Bytes of those, as they were read.";
    Gauge ON_ROAD_BYTES_MAX = "gatekeeper_on_road_bytes_max", Bytes, "Most there may be before reading stops (pipeline.max_on_road_bytes).";
    Gauge IN_FLIGHT = "gatekeeper_in_flight", Count, "Calls that run, and answers that are being saved.";
    Gauge IN_FLIGHT_MAX = "gatekeeper_in_flight_max", Count, "Most there may be (pipeline.max_in_flight).";
    Gauge PREPARED = "gatekeeper_prepared", Count, "Events in triage without a place among those: made ready, or waiting for their next attempt.";
    Gauge PREPARED_MAX = "gatekeeper_prepared_max", Count, "Most there may ever be (pipeline.max_prepared, and pipeline.max_in_flight where no call has its place).";
    Gauge WAITING = "gatekeeper_waiting", Count, "Events waiting for admission, in the fullest queue of a tenant.";
    Gauge WAITING_MAX = "gatekeeper_waiting_max", Count, "Most one tenant may have waiting (pipeline.max_waiting_per_tenant).";
    Gauge HELD = "gatekeeper_held", Count, "Events waiting in memory for a model whose breaker is open.";
    Gauge HELD_MAX = "gatekeeper_held_max", Count, "The most of them before what comes is put off (pipeline.max_held).";
    Gauge OVER_LIMITS = "gatekeeper_over_limits", Count, "Events waiting in memory for their tenants' limits.";
    Gauge OVER_LIMITS_MAX = "gatekeeper_over_limits_max", Count, "The most of them before what comes is put off (pipeline.max_over_limits).";
    Gauge UNPUBLISHED = "gatekeeper_unpublished", Count, "Results in memory that no burst has committed yet.";
    Gauge UNPUBLISHED_MAX = "gatekeeper_unpublished_max", Count, "Most there may be: every record on the road (pipeline.max_on_road).";

    Gauge DEPENDENCIES_AWAITED = "gatekeeper_dependency_awaited", Count, "1 while something the process stands on is waited for at the start, by dependency.";
    Gauge DRAINING = "gatekeeper_draining", Count, "1 while the process ends: running calls finish, nothing new begins.";
}

/// Tell the installed recorder units and help of all of them.
pub fn describe_all() {
    for &(kind, name, unit, help) in ALL {
        match kind {
            Kind::Counter => describe_counter!(name, unit, help),
            Kind::Gauge => describe_gauge!(name, unit, help),
            Kind::Histogram => describe_histogram!(name, unit, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_that_promtool_checks() {
        let mut seen = std::collections::BTreeSet::new();
        for &(kind, name, unit, help) in ALL {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(unit == Unit::Seconds, name.ends_with("_seconds"), "{name}");
            assert!(kind != Kind::Histogram || name.ends_with("_seconds"), "{name} has no buckets (recorder.rs)");
            assert!(help.ends_with('.'), "{name}");
        }
    }
}
