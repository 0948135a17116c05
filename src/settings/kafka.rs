//! `log.kafka.*`: the cluster, and how this instance takes part in its group.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::kafka_security::Security;

/// The cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `host:port,host:port`.
    pub bootstrap_servers: String,
    /// The consumer group whose position is committed.
    pub group_id: String,
    /// Names this instance to the cluster: its transactional id and its static member id. Two live processes never
    /// share one.
    #[serde(default)]
    pub transactional_id: Option<String>,
    /// How long a cluster that is away is waited for at the start.
    #[serde(with = "humantime_serde")]
    pub start_patience: Duration,
    /// How partitions are assigned.
    pub group_protocol: GroupProtocol,
    /// A member that is not heard of for this long loses its partitions.
    #[serde(with = "humantime_serde")]
    pub session_timeout: Duration,
    /// How often the member is heard of.
    #[serde(with = "humantime_serde")]
    pub heartbeat_interval: Duration,
    /// A member that does not poll for this long loses its partitions.
    #[serde(with = "humantime_serde")]
    pub max_poll_interval: Duration,
    /// The broker aborts a transaction that was left open for this long.
    #[serde(with = "humantime_serde")]
    pub transaction_timeout: Duration,
    /// How long one request, such as a commit, may take before its outcome counts as unknown.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Whether an instance that ends gives its partitions to the others at once.
    pub leave_on_stop: bool,
    /// How long a revocation waits for the last burst.
    #[serde(with = "humantime_serde")]
    pub revoke_deadline: Duration,
    /// A partition whose last writer left a transaction open for this long is fenced.
    #[serde(with = "humantime_serde")]
    pub fence_after: Duration,
    /// Records of one partition that are read ahead of the road.
    pub read_ahead_records: usize,
    /// Bytes of one partition that are read ahead of the road.
    pub read_ahead_bytes: usize,
    /// Records handed to the road at once.
    pub batch_max_records: usize,
    /// Bytes of keys, values and headers handed to the road at once.
    pub batch_max_bytes: usize,
    /// The largest record that is produced, with its envelope.
    pub max_message_bytes: usize,
    /// Partitions of topics that are created, where none of ours exists yet.
    pub partitions: u32,
    /// Replicas of topics that are created, and the fewest that `topics --check` accepts.
    pub replication_factor: u16,
    /// Records older than this go; deferred ones stay until they are read.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// How the connection is protected, and who we are to the cluster.
    pub security: Security,
    /// Raw properties of librdkafka, checked against those that the promises rest on.
    pub client: BTreeMap<String, String>,
}

/// How partitions are assigned. Either way the same partition number of all co-read topics goes to the same member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// The client's `range` assignor; any broker.
    Classic,
    /// The broker's `range` assignor (KIP-848); brokers from 4.0 on.
    Consumer,
}
