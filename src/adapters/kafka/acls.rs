//! What an administrator must grant, as `kafka-acls.sh` command lines. Pure.
//!
//! Names hold nothing that a shell would read (`settings::check`). Idempotent writes need no grant of their own from
//! Kafka 3.0 on: Write on any topic covers them. Read and Write include Describe, on topics, groups and transactional
//! ids alike.

use super::clients;
use super::names::TopicNames;
use crate::domain::position::TopicRole;
use crate::settings::kafka::Kafka;
use crate::settings::topics::Topics;

/// Grants that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// Who needs them, and why.
    pub purpose: String,
    /// Commands.
    pub commands: Vec<String>,
}

/// All of them, by who needs them. A principal stands there by a placeholder.
#[must_use]
pub fn acls(kafka: &Kafka, topics: &Topics) -> Vec<Grants> {
    let names = TopicNames::new(topics);
    let mut roles: Vec<TopicRole> = names.roles().collect();
    roles.sort();
    let topics = |fits: fn(TopicRole) -> bool| -> String {
        let fitting = roles.iter().filter(|role| fits(**role)).map(|role| format!(" --topic {}", names.name(*role)));
        fitting.collect()
    };
    let allow = |who: &str, operations: &[&str], on: &str| {
        let operations: String = operations.iter().map(|operation| format!(" --operation {operation}")).collect();
        format!(
            "kafka-acls.sh --bootstrap-server '{}' --command-config admin.properties --add \
             --allow-principal 'User:{who}'{operations}{on}",
            kafka.bootstrap_servers
        )
    };
    let group = &kafka.group_id;
    let (stem, pattern) = instances(clients::instance(kafka));
    let appends = format!(" --transactional-id {group}-append- --resource-pattern-type prefixed");
    let instance = "GATEKEEPER";
    let operator = "OPERATOR";
    vec![
        Grants {
            purpose: "each instance (`serve`): what it reads, what it writes, its group".to_owned(),
            commands: vec![
                allow(instance, &["Read"], &topics(is_read)),
                // What a topic takes at most is asked at the start.
                allow(instance, &["Write", "DescribeConfigs"], &topics(is_written)),
                allow(instance, &["Read"], &format!(" --group {group}")),
            ],
        },
        Grants {
            purpose: "each instance: its own transactional id, and those of the others, because whoever inherits a \
                      partition ends the transaction that its last owner left open"
                .to_owned(),
            commands: vec![allow(
                instance,
                &["Write"],
                &format!(" --transactional-id {stem} --resource-pattern-type {pattern}"),
            )],
        },
        Grants {
            purpose: "people with `watch`, `explain`, `audit`, `topics`: read everything, and the group's positions"
                .to_owned(),
            commands: vec![
                allow(operator, &["Read"], &topics(|_| true)),
                allow(operator, &["Describe"], &format!(" --group {group}")),
            ],
        },
        Grants {
            purpose: "`publish` besides: events, each batch in a transaction of its own".to_owned(),
            commands: vec![
                allow(operator, &["Write"], &topics(|role| role == TopicRole::Events)),
                allow(operator, &["Write"], &appends),
            ],
        },
        Grants {
            purpose: "`topics --create` and `topics --check` besides".to_owned(),
            commands: vec![
                allow(operator, &["Create", "DescribeConfigs"], &topics(|_| true)),
                allow(operator, &["Describe", "DescribeConfigs"], " --cluster"),
            ],
        },
    ]
}

fn is_read(role: TopicRole) -> bool {
    matches!(role, TopicRole::Events | TopicRole::HumanFeedback | TopicRole::Deferred(_))
}

fn is_written(role: TopicRole) -> bool {
    !matches!(role, TopicRole::Events | TopicRole::HumanFeedback)
}

/// The names of all instances by what they have in common: `gatekeeper-1` is one of `gatekeeper-…`.
fn instances(name: &str) -> (&str, &'static str) {
    match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        stem if stem.is_empty() || stem == name => (name, "literal"),
        stem => (stem, "prefixed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{LoadOptions, load};

    fn commands(id: &str) -> Vec<String> {
        let sets = vec!["log.kafka.bootstrap_servers=k:9092".to_owned(), format!("log.kafka.transactional_id={id}")];
        let settings = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("the settings hold").settings;
        acls(&settings.log.kafka, &settings.topics).into_iter().flat_map(|grants| grants.commands).collect()
    }

    fn granted(commands: &[String], words: &[&str]) -> bool {
        commands.iter().any(|command| words.iter().all(|word| command.contains(word)))
    }

    #[test]
    fn what_an_instance_does_is_granted_and_no_more() {
        let commands = commands("gatekeeper-1");
        assert!(granted(
            &commands,
            &["User:GATEKEEPER", "--operation Read", "--topic support.events.v1", "deferred.1h"]
        ));
        assert!(granted(&commands, &["User:GATEKEEPER", "--operation Write", "support.feedback.v1", "deferred.10s"]));
        assert!(granted(&commands, &["User:GATEKEEPER", "--operation Read", "--group gatekeeper"]));
        assert!(!granted(&commands, &["User:GATEKEEPER", "--operation Write", "--topic support.events.v1"]));
        assert!(!granted(&commands, &["User:GATEKEEPER", "Create"]));
        assert!(!granted(&commands, &["IdempotentWrite"]));
    }

    #[test]
    fn other_instances_are_fenced_by_the_prefix_they_share() {
        assert!(granted(&commands("gatekeeper-1"), &["--transactional-id gatekeeper- ", "prefixed"]));
        assert!(granted(&commands("blue"), &["--transactional-id blue ", "literal"]));
        assert!(granted(&commands("7"), &["--transactional-id 7 ", "literal"]));
    }

    #[test]
    fn whoever_publishes_may_begin_transactions_of_that_name() {
        assert!(granted(&commands("blue"), &["User:OPERATOR", "--transactional-id gatekeeper-append- ", "prefixed"]));
    }
}
