//! `publish`, on the real binary.

use super::place::{Place, event, fixture};

#[test]
fn a_file_that_is_published_twice_is_decided_once() {
    let place = Place::new();
    let file = fixture("tickets.csv");
    let publish = ["publish", &file, "--tenant", "acme"];
    let first = place.json(&publish);
    assert_eq!((&first["published"], &first["skipped"]), (&64.into(), &0.into()));
    assert!(first["first"].as_str().is_some_and(|at| at.starts_with("support.events.v1-")), "{first}");
    place.json(&publish);
    place.serve();
    let seen = place.watched(&[]);
    let with = |status: &str| seen.iter().filter(|seen| seen["feedback"]["status"] == status).count();
    assert_eq!((seen.len(), with("DUPLICATE")), (128, 64));
    let audit = place.json(&["audit", "--finished"]);
    assert_eq!(audit["findings"].as_array().map(Vec::len), Some(0), "{audit}");
}

#[test]
fn bad_rows_are_reported_by_line_and_the_others_are_published() {
    let place = Place::new();
    for (name, line, published) in
        [("broken_line.csv", 4, 3), ("open_quote.csv", 3, 2), ("not_utf8.csv", 3, 2), ("broken_line.jsonl", 2, 2)]
    {
        let file = fixture(&format!("bad/{name}"));
        let ended = place.run(&["publish", &file, "--tenant", "acme", "--output", "json"], "");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(&format!("{file}:{line}: ")), "{}", ended.stderr);
        let summary: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one document");
        assert_eq!((&summary["skipped"], &summary["published"]), (&1.into(), &published.into()), "{name}");
    }
}

#[test]
fn a_missing_column_is_named_before_anything_is_published() {
    let place = Place::new();
    let file = fixture("bad/missing_column.csv");
    let maps = ["--map", "message.body=text", "--map", "context.category=category"];
    let ended = place.run(&[&["publish", &file, "--tenant", "acme"][..], &maps].concat(), "");
    assert_eq!(ended.code, Some(1));
    let expected = format!("{file}: there is no column \"category\"; the columns are \"text\", \"queue\"");
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    assert!(!place.path("log.db").exists(), "a useless file leaves no log behind");
}

#[test]
fn a_pipe_is_read_up_to_the_limit_at_the_given_rate() {
    let place = Place::new();
    let lines: String = (0..5).map(|id| event("acme", &id.to_string(), "Where is my parcel?")).collect();
    let start = std::time::Instant::now();
    let ended = place.run(&["publish", "-", "--limit", "3", "--rate", "10"], &lines);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("published    3\nskipped      0\nfirst"), "{}", ended.stdout);
    assert!(start.elapsed() >= std::time::Duration::from_millis(300), "three events of a tenth of a second each");
    assert_ne!(place.run(&["publish", "-", "--rate", "0"], "").code, Some(0));
}

#[test]
fn what_has_the_shape_of_an_event_is_left_for_ingest_to_judge() {
    let place = Place::new();
    let file = fixture("bad/not_an_event.jsonl");
    let ended = place.run(&["publish", &file, "--tenant", "acme"], "");
    assert!(ended.stderr.contains(":3: a JSON value, but not an object"), "{}", ended.stderr);
    place.serve();
    let rejected = place.watched(&["--status", "rejected"]);
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0]["feedback"]["reason_code"], "VALIDATION_FAILED");
}
