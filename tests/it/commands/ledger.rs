//! `ledger` and `topics --position`, on the real binary.

use super::place::{Place, event};

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

/// Bytes that stand in the write-ahead log beside a file.
fn beside(place: &Place, name: &str) -> u64 {
    std::fs::metadata(place.path(&format!("{name}-wal"))).map_or(0, |wal| wal.len())
}

#[test]
fn after_an_end_in_good_order_a_copy_of_the_file_alone_is_the_whole_ledger() {
    let place = Place::new();
    let events: String = (0..50).map(|id| event("acme", &id.to_string(), "I was charged twice")).collect();
    assert_eq!(place.run(&["publish", "-"], &events).code, Some(0));
    assert_eq!(beside(&place, "log.db"), 0, "publish");
    for args in [&["serve", "--until-idle"][..], &["migrate"], &["trail"], &["audit", "--finished"]] {
        place.good(args);
        assert_eq!((beside(&place, "ledger.db"), beside(&place, "log.db")), (0, 0), "{args:?}");
    }
    let copy = Place::new();
    for name in ["ledger.db", "log.db"] {
        std::fs::copy(place.path(name), copy.path(name)).expect("copied");
    }
    copy.good(&["ledger", "--check"]);
    copy.good(&["audit", "--finished"]);
    // What is sent again is known.
    assert_eq!(copy.run(&["publish", "-"], &event("acme", "7", "I was charged twice")).code, Some(0));
    copy.serve();
    assert_eq!(copy.watched(&["--status", "DUPLICATE"]).len(), 1);
}
