//! `watch`, on the real binary.

use super::place::{Place, event};

#[test]
fn feedback_comes_with_the_decision_it_speaks_of_and_filters_hold() {
    let place = Place::new();
    let lines = [("acme", "1"), ("acme", "2"), ("umbrella", "3"), ("acme", "1")]
        .map(|(tenant, id)| event(tenant, id, "I was charged twice for my order, please refund me"));
    place.run(&["publish", "-"], &lines.concat());
    place.serve();

    let all = place.watched(&[]);
    assert_eq!(all.len(), 4);
    for seen in &all {
        let (feedback, decision) = (&seen["feedback"], &seen["decision"]);
        if feedback["status"] == "DUPLICATE" {
            assert!(decision.is_null(), "{seen}");
        } else {
            assert_eq!(decision["decision_id"], feedback["decision_id"], "{seen}");
            assert_eq!(decision["origin"]["offset"], feedback["origin"]["offset"]);
        }
    }
    assert_eq!(place.watched(&["--tenant", "umbrella"]).len(), 1);
    assert_eq!(place.watched(&["--ticket", "T-1"]).len(), 2);
    assert_eq!(place.watched(&["--status", "duplicate", "--tenant", "acme"]).len(), 1);
    assert!(place.good(&["watch", "--until-end"]).lines().count() == 1, "from its end there is only the head");

    let table = place.good(&["watch", "--from-beginning", "--until-end"]);
    assert!(table.starts_with("time ") && table.lines().count() == 5, "{table}");
    assert!(!table.contains('\x1b'), "no colour where there is no terminal");
    for line in table.lines().skip(1) {
        let origin = line.split(' ').next_back().expect("a last column");
        let explained = place.json(&["explain", origin]);
        let event = explained["event"]["event_id"].as_str().expect("it was read");
        assert!(line.contains(&format!("T-{event} ")), "{origin} is {event}: {line}");
    }
    assert_eq!(place.run(&["watch", "--status", "gone"], "").code, Some(1));
}

#[test]
fn a_log_that_is_not_there_is_an_error_and_an_empty_one_is_not() {
    let place = Place::new();
    let ended = place.run(&["watch", "--until-end"], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    place.good(&["topics", "--create"]);
    assert!(place.watched(&[]).is_empty());
}
