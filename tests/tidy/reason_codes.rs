//! Every (status, code) of the contract, and the test that brings it about.
//!
//! A name in a table proves little by itself, so it is looked up: the test must stand in that file and name the code.

use gatekeeper::domain::feedback::FeedbackStatus::{
    self, Accepted, Deferred, Degraded, Duplicate, Ignored, Rejected, Superseded,
};
use gatekeeper::domain::reason_code::ReasonCode::{self, *};

const SIMULATION: &str = "tests/sim/main.rs";
const GUARD: &str = "src/pipeline/triage/guard/tests.rs";
const FLAGS: &str = "src/pipeline/triage/guard/flags_tests.rs";
const INGEST: &str = "src/pipeline/ingest/tests.rs";
const IGNORE: &str = "src/pipeline/lane/ignore.rs";

const DEFERRAL: &str = "tests/it/story/deferral.rs";
const PUT_OFF: &str = "what_a_tenants_limits_have_no_room_for_is_put_off_and_comes_back";
const CROWDS: &str = "a_tenant_that_sends_far_more_than_the_model_takes_keeps_nobody_back";
const FOLLOWS: &str = "after_a_crash_nothing_that_was_put_off_is_lost_and_a_later_event_does_not_pass_it";

const HELD: &str = "what_waits_for_a_breaker_beyond_the_bound_is_put_off_and_comes_back";

const BUDGET: &str = "tests/it/story/budget.rs";
const SPENT: &str = "a_budget_is_spent_down_to_less_than_a_call_and_not_beyond_it_and_a_restart_brings_nothing_back";
const NEXT_DAY: &str =
    "a_tenant_that_would_rather_wait_has_its_events_put_off_until_the_next_day_in_the_order_of_their_tickets";

/// Status, code, file and test.
const PROOFS: &[(FeedbackStatus, ReasonCode, &str, &str)] = &[
    (Accepted, Decided, SIMULATION, "every_seed_keeps_the_promises"),
    (Degraded, BreakerOpen, SIMULATION, "every_seed_keeps_the_promises"),
    (Degraded, ProviderError, GUARD, "permanent_failures_move_on_at_once_and_refused_credentials_stop_the_model"),
    (Degraded, ProviderTimeout, GUARD, "a_reply_a_millisecond_too_late_is_no_reply"),
    (Degraded, ProviderAuth, GUARD, "permanent_failures_move_on_at_once_and_refused_credentials_stop_the_model"),
    (Degraded, ProviderQuota, GUARD, "permanent_failures_move_on_at_once_and_refused_credentials_stop_the_model"),
    (Degraded, ContentFiltered, GUARD, "without_any_model_people_decide_and_what_was_paid_is_not_lost"),
    (Degraded, OutputInvalid, GUARD, "a_later_models_answer_is_degraded_by_the_first_failure_and_the_cost_is_the_sum"),
    (Degraded, BudgetExhausted, BUDGET, SPENT),
    (Degraded, DeadlineExceeded, GUARD, "a_reply_a_millisecond_too_late_is_no_reply"),
    (Degraded, SwitchedOff, FLAGS, "remote_models_that_are_switched_off_are_not_asked_and_the_next_one_says_why"),
    (Duplicate, SameEvent, SIMULATION, "every_seed_keeps_the_promises"),
    (Ignored, TypeNotSubscribed, IGNORE, "a_type_that_is_not_decided_or_not_known_is_left_alone"),
    (Ignored, SelfCaused, IGNORE, "our_own_echoes_are_left_alone"),
    (Ignored, MachineGenerated, IGNORE, "machine_mail_is_left_alone"),
    (Ignored, InternalNote, IGNORE, "notes_among_agents_and_public_answers_of_agents_are_left_alone"),
    (Ignored, HumanOwned, IGNORE, "a_person_s_ticket_is_left_alone_unless_the_tenant_wants_advice"),
    (Ignored, TicketClosed, IGNORE, "closed_is_final_and_solved_is_not"),
    (Ignored, Expired, IGNORE, "an_event_expires_after_its_time_and_not_at_it"),
    (Ignored, NoRelevantChange, IGNORE, "without_anything_new_to_read_there_is_nothing_to_decide"),
    (Superseded, NewerEvent, SIMULATION, "every_seed_keeps_the_promises"),
    (Rejected, DecodeFailed, INGEST, "a_record_without_a_value_is_unreadable"),
    (Rejected, UnknownSchema, INGEST, "the_schema_id_is_kept_whatever_becomes_of_the_value"),
    (Rejected, ValidationFailed, INGEST, "an_event_without_an_identity_is_unreadable"),
    (Rejected, EnvelopeMismatch, INGEST, "a_header_that_contradicts_the_body_is_an_envelope_mismatch"),
    (Rejected, TenantUnknown, INGEST, "a_tenant_that_is_unknown_or_disabled_is_turned_away"),
    (Rejected, TenantDisabled, INGEST, "a_tenant_that_is_unknown_or_disabled_is_turned_away"),
    (Rejected, IdempotencyConflict, SIMULATION, "every_seed_keeps_the_promises"),
    (Rejected, PayloadTooLarge, INGEST, "a_value_that_is_too_large_is_not_even_decoded"),
    (Deferred, TenantRateLimited, DEFERRAL, PUT_OFF),
    (Deferred, ProviderRateLimited, DEFERRAL, CROWDS),
    (Deferred, BreakerOpen, DEFERRAL, HELD),
    (Deferred, BudgetExhausted, BUDGET, NEXT_DAY),
    (Deferred, WaitingForEarlierEvent, DEFERRAL, FOLLOWS),
];

/// What is wrong with the table, given the sources as path and text.
pub fn violations(pairs: &[(FeedbackStatus, &[ReasonCode])], files: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    let all = pairs.iter().flat_map(|(status, codes)| codes.iter().map(|code| (*status, *code)));
    for (status, code) in all {
        let proofs = PROOFS.iter().filter(|(one, other, ..)| (*one, *other) == (status, code));
        if proofs.count() != 1 {
            found.push(format!("{status:?} / {code} stands in the table once"));
        }
    }
    for (status, code, path, name) in PROOFS {
        let body = files.iter().find(|(file, _)| file == path).and_then(|(_, text)| body_of(text, name));
        if !body.is_some_and(|body| names(body, *code)) {
            found.push(format!("{status:?} / {code}: {path} has no test {name} that names it"));
        }
    }
    found
}

/// A function's text, up to the next function of a test.
fn body_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("fn {name}("))?;
    Some(rest.split_once("#[test]").map_or(rest, |(body, _)| body))
        .map(|body| body.split_once("#[tokio::test").map_or(body, |(body, _)| body))
}

fn names(body: &str, code: ReasonCode) -> bool {
    body.contains(&format!("::{code:?}")) || body.contains(&format!("\"{code}\""))
}

#[test]
fn a_test_that_is_gone_or_says_something_else_proves_nothing() {
    let file = |text: &str| vec![(INGEST.to_owned(), text.to_owned())];
    let about = |files: &[(String, String)]| {
        let found = violations(&[(Rejected, &[PayloadTooLarge])], files);
        found.iter().filter(|violation| violation.contains("PAYLOAD_TOO_LARGE")).count()
    };
    let name = "fn a_value_that_is_too_large_is_not_even_decoded() {";
    assert_eq!(about(&file(&format!("{name} ReasonCode::PayloadTooLarge }}"))), 0);
    assert_eq!(about(&file("")), 1);
    assert_eq!(about(&file(&format!("{name} }} #[test] fn other() {{ ReasonCode::PayloadTooLarge }}"))), 1);
}

#[test]
fn a_pair_that_is_not_in_the_table_is_found() {
    assert!(
        violations(&[(Accepted, &[SameEvent])], &[]).iter().any(|found| found.starts_with("Accepted / SAME_EVENT"))
    );
}
