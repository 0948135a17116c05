//! How large a record may be that is published: as large as the settings say, unless a topic takes less.
//!
//! Asked once, at the start: a record that its topic refuses would fail its transaction again and again.

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaResult;
use tokio::runtime::Handle;

use super::clients;
use super::login::{Client, Login};
use super::preconditions::FRAMING;

/// What a topic takes if nobody said otherwise (`message.max.bytes` of the brokers): assumed where we may not ask.
const BROKERS_DEFAULT: usize = 1_048_588;

/// Bytes of the largest record that all of these topics take.
pub fn largest_record(kafka: &Login, topics: &[&str], runtime: &Handle) -> usize {
    let mut room = kafka.max_message_bytes;
    for (topic, takes) in topics.iter().zip(asked(kafka, topics, runtime)) {
        let largest = takes.unwrap_or(BROKERS_DEFAULT).saturating_sub(FRAMING);
        if largest < room {
            let known = if takes.is_some() { "takes" } else { "may not be asked what it takes, presumably" };
            tracing::info!(topic, largest, "this topic {known} smaller records than log.kafka.max_message_bytes");
        }
        room = room.min(largest);
    }
    room
}

/// What each takes, as far as it may be known.
fn asked(kafka: &Login, topics: &[&str], runtime: &Handle) -> Vec<Option<usize>> {
    let unknown = || vec![None; topics.len()];
    let admin: KafkaResult<Client<AdminClient<DefaultClientContext>>> = kafka.open(&clients::base(kafka));
    let Ok(admin) = admin else { return unknown() };
    let options = AdminOptions::new().request_timeout(Some(kafka.request_timeout));
    let wanted: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let Ok(answers) = runtime.block_on(admin.describe_configs(&wanted, &options)) else { return unknown() };
    // In no particular order.
    let takes = |topic: &str| {
        let answer = answers.iter().flatten().find(|resource| resource.specifier == owned(topic))?;
        answer.get("max.message.bytes")?.value.as_ref()?.parse().ok()
    };
    topics.iter().map(|topic| takes(topic)).collect()
}

fn owned(topic: &str) -> rdkafka::admin::OwnedResourceSpecifier {
    rdkafka::admin::OwnedResourceSpecifier::Topic(topic.to_owned())
}
