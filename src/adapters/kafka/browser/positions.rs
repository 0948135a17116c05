//! Moves a group's positions on an operator's word.
//!
//! A commit without a member's name is taken by the coordinator only while the group has no members: the cluster itself
//! sees to it that no processor runs meanwhile.

use futures_util::future::BoxFuture;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::clients;
use super::super::login::Client;
use super::super::positions::{self, Committed};
use super::{KafkaBrowser, Shared, browse_error};
use crate::domain::position::Partition;
use crate::operations::log_browser::BrowseError;
use crate::operations::positions::GroupPositions;
use crate::pipeline::log::BurstPosition;

impl Shared {
    /// The same positions once more: taken if nobody is there, and nothing has changed then.
    fn check_idle(&self, group: &str) -> Result<(), BrowseError> {
        let (consumer, partitions) = (self.member_of_none(group)?, self.partitions()?);
        let stood = self.stable_positions(&consumer, &partitions)?;
        let same = |(partition, Committed { offset, metadata }): (Partition, Committed)| {
            Some(BurstPosition { partition, base: offset?, metadata })
        };
        self.commit(&consumer, group, stood.into_iter().filter_map(same).collect())
    }

    fn set_positions(&self, group: &str, places: &[(Partition, u64)]) -> Result<(), BrowseError> {
        let consumer = self.member_of_none(group)?;
        // A commit has no time limit of its own; a question first tells a cluster that is away.
        let partitions: Vec<Partition> = places.iter().map(|(partition, _)| *partition).collect();
        self.stable_positions(&consumer, &partitions)?;
        let position = |(partition, base): &(Partition, u64)| BurstPosition {
            partition: *partition,
            base: *base,
            metadata: String::new(),
        };
        self.commit(&consumer, group, places.iter().map(position).collect())
    }

    fn member_of_none(&self, group: &str) -> Result<Client<BaseConsumer>, BrowseError> {
        let mut config = clients::reader(&self.kafka, "read_committed");
        config.set("group.id", group);
        self.kafka.open(&config).map_err(|error| browse_error(&error))
    }

    fn commit(&self, consumer: &BaseConsumer, group: &str, positions: Vec<BurstPosition>) -> Result<(), BrowseError> {
        if positions.is_empty() {
            return Ok(());
        }
        let list = positions::list(&self.names, &positions).map_err(|error| browse_error(&error))?;
        consumer.commit(&list, CommitMode::Sync).map_err(|error| refused(group, &error))
    }
}

fn refused(group: &str, error: &KafkaError) -> BrowseError {
    match error.rdkafka_error_code() {
        Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress | Code::StaleMemberEpoch) => {
            BrowseError::Unavailable(format!(
                "a processor of group {group} runs, or its session has not ended yet: stop all of them first"
            ))
        }
        _ => browse_error(error),
    }
}

impl GroupPositions for KafkaBrowser {
    fn check_idle<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<(), BrowseError>> {
        let group = group.to_owned();
        Box::pin(self.call(move |shared| shared.check_idle(&group)))
    }

    fn set<'a>(&'a self, group: &'a str, positions: &'a [(Partition, u64)]) -> BoxFuture<'a, Result<(), BrowseError>> {
        let (group, positions) = (group.to_owned(), positions.to_vec());
        Box::pin(self.call(move |shared| shared.set_positions(&group, &positions)))
    }
}
