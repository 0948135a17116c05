//! `ledger` and `topics --position`, on the real binary.

use super::place::Place;

#[test]
fn in_another_folder_there_is_no_log_to_speak_of_and_none_is_made() {
    let place = Place::new();
    for args in [&["ledger", "--check"][..], &["ledger", "--rebuild"], &["topics", "--position", "events:0=earliest"]] {
        let ended = place.run(args, "");
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains("there is no log at "), "{args:?}: {}", ended.stderr);
        let left: Vec<_> = std::fs::read_dir(place.path("")).expect("a folder").flatten().collect();
        assert!(left.is_empty(), "{args:?} left {left:?}");
    }
}

#[test]
fn a_ledger_is_not_compared_with_a_log_that_has_none_of_our_topics() {
    let place = Place::new();
    place.good(&["topics", "--create"]);
    place.good(&["migrate"]);
    for what in ["--check", "--rebuild"] {
        let ended = place.run(&["ledger", what, "--set", "topics.feedback=another.v1"], "");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("no topic for topics.feedback"), "{}", ended.stderr);
        place.good(&["ledger", what]);
    }
}
