//! Publish, serve, watch, audit through each door.

use super::broker::{Broker, DOORS, Door, but, security};
use super::place::{Place, events};

fn work_is_done_through(door: &[String]) {
    let place = Place::new();
    place.good(&["topics", "--create"], door, "");
    place.good(&["publish", "-"], door, &events(20));
    place.good(&["serve", "--until-idle"], door, "");
    let seen = place.good(&["watch", "--from-beginning", "--until-end", "--output", "json"], door, "");
    assert_eq!(seen.lines().count(), 20, "{seen}");
    let audit = place.good(&["audit", "--finished", "--output", "json"], door, "");
    let audit: serde_json::Value = serde_json::from_str(&audit).expect("one document");
    assert_eq!(audit["findings"].as_array().map(Vec::len), Some(0), "{audit}");
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn tickets_are_decided_through_every_door() {
    let broker = Broker::running();
    for door in DOORS {
        work_is_done_through(&broker.sets(door));
    }
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn a_key_that_is_locked_is_opened_with_its_password_from_a_file() {
    let (broker, place) = (Broker::running(), Place::new());
    let password = place.write("key-password", &format!("{}\n", broker.text("key_password")));
    let locked = but(
        broker.mutual_with("client.pem", "client-encrypted.key"),
        &[security(&format!("key_password=file:{password}"))],
    );
    place.good(&["topics", "--create"], &locked, "");
    let wrong = but(locked, &[security("key_password=not-the-password")]);
    let ended = place.run(&["topics"], &wrong, "");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(!ended.stderr.contains("not-the-password"), "{ended:#?}");
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn no_secret_of_any_door_is_printed() {
    let (broker, place) = (Broker::running(), Place::new());
    for door in DOORS {
        let secrets = [broker.password("gatekeeper"), broker.text("token_secret")];
        for output in ["table", "json"] {
            let shown = place.good(&["check-config", "--output", output], &broker.sets(door), "");
            assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
            assert!(door == Door::Mutual || shown.contains("[secret]"), "{shown}");
        }
    }
}
