//! Every (status, code) of the contract, and the test that brings it about; or that nothing does yet.
//!
//! A name in a table proves little by itself, so it is looked up: the test must stand in that file and name the code.

use gatekeeper::domain::feedback::FeedbackStatus::{
    self, Accepted, Deferred, Degraded, Duplicate, Ignored, Rejected, Superseded,
};
use gatekeeper::domain::reason_code::ReasonCode::{self, *};

/// How it is known.
enum Proof {
    /// File and test.
    Test(&'static str, &'static str),
    /// Nothing produces it, for this reason.
    NotYet(&'static str),
}

use Proof::{NotYet, Test};

const SIMULATION: &str = "tests/sim/main.rs";
const GUARD: &str = "src/pipeline/triage/guard/tests.rs";
const FLAGS: &str = "src/pipeline/triage/guard/flags_tests.rs";
const INGEST: &str = "src/pipeline/ingest/tests.rs";
const IGNORE: &str = "src/pipeline/lane/ignore.rs";

const DEFERRAL: &str = "tests/it/story/deferral.rs";
const PUT_OFF: &str = "what_a_tenants_limits_have_no_room_for_is_put_off_and_comes_back";
const FOLLOWS: &str = "after_a_crash_nothing_that_was_put_off_is_lost_and_a_later_event_does_not_pass_it";

const HELD: &str = "what_waits_for_a_breaker_beyond_the_bound_is_put_off_and_comes_back";

const BUDGET: &str = "tests/it/story/budget.rs";
const SPENT: &str = "a_budget_is_spent_down_to_less_than_a_call_and_not_beyond_it_and_a_restart_brings_nothing_back";
const NEXT_DAY: &str =
    "a_tenant_that_would_rather_wait_has_its_events_put_off_until_the_next_day_in_the_order_of_their_tickets";

const NOT_DEFERRED: &str = "what waits for a provider that is only busy stays in the log";

const PROOFS: &[(FeedbackStatus, ReasonCode, Proof)] = &[
    (Accepted, Decided, Test(SIMULATION, "every_seed_keeps_the_promises")),
    (Degraded, BreakerOpen, Test(SIMULATION, "every_seed_keeps_the_promises")),
    (Degraded, ProviderError, Test(GUARD, "permanent_failures_move_on_at_once_and_refused_credentials_stop_the_model")),
    (Degraded, ProviderTimeout, Test(GUARD, "a_reply_a_millisecond_too_late_is_no_reply")),
    (Degraded, ProviderAuth, Test(GUARD, "permanent_failures_move_on_at_once_and_refused_credentials_stop_the_model")),
    (Degraded, ProviderQuota, Test(GUARD, "permanent_failures_move_on_at_once_and_refused_credentials_stop_the_model")),
    (Degraded, ContentFiltered, Test(GUARD, "without_any_model_people_decide_and_what_was_paid_is_not_lost")),
    (
        Degraded,
        OutputInvalid,
        Test(GUARD, "a_later_models_answer_is_degraded_by_the_first_failure_and_the_cost_is_the_sum"),
    ),
    (Degraded, BudgetExhausted, Test(BUDGET, SPENT)),
    (Degraded, DeadlineExceeded, Test(GUARD, "a_reply_a_millisecond_too_late_is_no_reply")),
    (Degraded, SwitchedOff, Test(FLAGS, "remote_models_that_are_switched_off_are_not_asked_and_the_next_one_says_why")),
    (Duplicate, SameEvent, Test(SIMULATION, "every_seed_keeps_the_promises")),
    (Ignored, TypeNotSubscribed, Test(IGNORE, "a_type_that_is_not_decided_or_not_known_is_left_alone")),
    (Ignored, SelfCaused, Test(IGNORE, "our_own_echoes_are_left_alone")),
    (Ignored, MachineGenerated, Test(IGNORE, "machine_mail_is_left_alone")),
    (Ignored, InternalNote, Test(IGNORE, "notes_among_agents_and_public_answers_of_agents_are_left_alone")),
    (Ignored, HumanOwned, Test(IGNORE, "a_person_s_ticket_is_left_alone_unless_the_tenant_wants_advice")),
    (Ignored, TicketClosed, Test(IGNORE, "closed_is_final_and_solved_is_not")),
    (Ignored, Expired, Test(IGNORE, "an_event_expires_after_its_time_and_not_at_it")),
    (Ignored, NoRelevantChange, Test(IGNORE, "without_anything_new_to_read_there_is_nothing_to_decide")),
    (Superseded, NewerEvent, Test(SIMULATION, "every_seed_keeps_the_promises")),
    (Rejected, DecodeFailed, Test(INGEST, "a_record_without_a_value_is_unreadable")),
    (Rejected, UnknownSchema, Test(INGEST, "the_schema_id_is_kept_whatever_becomes_of_the_value")),
    (Rejected, ValidationFailed, Test(INGEST, "an_event_without_an_identity_is_unreadable")),
    (Rejected, EnvelopeMismatch, Test(INGEST, "a_header_that_contradicts_the_body_is_an_envelope_mismatch")),
    (Rejected, TenantUnknown, Test(INGEST, "a_tenant_that_is_unknown_or_disabled_is_turned_away")),
    (Rejected, TenantDisabled, Test(INGEST, "a_tenant_that_is_unknown_or_disabled_is_turned_away")),
    (Rejected, IdempotencyConflict, Test(SIMULATION, "every_seed_keeps_the_promises")),
    (Rejected, PayloadTooLarge, Test(INGEST, "a_value_that_is_too_large_is_not_even_decoded")),
    (Deferred, TenantRateLimited, Test(DEFERRAL, PUT_OFF)),
    (Deferred, ProviderRateLimited, NotYet(NOT_DEFERRED)),
    (Deferred, BreakerOpen, Test(DEFERRAL, HELD)),
    (Deferred, BudgetExhausted, Test(BUDGET, NEXT_DAY)),
    (Deferred, WaitingForEarlierEvent, Test(DEFERRAL, FOLLOWS)),
];

/// What is wrong with the table, given the sources as path and text.
pub fn violations(pairs: &[(FeedbackStatus, &[ReasonCode])], files: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    let all = pairs.iter().flat_map(|(status, codes)| codes.iter().map(|code| (*status, *code)));
    for (status, code) in all {
        let proofs = PROOFS.iter().filter(|(one, other, _)| (*one, *other) == (status, code));
        if proofs.count() != 1 {
            found.push(format!("{status:?} / {code} stands in the table once"));
        }
    }
    for (status, code, proof) in PROOFS {
        match proof {
            Test(path, name) => {
                let body = files.iter().find(|(file, _)| file == path).and_then(|(_, text)| body_of(text, name));
                if !body.is_some_and(|body| names(body, *code)) {
                    found.push(format!("{status:?} / {code}: {path} has no test {name} that names it"));
                }
            }
            NotYet(why) => found.extend(produced(*status, *code, why, files)),
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

/// "Not yet" must not outlive the day on which it comes true.
fn produced(status: FeedbackStatus, code: ReasonCode, why: &str, files: &[(String, String)]) -> Option<String> {
    let production = files.iter().filter(|(path, _)| path.starts_with("src/pipeline/") && !path.ends_with("tests.rs"));
    let wanted = match status {
        Deferred => format!("FeedbackStatus::Deferred, ReasonCode::{code:?}"),
        _ => format!("ReasonCode::{code:?}"),
    };
    production
        .filter(|(_, text)| text.contains(&wanted))
        .map(|(path, _)| format!("{status:?} / {code} was said to be missing ({why}), and {path} makes it"))
        .next()
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
