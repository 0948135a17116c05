//! Every provider fault over a real connection, against the real adapter and the real guard: the class of the error, the
//! reason code, the number of calls, what it does to the breaker, and that all is well again soon after it. The number of
//! calls is the provider's count, not ours.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};

use super::tests::{LONG, SHORT, ask, bench, calls, class, guard, is_well_again, touchy, triage, triage_by};
use crate::domain::reason_code::ReasonCode as Code;
use crate::pipeline::triage::breaker::BreakerState;
use crate::settings::models::Timeouts;

/// What a fault does to the breaker.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Breaker {
    /// It counts towards opening it.
    Counts,
    /// The provider is there: it does not.
    Neutral,
    /// No further call until somebody resets it.
    Stops,
}

/// Behaviour, class of one call, reason code of the triage, calls made for it, effect on the breaker.
fn faults() -> Vec<(Value, &'static str, Option<Code>, usize, Breaker)> {
    use Breaker::{Counts, Neutral, Stops};
    let mode = |mode: &str| json!({"mode": mode});
    let limited = |after: &str| json!({"mode": "rate_limit", "retry_after": after});
    let (error, invalid, filtered) =
        (Some(Code::ProviderError), Some(Code::OutputInvalid), Some(Code::ContentFiltered));
    vec![
        (mode("ok"), "reply", None, 1, Neutral),
        (mode("outage_500"), "server 500 -", error, 3, Counts),
        (mode("outage_503"), "server 503 -", error, 3, Counts),
        (json!({"mode": "outage_503", "retry_after": "30"}), "server 503 30", error, 1, Counts),
        (mode("rate_limit"), "rate limited -", error, 3, Neutral),
        (limited("0"), "rate limited 0", error, 3, Neutral),
        (limited("1"), "rate limited 1", error, 3, Neutral),
        (limited("30"), "rate limited 30", error, 1, Neutral),
        (limited("86400"), "rate limited 86400", error, 1, Neutral),
        (limited("Sun, 06 Nov 1994 08:49:37 GMT"), "rate limited 0", error, 3, Neutral),
        (limited("soon"), "rate limited -", error, 3, Neutral),
        (mode("quota"), "quota", Some(Code::ProviderQuota), 1, Stops),
        (mode("auth"), "auth 401", Some(Code::ProviderAuth), 1, Stops),
        (mode("forbidden"), "auth 403", Some(Code::ProviderAuth), 1, Stops),
        (mode("flagged"), "filtered", filtered, 1, Neutral),
        (mode("firewall"), "request 403", error, 1, Neutral),
        (mode("payment_required"), "quota", Some(Code::ProviderQuota), 1, Stops),
        (json!({"mode": "payment_required", "retry_after": "1"}), "rate limited 1", error, 3, Neutral),
        (mode("not_found"), "request 404", error, 1, Neutral),
        (mode("bad_request"), "request 400", error, 1, Neutral),
        (mode("too_large"), "request 413", error, 1, Neutral),
        (mode("prompt_filter"), "filtered", filtered, 1, Neutral),
        (mode("failed_midway"), "server 502 -", error, 3, Counts),
        (mode("redirect"), "server 302 -", error, 3, Counts),
        (mode("hang"), "timeout first_byte", Some(Code::ProviderTimeout), 3, Counts),
        (mode("slow_body"), "timeout total", Some(Code::ProviderTimeout), 3, Counts),
        (mode("stall_body"), "timeout total", Some(Code::ProviderTimeout), 3, Counts),
        (json!({"latency": {"fixed": {"ms": 600}}}), "timeout total", Some(Code::ProviderTimeout), 3, Counts),
        (mode("reset_body"), "connection", error, 3, Counts),
        (mode("garbage"), "garbled", error, 3, Counts),
        (mode("empty"), "garbled", error, 3, Counts),
        (mode("truncated"), "garbled", error, 3, Counts),
        (mode("bad_utf8"), "garbled", error, 3, Counts),
        (mode("oversize"), "garbled", error, 3, Counts),
        (mode("bomb"), "garbled", error, 3, Counts),
        (mode("wrong_shape"), "reply", invalid, 2, Neutral),
        (mode("extra_field"), "reply", invalid, 2, Neutral),
        (mode("duplicate_key"), "reply", invalid, 2, Neutral),
        (mode("not_a_number"), "reply", invalid, 2, Neutral),
        (mode("huge_number"), "reply", invalid, 2, Neutral),
        (mode("length"), "reply", invalid, 2, Neutral),
        (mode("tool_call"), "reply", invalid, 2, Neutral),
        (mode("refuse"), "refusal", filtered, 1, Neutral),
        (mode("content_filter"), "reply", filtered, 1, Neutral),
        (mode("unknown_label"), "reply", None, 1, Neutral),
        (mode("overconfident"), "reply", None, 1, Neutral),
        (mode("no_usage"), "reply", None, 1, Neutral),
        (mode("negative_usage"), "reply", None, 1, Neutral),
        (mode("zero_usage"), "reply", None, 1, Neutral),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_has_its_class_its_code_its_number_of_calls_and_its_effect_on_the_breaker() {
    type Fault = (Value, &'static str, Option<Code>, usize, Breaker);
    let check = |(control, expected, code, expected_calls, breaker): Fault| async move {
        let timeouts = match (control["mode"].as_str(), control.get("latency")) {
            (Some("hang"), _) => Timeouts { connect: LONG, first_byte: SHORT, total: LONG },
            (Some("slow_body" | "stall_body"), _) | (_, Some(_)) => {
                Timeouts { connect: LONG, first_byte: LONG, total: SHORT }
            }
            _ => Timeouts { connect: LONG, first_byte: LONG, total: LONG },
        };
        let bench = bench(control.clone(), timeouts).await;
        let one = ask(&bench.model).await;
        assert_eq!(class(&one), expected, "{control}");
        let (answer, _) = triage(Arc::clone(&bench.model)).await;
        assert_eq!(answer.degraded, code, "{control}: {:?}", answer.tried);
        assert_eq!(calls(bench.ledger.path()) - 1, expected_calls, "{control}");
        assert_eq!(answer.predicted.is_some(), code.is_none(), "{control}");

        let guard = guard(Arc::clone(&bench.model), &touchy());
        for _ in 0..2 {
            triage_by(&guard).await;
        }
        let state = guard.breakers().remove(0).1;
        let expected = match breaker {
            Breaker::Counts => state == BreakerState::Open || state == BreakerState::HalfOpen,
            Breaker::Neutral => state == BreakerState::Closed,
            Breaker::Stops => Some(state) == code.map(BreakerState::Stopped),
        };
        assert!(expected, "{control}: {state}");
        bench.behave(json!({})).await;
        if breaker == Breaker::Stops {
            assert!(guard.reset_breaker("sim"));
        }
        is_well_again(&guard).await;
    };
    // Boxed one by one: a closure's future of this size in a stream is more than the compiler likes to see.
    stream::iter(faults()).for_each_concurrent(8, |fault| check(fault).boxed()).await;
}
