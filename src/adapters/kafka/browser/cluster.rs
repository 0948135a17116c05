//! Asks the cluster how it is set up, for the rules in `preconditions.rs`.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer as _;
use tokio::runtime::Handle;

use super::super::clients;
use super::super::login::Client;
use super::super::preconditions::{Broker, Cluster, Config, Topic};
use super::{Shared, browse_error};
use crate::operations::log_browser::BrowseError;

/// Everything that the rules look at. What may not be asked for is told as such.
pub fn cluster(shared: &Shared, runtime: &Handle) -> Result<Cluster, BrowseError> {
    let metadata = shared.consumer.fetch_metadata(None, shared.timeout()).map_err(|error| browse_error(&error))?;
    let admin: Client<AdminClient<DefaultClientContext>> =
        shared.kafka.open(&clients::base(&shared.kafka)).map_err(|error| browse_error(&error))?;
    let options = AdminOptions::new().request_timeout(Some(shared.timeout()));
    let ask = |resource: ResourceSpecifier<'_>| -> Result<Config, BrowseError> {
        let answers = runtime.block_on(admin.describe_configs([&resource], &options));
        let answer = answers.map_err(|error| browse_error(&error))?.into_iter().next();
        Ok(match answer {
            Some(Ok(resource)) => Config::Known(entries(resource)),
            Some(Err(code)) => Config::Refused(code.to_string()),
            None => Config::Refused("no answer".to_owned()),
        })
    };
    let replicas: BTreeMap<&str, Option<usize>> = metadata
        .topics()
        .iter()
        .map(|topic| (topic.name(), topic.partitions().iter().map(|partition| partition.replicas().len()).min()))
        .collect();
    let fewest = |topic: &str| replicas.get(topic).copied().flatten();

    let mut topics = Vec::new();
    for topic in shared.topics()? {
        topics.push(Topic {
            role: topic.role,
            partitions: topic.partitions,
            replicas: fewest(&topic.name),
            config: ask(ResourceSpecifier::Topic(&topic.name))?,
            name: topic.name,
        });
    }
    let mut brokers = Vec::new();
    for broker in metadata.brokers() {
        brokers.push(Broker { id: broker.id(), config: ask(ResourceSpecifier::Broker(broker.id()))? });
    }
    let internal = ["__consumer_offsets", "__transaction_state"];
    let internal = internal.iter().filter_map(|topic| Some(((*topic).to_owned(), fewest(topic)?))).collect();
    Ok(Cluster { topics, brokers, internal })
}

fn entries(resource: ConfigResource) -> BTreeMap<String, String> {
    resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
}
