//! The provider's call ledger, as a provider, a crash and a mistaken operator leave it; and a log that retention was at.

use std::io::Write as _;

use super::*;
use crate::domain::decision::Origin;
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::samples;
use crate::operations::audit::check;
use crate::operations::log_browser::testing::Shelf;
use crate::settings::load::{LoadOptions, load};

fn calls_in(bytes: &[u8]) -> Result<Vec<ProviderCall>, ReadError> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file can be written");
    read_calls(file.path())
}

fn begins(call: u64, key: &str, at: i64) -> String {
    format!("{{\"call\":{call},\"call_id\":\"{key}.1\",\"received_at\":{at}}}\n")
}

fn ends(call: u64, key: &str, at: i64, status: u16, id: &str) -> String {
    ends_with(call, key, at, &format!("{{\"status\":{status},\"response_id\":{id}}}"))
}

fn ends_with(call: u64, key: &str, at: i64, end: &str) -> String {
    format!("{{\"call\":{call},\"call_id\":\"{key}.1\",\"received_at\":{at},\"end\":{end}}}\n")
}

fn call(key: &str, started_at: i64, end: End) -> ProviderCall {
    ProviderCall { key: key.to_owned(), started_at, end }
}

fn answered(id: &str) -> End {
    End::Answered(id.to_owned())
}

#[test]
fn a_call_is_answered_by_its_end_and_only_a_good_answer_counts() {
    let text = [
        begins(1, "aa", 10),
        begins(2, "bb", 11),
        "\n".to_owned(),
        ends(2, "bb", 11, 500, "null"),
        ends(1, "aa", 10, 200, "\"r-1\""),
        begins(3, "cc", 12),
    ]
    .concat();
    let expected = vec![call("aa", 10, answered("r-1")), call("bb", 11, End::Failed), call("cc", 12, End::CutOff)];
    assert_eq!(calls_in(text.as_bytes()).expect("a good file"), expected);
}

#[test]
fn a_number_that_comes_again_after_a_restart_is_another_call() {
    let text = [begins(1, "aa", 10), begins(1, "bb", 20), ends(1, "bb", 20, 200, "\"r-2\"")].concat();
    let expected = [call("aa", 10, End::CutOff), call("bb", 20, answered("r-2"))];
    assert_eq!(calls_in(text.as_bytes()).expect("a good file"), expected);
}

#[test]
fn a_call_whose_reply_was_not_handed_over_whole_is_cut_off_billed_or_not() {
    for end in [
        "{\"status\":0}",
        "{\"status\":0,\"client_gone\":true,\"response_id\":null}",
        "{\"status\":200,\"client_gone\":true,\"response_id\":\"r-1\"}",
        "{\"status\":500,\"client_gone\":true}",
    ] {
        let text = [begins(1, "aa", 10), ends_with(1, "aa", 10, end)].concat();
        assert_eq!(calls_in(text.as_bytes()).expect("a good file"), [call("aa", 10, End::CutOff)], "{end}");
    }
}

#[test]
fn a_last_line_cut_short_anywhere_is_left_out() {
    let whole = begins(1, "aa", 10);
    let last = ends(1, "aa", 10, 200, "\"r-ü\"");
    for cut in 0..last.len() {
        let bytes = [whole.as_bytes(), &last.as_bytes()[..cut]].concat();
        assert_eq!(calls_in(&bytes).expect("only the last line is cut"), [call("aa", 10, End::CutOff)], "cut at {cut}");
    }
    let bytes = [whole, last].concat();
    assert_eq!(calls_in(bytes.as_bytes()).expect("a good file"), [call("aa", 10, answered("r-ü"))]);
}

#[test]
fn an_empty_file_is_a_ledger_of_no_calls() {
    assert_eq!(calls_in(b"").expect("nothing is wrong with it"), []);
}

#[test]
fn garbage_is_refused_with_its_line() {
    let good = begins(1, "aa", 10);
    for garbage in
        ["not json\n", "{\"call\":1}\n", "\u{0}\u{0}\n", "{\"call\":-1,\"call_id\":\"\",\"received_at\":0}\n"]
    {
        let error = calls_in([good.as_str(), garbage].concat().as_bytes()).expect_err("garbage in the middle");
        assert!(error.to_string().contains(":2: "), "{error}");
    }
    assert!(calls_in(b"\xff\xfe\n").is_err(), "bytes that are no text");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read_calls(Path::new("/nowhere/calls.jsonl")).expect_err("there is no such file");
    assert!(error.to_string().contains("/nowhere/calls.jsonl"), "{error}");
}

fn minute(minutes: i64) -> Timestamp {
    Timestamp(samples::NOON.0 + minutes * 60_000)
}

/// An ignored event every hour, and its terminal a minute later.
fn hourly(events: i64) -> Shelf {
    let mut shelf = Shelf::default();
    for offset in 0..events {
        let event = SupportEvent { event_id: format!("e-{offset}"), ..samples::sparse_event() };
        shelf.put(TopicRole::Events, 1, minute(60 * offset), &event);
        let topic = Shelf::name(TopicRole::Events).to_owned();
        let terminal = EventFeedback {
            event_id: Some(event.event_id),
            event_source: Some(event.source),
            tenant_id: Some(event.tenant_id),
            ticket_id: Some(event.ticket_id),
            status: FeedbackStatus::Ignored,
            terminal: true,
            reason_code: "INTERNAL_NOTE".to_owned(),
            origin: Origin { topic, partition: 1, offset, timestamp: minute(60 * offset) },
            ..samples::feedback()
        };
        shelf.put(TopicRole::Feedback, 1, minute(60 * offset + 1), &terminal);
    }
    shelf.commit(TopicRole::Events, 1, events.unsigned_abs());
    shelf
}

async fn history(shelf: &Shelf) -> History {
    let schemas = SchemaSet::new(&load(&LoadOptions::default()).expect("the defaults").settings.schemas);
    read(shelf, &schemas.expect("the shipped ones"), "gatekeeper").await.expect("all of it can be read")
}

#[tokio::test]
async fn outputs_that_retention_took_before_their_inputs_are_not_missed_and_younger_ones_are() {
    let mut shelf = hourly(5);
    let whole = check(&history(&shelf).await);
    assert!(whole.is_green() && whole.terminals == 5, "{whole}");
    shelf.begins_at(TopicRole::Feedback, 1, 3);
    let cut = history(&shelf).await;
    assert_eq!(cut.taken.0, [((TopicRole::Feedback, 1), 4)].into(), "the fourth event was there before what is left");
    let report = check(&cut);
    assert!(report.is_green() && report.terminals == 2, "{report}");
    let mut torn = cut.clone();
    drop(torn.feedback.pop());
    let report = check(&torn);
    assert_eq!((report.missing, report.violations), (1, 1), "{report}");
    // As if nothing were left.
    shelf.begins_at(TopicRole::Feedback, 1, 5);
    let report = check(&history(&shelf).await);
    assert!(report.is_green() && report.terminals == 0, "{report}");
}
