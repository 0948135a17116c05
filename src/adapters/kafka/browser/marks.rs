//! Where a partition begins and ends, for somebody who reads what is committed.
//!
//! A commit is answered before its marks stand in every partition, each at its own time. Whoever was told of a commit, by
//! its answer or by the positions that were committed with it, must find its records: so the end is looked up twice,
//! first with what is not stable yet, and everything that was there by then is waited for, as long as a burst may take.
//! What is not stable after that was left open by a process that died, and nobody was told of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::login::Client;
use super::super::names;
use super::{browse_error, pause};
use crate::domain::position::Partition;
use crate::operations::log_browser::{BrowseError, Watermarks};

/// Far longer than a burst is open, and short for somebody who watches.
const SETTLING: Duration = Duration::from_secs(1);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks.
pub struct Marks {
    uncommitted: Client<BaseConsumer>,
    committed: Arc<Client<BaseConsumer>>,
}

impl Marks {
    /// By these clients, which differ in their isolation.
    pub fn new(uncommitted: Client<BaseConsumer>, committed: Arc<Client<BaseConsumer>>) -> Self {
        Self { uncommitted, committed }
    }

    /// Of a partition that exists.
    pub fn of(&self, topic: &str, partition: Partition, timeout: Duration) -> Result<Watermarks, BrowseError> {
        let look = |client: &BaseConsumer| {
            let until = Instant::now() + timeout;
            loop {
                match client.fetch_watermarks(topic, names::number(partition), timeout) {
                    Err(error) if is_between_leaders(&error) && Instant::now() < until => pause(PAUSE),
                    answer => return answer.map(watermarks).map_err(|error| browse_error(&error)),
                }
            }
        };
        let written = look(&self.uncommitted)?;
        let begun = Instant::now();
        // Errors of a client that nobody listens to would pile up.
        while self.uncommitted.poll(Duration::ZERO).is_some() {}
        loop {
            let stable = look(&self.committed)?;
            if stable.end >= written.end || begun.elapsed() > SETTLING {
                return Ok(stable);
            }
            pause(PAUSE);
        }
    }
}

fn watermarks((log_start, end): (i64, i64)) -> Watermarks {
    let offset = |offset| u64::try_from(offset).unwrap_or_default();
    Watermarks { log_start: offset(log_start), end: offset(end) }
}

/// A partition that was just created, or whose broker just left, has its leader in a moment.
fn is_between_leaders(error: &KafkaError) -> bool {
    use Code::{FencedLeaderEpoch, LeaderNotAvailable, NotLeaderForPartition, UnknownTopicOrPartition};
    let code = error.rdkafka_error_code();
    matches!(code, Some(NotLeaderForPartition | LeaderNotAvailable | FencedLeaderEpoch | UnknownTopicOrPartition))
}
