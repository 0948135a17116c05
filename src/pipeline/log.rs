//! PORT: the log, as one pair of channels.
//!
//! Reading positions and publishing results cannot be two ports, because a burst commits both. [`Happening`]s come in,
//! [`Errand`]s go out. The adapter owns threads, clients, producers and fencing; the road owns frontier, lanes and
//! results; neither knows the other's.
//!
//! What an adapter promises:
//! - `Records` of a partition come in offset order, each record once per assignment, starting at the committed offset.
//! - After `Revoking` it takes at most one more `Publish` for those partitions, until `LetGo` or the deadline.
//! - After every loss of partitions comes an `Assigned` with the next epoch, maybe with nothing new in it.
//! - At most one `Publish` is outstanding; its outcome comes as `Published`, with an unknown commit already resolved.
//! - A committed burst is atomic: its records and its positions, or neither.
//! - `Pause` really stops the reading; what was already on its way may still arrive.
//! - After `Stop` it ends, and closes the channel of happenings.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::{OutRecord, Record};

/// Counts changes of ownership; a burst made under an older one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// A partition that is ours from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Which.
    pub partition: Partition,
    /// The topic's id, for positions.
    pub topic_id: String,
    /// The committed offset; `None`: the group never committed here.
    pub committed: Option<u64>,
    /// The metadata of that commit, empty if none.
    pub metadata: String,
    /// The first offset that can still be read.
    pub log_start: u64,
    /// The next offset that will be written, as far as is known.
    pub log_end: u64,
    /// The log itself says that it was cut off below what was read of it; however far it reaches now, other records stand
    /// there.
    pub truncated: bool,
}

#[cfg(test)]
impl Assignment {
    /// Of a partition that nobody has read before.
    pub(crate) fn never_read(partition: Partition, topic_id: &str) -> Self {
        Self {
            partition,
            topic_id: topic_id.to_owned(),
            committed: None,
            metadata: String::new(),
            log_start: 0,
            log_end: u64::MAX,
            truncated: false,
        }
    }
}

/// What the log says.
#[derive(Debug)]
pub enum Happening {
    /// These partitions were added to what we own.
    Assigned {
        /// The ownership from now on.
        epoch: Epoch,
        /// The new ones only.
        partitions: Vec<Assignment>,
    },
    /// Records of one partition, in order.
    Records {
        /// The epoch of that partition's assignment.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// At least one.
        records: Vec<Record>,
    },
    /// Everything before `end` has been handed over; the rest were gaps.
    CaughtUp {
        /// The epoch of that partition's assignment.
        epoch: Epoch,
        /// Which.
        partition: Partition,
        /// The next offset there will be.
        end: u64,
    },
    /// These will be taken away: finish a last burst and let go.
    Revoking {
        /// Which.
        partitions: Vec<Partition>,
        /// How long the adapter waits for `LetGo`.
        deadline: Duration,
    },
    /// These are gone already; nothing about them can be published.
    Lost {
        /// Which.
        partitions: Vec<Partition>,
    },
    /// Nobody was listening for this long: somebody else may own our partitions.
    Away {
        /// How long.
        silent: Duration,
    },
    /// Whether the log can be reached, told when it changes and now and then. A log that is a file of ours need not say it:
    /// what fails there is a burst, or everything.
    Heard {
        /// How fast it answered, or why it does not.
        answer: Result<Duration, String>,
    },
    /// Partitions that are to be ours are not told with `Assigned` yet. The others go on meanwhile.
    Unread {
        /// Why nobody knows when they will be, and which, as far as that is known: the log does not say where they stand, or
        /// does not say which are ours. None: nothing of the kind any more.
        why: Option<String>,
        /// Whether others wait for their turn: nothing is wrong with those, but this is not the end of what is to be read.
        waiting: bool,
    },
    /// How the outstanding burst ended.
    Published {
        /// Its number.
        burst: u64,
        /// How.
        outcome: PublishOutcome,
    },
    /// The log cannot go on; the process ends with this message.
    Failed {
        /// What happened and what to do.
        reason: String,
    },
}

/// How a burst ended. There is no "unknown": the adapter finds out first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// Records and positions are in the log.
    Committed,
    /// Ownership changed; nothing is in the log. The results belong to whoever owns their partitions now.
    Refused,
    /// Nothing is in the log; try again.
    NotCommitted {
        /// Why.
        reason: String,
    },
    /// Likewise, and nothing was sent at all: for the moment nobody knows who we are to the group.
    NotTried {
        /// Why.
        reason: String,
    },
}

/// One transaction's worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst {
    /// Counts up within this process.
    pub number: u64,
    /// The ownership it was made under.
    pub epoch: Epoch,
    /// What goes out, in order.
    pub records: Vec<OutRecord>,
    /// Where reading stands afterwards; never empty.
    pub positions: Vec<BurstPosition>,
}

/// A partition's position as a burst commits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BurstPosition {
    /// Which.
    pub partition: Partition,
    /// The lowest unfinished offset.
    pub base: u64,
    /// The finished set above it, encoded; at most 4,096 ASCII characters.
    pub metadata: String,
}

/// What the road asks of the log.
#[derive(Debug)]
pub enum Errand {
    /// Stop reading these. Asking twice is harmless.
    Pause(Vec<Partition>),
    /// Go on reading these. Asking for one that is not paused, or not owned, is harmless.
    Resume(Vec<Partition>),
    /// Commit a burst; answered by [`Happening::Published`].
    Publish(Burst),
    /// The answer to [`Happening::Revoking`], after the last burst.
    LetGo(Vec<Partition>),
    /// Leave the group and end.
    Stop,
}

/// The road's end of the channels.
#[derive(Debug)]
pub struct LogPort {
    /// Bounded: an adapter that gets ahead waits.
    pub happenings: mpsc::Receiver<Happening>,
    /// Bounded by protocol: one burst, one answer to a revocation, one pause or resume a partition.
    pub errands: mpsc::UnboundedSender<Errand>,
    /// The largest record that may be published, see [`OutRecord::bytes`]. A larger one would be refused again and again,
    /// and its partition would stand still.
    pub max_record_bytes: usize,
    /// The ids of the topics that are read, as they are now; empty where topics have none.
    pub topic_ids: BTreeMap<TopicRole, String>,
}

/// The adapter's end of the channels.
#[derive(Debug)]
pub struct LogAdapterEnd {
    /// To the road.
    pub happenings: mpsc::Sender<Happening>,
    /// From the road; closed when the road is gone.
    pub errands: mpsc::UnboundedReceiver<Errand>,
}

/// Both ends, with room for `capacity` happenings and for records of any size.
#[must_use]
pub fn channels(capacity: usize) -> (LogPort, LogAdapterEnd) {
    let (to_road, happenings) = mpsc::channel(capacity);
    let (errands, to_adapter) = mpsc::unbounded_channel();
    (
        LogPort { happenings, errands, max_record_bytes: usize::MAX, topic_ids: BTreeMap::new() },
        LogAdapterEnd { happenings: to_road, errands: to_adapter },
    )
}
