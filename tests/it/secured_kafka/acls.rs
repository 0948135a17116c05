//! `topics --acls` prints exactly what is needed: with those grants and no others, every command does its work.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::broker::{Broker, Door};
use super::place::{Place, events};

/// Runs what `topics --acls` prints, with Kafka's own tool, for these two users.
fn grant(broker: &Broker, place: &Place, instance: &str, operator: &str) {
    let printed = place.good(&["topics", "--acls"], &broker.sets(Door::Scram), "");
    let script = printed
        .replace("User:GATEKEEPER", &format!("User:{instance}"))
        .replace("User:OPERATOR", &format!("User:{operator}"))
        .replace(broker.text("scram"), broker.text("plaintext"));
    let tool = format!(
        "#!/bin/sh\nexec java -XX:TieredStopAtLevel=1 -cp '{}/*' org.apache.kafka.tools.AclCommand \"$@\"\n",
        broker.text("tools")
    );
    let tool = place.write("kafka-acls.sh", &tool);
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("ours");
    place.write("admin.properties", "");
    let script = place.write("grant.sh", &format!("set -e\n{script}"));
    let folder = std::path::Path::new(&script).parent().expect("a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let ran = Command::new("sh").arg(&script).current_dir(folder).env("PATH", path).output().expect("a shell");
    assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn the_grants_that_are_printed_are_all_that_is_needed() {
    let (broker, place) = (Broker::running(), Place::new());
    let (instance, operator) = (broker.scram_as("limited-instance"), broker.scram_as("limited-operator"));
    let refused = place.run(&["topics", "--create"], &operator, "");
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("topics --acls"), "{refused:#?}");

    grant(&broker, &place, "limited-instance", "limited-operator");
    place.good(&["topics", "--create"], &operator, "");
    place.good(&["topics", "--check"], &operator, "");
    place.good(&["publish", "-"], &operator, &events(20));
    place.good(&["serve", "--until-idle"], &instance, "");
    let seen = place.good(&["watch", "--from-beginning", "--until-end", "--output", "json"], &operator, "");
    assert_eq!(seen.lines().count(), 20, "{seen}");
    place.good(&["audit", "--finished"], &operator, "");

    // And no more: an instance does not publish events, an operator does not process them.
    assert_eq!(place.run(&["publish", "-"], &instance, &events(1)).code, Some(1));
    assert_eq!(place.run(&["serve", "--until-idle"], &operator, "").code, Some(1));
}
