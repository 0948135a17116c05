//! PORT and operation: an operator says from where a group goes on in a partition.
//!
//! Positions move with the results of a burst, and nobody else moves them, with this one exception: a partition that a
//! processor has stopped (its position was lost, or what it should read next is gone) goes on from where a person says.
//! The log sees to it that no processor of the group runs meanwhile, and a record for operators says what was done.
//!
//! Nothing that is finished is read again unless a person says so: the ledger knows only what was decided within its window,
//! and of the rest every record would have a second terminal. Nor is anything left out that is not finished and could be read.

use std::fmt;
use std::str::FromStr;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::log_browser::{BrowseError, CommittedPosition, LogBrowser, TopicInfo, Watermarks};
use crate::domain::clock::Timestamp;
use crate::domain::ops_event::{OpsEvent, OpsKind};
use crate::domain::position::{Partition, TopicRole};
use crate::pipeline::dedupe::ledger::{Ledger, LedgerError};
use crate::pipeline::frontier::{Frontier, codec};
use crate::pipeline::publish::Publisher;

/// The port. Implemented by the embedded log and by Kafka, beside [`LogBrowser`].
pub trait GroupPositions: Send + Sync + 'static {
    /// An error while a processor of this group runs.
    fn check_idle<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<(), BrowseError>>;

    /// The group goes on at these offsets, with nothing above them finished. Refused while a processor of it runs.
    fn set<'a>(&'a self, group: &'a str, positions: &'a [(Partition, u64)]) -> BoxFuture<'a, Result<(), BrowseError>>;
}

/// From where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first record there is.
    Earliest,
    /// The first that the ledger does not know as finished.
    AfterLedger,
    /// This offset.
    Offset(u64),
}

/// `TOPIC:PARTITION=OFFSET|earliest|after-ledger`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The topic's name, or its role.
    pub topic: String,
    /// The partition's number.
    pub number: u32,
    /// From where.
    pub place: Place,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: u32,
    /// Where the group stood; `None`: nowhere.
    pub was: Option<u64>,
    /// Where it goes on.
    pub now: u64,
    #[serde(skip)]
    at: Partition,
}

/// Why nothing was moved, or nobody was told.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    /// Not an order.
    #[error("{0:?}: expected TOPIC:PARTITION=OFFSET, =earliest or =after-ledger, such as events:3=after-ledger")]
    Syntax(String),
    /// A processor does not read that.
    #[error("{topic}:{number} is no partition that a processor reads")]
    NotRead {
        /// As it was asked for.
        topic: String,
        /// As it was asked for.
        number: u32,
    },
    /// There is no such offset.
    #[error("{topic}:{number} holds offsets {} to {}, so it cannot go on at {offset}", watermarks.log_start, watermarks.end)]
    OutOfRange {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        number: u32,
        /// What was asked for.
        offset: u64,
        /// What there is.
        watermarks: Watermarks,
    },
    /// It was asked for before.
    #[error("{topic}:{number} is named twice: say once from where it goes on")]
    Twice {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        number: u32,
    },
    /// What is finished would be read again, and nobody said that it should.
    #[error(
        "{topic}:{number} cannot go on at {offset}: everything that is open lies from offset {open} on; reading again \
         means that what the ledger knows ends silently, that duplicates and rejected \
         records are told a second time, and that what is older than ledger.window is decided anew; say =after-ledger, or an \
         offset from {open} on, or --again if it is meant"
    )]
    Finished {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        number: u32,
        /// What was asked for.
        offset: u64,
        /// The first that is not known to be finished.
        open: u64,
    },
    /// What is not finished would be left out, and nobody said that it should.
    #[error(
        "{topic}:{number} cannot go on at {offset}: what is not finished begins at offset {open}, and what of it lies before \
         {offset} would never be decided, nor would a copy of it that is sent again; say an offset up to {open}, or --skip if \
         it is meant"
    )]
    Unfinished {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        number: u32,
        /// What was asked for.
        offset: u64,
        /// The first that is not finished.
        open: u64,
    },
    /// It is done, and the record for operators is not written.
    #[error("the positions WERE moved ({moved}), but the record for operators could not be appended: {error}")]
    NotTold {
        /// What was done.
        moved: String,
        /// Why nobody was told.
        error: BrowseError,
    },
    /// The ledger cannot say.
    #[error("the ledger knows nothing of {topic}:{number}: say =earliest or an offset")]
    NotInLedger {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        number: u32,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] BrowseError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl FromStr for Order {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let parse = || {
            let (at, place) = text.rsplit_once('=')?;
            let (topic, number) = at.rsplit_once(':')?;
            let place = match place {
                "earliest" => Place::Earliest,
                "after-ledger" => Place::AfterLedger,
                offset => Place::Offset(offset.parse().ok()?),
            };
            (!topic.is_empty()).then_some(Self { topic: topic.to_owned(), number: number.parse().ok()?, place })
        };
        parse().ok_or_else(|| PositionError::Syntax(text.to_owned()))
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let was = self.was.map_or_else(|| "nowhere".to_owned(), |was| was.to_string());
        write!(f, "{}:{}  {was} -> {}", self.topic, self.partition, self.now)
    }
}

/// What is meant, though it would be refused otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meant {
    /// To read again what is finished.
    pub again: bool,
    /// To leave out what is not.
    pub skip: bool,
}

/// What is needed to say who did what.
pub struct Clerk<'a> {
    /// Writes the record for operators.
    pub publisher: &'a Publisher,
    /// Names this installation in it.
    pub processor: &'a str,
    /// Now.
    pub at: Timestamp,
}

/// All of these orders, or none if one of them cannot be followed. `reads`: the topics a processor reads.
pub async fn set(
    (browser, positions): (&dyn LogBrowser, &dyn GroupPositions),
    ledger: Option<&dyn Ledger>,
    (group, reads): (&str, &[TopicRole]),
    (orders, meant): (&[Order], Meant),
    clerk: &Clerk<'_>,
) -> Result<Vec<Moved>, PositionError> {
    let topics = browser.topics().await?;
    let stood = browser.positions(group).await?;
    let mut moves: Vec<Moved> = Vec::with_capacity(orders.len());
    for order in orders {
        let topic = topics.iter().find(|topic| topic.name == order.topic || topic.role.key() == order.topic);
        let topic = topic.filter(|topic| reads.contains(&topic.role) && order.number < topic.partitions);
        let Some(topic) = topic else {
            return Err(PositionError::NotRead { topic: order.topic.clone(), number: order.number });
        };
        let at = Partition { topic: topic.role, number: order.number };
        let (topic, number) = (topic.name.clone(), order.number);
        if moves.iter().any(|moved| moved.at == at) {
            return Err(PositionError::Twice { topic, number });
        }
        let first_open = first_open(ledger, &topics, at).await?;
        let watermarks = browser.watermarks(at).await?;
        let now = offset_of(watermarks, first_open, &topic, (at, order.place))?;
        let stands = stood.iter().find(|stood| stood.partition == at);
        let was = stands.map(|stands| stands.offset);
        if let Some(open) = was.max(first_open).filter(|open| now < *open && !meant.again) {
            return Err(PositionError::Finished { topic, number, offset: now, open });
        }
        let open = stands.map(|stands| left_open(stands, watermarks.log_start)).max(first_open);
        let skips = |open: &u64| now > *open && matches!(order.place, Place::Offset(_)) && !meant.skip;
        if let Some(open) = open.filter(skips) {
            return Err(PositionError::Unfinished { topic, number, offset: now, open });
        }
        moves.push(Moved { topic, partition: number, was, now, at });
    }
    let wanted: Vec<_> = moves.iter().map(|moved| (moved.at, moved.now)).collect();
    // Written before anything is moved: what cannot be told is not done.
    let record = |moved: &Moved| clerk.publisher.ops_event(&clerk.event(group, moved), moved.partition);
    let records = moves.iter().map(record).collect();
    positions.set(group, &wanted).await?;
    match browser.append(records).await {
        Ok(_) => Ok(moves),
        Err(error) => {
            let moved: Vec<_> = moves.iter().map(Moved::to_string).collect();
            Err(PositionError::NotTold { moved: moved.join(", "), error })
        }
    }
}

/// The first offset that the ledger does not know as finished.
async fn first_open(
    ledger: Option<&dyn Ledger>,
    topics: &[TopicInfo],
    at: Partition,
) -> Result<Option<u64>, LedgerError> {
    let topic = topics.iter().find(|topic| topic.role == at.topic);
    let (Some(ledger), Some(topic)) = (ledger, topic) else { return Ok(None) };
    ledger.first_open(&topic.topic_id, at.number).await
}

/// The first offset that a position leaves open and that can still be read.
fn left_open(stands: &CommittedPosition, log_start: u64) -> u64 {
    let frontier = match codec::decode(&stands.metadata) {
        Ok(codec::Metadata::Ours(decoded)) => Frontier::restore(stands.offset, &decoded).ok(),
        _ => None,
    };
    let mut frontier = frontier.unwrap_or_else(|| Frontier::fresh(stands.offset));
    frontier.advance_to(log_start);
    frontier.first_open()
}

fn offset_of(
    watermarks: Watermarks,
    first_open: Option<u64>,
    topic: &str,
    (at, place): (Partition, Place),
) -> Result<u64, PositionError> {
    let (topic, number) = (topic.to_owned(), at.number);
    let offset = match place {
        Place::Earliest => watermarks.log_start,
        Place::Offset(offset) => offset,
        Place::AfterLedger => {
            let Some(open) = first_open else { return Err(PositionError::NotInLedger { topic, number }) };
            // What retention has taken cannot be read, whoever thinks it open.
            open.max(watermarks.log_start)
        }
    };
    if (watermarks.log_start..=watermarks.end).contains(&offset) {
        Ok(offset)
    } else {
        Err(PositionError::OutOfRange { topic, number, offset, watermarks })
    }
}

impl Clerk<'_> {
    fn event(&self, group: &str, moved: &Moved) -> OpsEvent {
        OpsEvent {
            ops_event_id: uuid::Uuid::new_v4().to_string(),
            at: self.at,
            kind: OpsKind::PositionSet,
            tenant_id: None,
            component: Some(format!("{}-{}", moved.topic, moved.partition)),
            previous: moved.was.map(|was| was.to_string()),
            current: Some(moved.now.to_string()),
            attributes: [("group".to_owned(), group.to_owned())].into(),
            processor: self.processor.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::log_browser::ReadLimit;
    use super::*;
    use crate::adapters::memory::ledger::{MemoryLedger, Rows};
    use crate::domain::clock::SystemClock;
    use crate::domain::position::Position;
    use crate::domain::record::{OutRecord, Record};
    use crate::pipeline::dedupe::ledger::Entry;
    use crate::pipeline::schema_set::SchemaSet;
    use crate::settings::load::{LoadOptions, load};

    const PLAIN: Meant = Meant { again: false, skip: false };

    /// Topics with two partitions of offsets 3 to 100; where the group stands in the first one, and with which metadata.
    struct Log {
        stands_at: Option<u64>,
        metadata: String,
        set: Mutex<Vec<(u32, u64)>>,
        is_full: bool,
    }

    impl GroupPositions for Log {
        fn check_idle<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), BrowseError>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn set<'a>(&'a self, _: &'a str, places: &'a [(Partition, u64)]) -> BoxFuture<'a, Result<(), BrowseError>> {
            self.set.lock().expect("nobody panicked").extend(places.iter().map(|(at, to)| (at.number, *to)));
            Box::pin(std::future::ready(Ok(())))
        }
    }

    impl LogBrowser for Log {
        fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, BrowseError>> {
            let (role, name, topic_id) = (TopicRole::Events, "support.events.v1".to_owned(), "t".to_owned());
            Box::pin(std::future::ready(Ok(vec![TopicInfo { role, name, topic_id, partitions: 2 }])))
        }

        fn watermarks(&self, _: Partition) -> BoxFuture<'_, Result<Watermarks, BrowseError>> {
            Box::pin(std::future::ready(Ok(Watermarks { log_start: 3, end: 100 })))
        }

        fn read(&self, _: Partition, _: u64, _: ReadLimit) -> BoxFuture<'_, Result<Vec<Record>, BrowseError>> {
            Box::pin(std::future::ready(Ok(Vec::new())))
        }

        fn append(&self, _: Vec<OutRecord>) -> BoxFuture<'_, Result<Vec<Position>, BrowseError>> {
            let full = || Err(BrowseError::Unavailable("the disk is full".to_owned()));
            Box::pin(std::future::ready(if self.is_full { full() } else { Ok(Vec::new()) }))
        }

        fn positions<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<CommittedPosition>, BrowseError>> {
            let partition = Partition { topic: TopicRole::Events, number: 0 };
            let stands = |offset| CommittedPosition { partition, offset, metadata: self.metadata.clone() };
            Box::pin(std::future::ready(Ok(self.stands_at.map(stands).into_iter().collect())))
        }

        fn create_topics(&self) -> BoxFuture<'_, Result<Vec<TopicRole>, BrowseError>> {
            Box::pin(std::future::ready(Ok(Vec::new())))
        }
    }

    fn log(stands_at: Option<u64>) -> Log {
        Log { stands_at, metadata: String::new(), set: Mutex::default(), is_full: false }
    }

    /// One that last heard of the group at this offset of the first partition.
    async fn ledger(base: Option<u64>) -> MemoryLedger {
        let ledger = MemoryLedger::open(Rows::default(), "a", 1, true, Arc::new(SystemClock));
        let stands = base.map(|base| Entry::Stands { topic_id: "t".to_owned(), partition: 0, base });
        ledger.commit(stands.into_iter().collect()).await.expect("nothing is wrong with it");
        ledger
    }

    async fn ordered(
        log: &Log,
        ledger: Option<&dyn Ledger>,
        orders: &[&str],
        meant: Meant,
    ) -> Result<Vec<Moved>, PositionError> {
        let settings = load(&LoadOptions::default()).expect("the defaults are right").settings;
        let schemas = Arc::new(SchemaSet::new(&settings.schemas).expect("they are readable"));
        let (processor, group, source) = ("p".to_owned(), "g".to_owned(), "/gatekeeper".to_owned());
        let publisher = Publisher::new(schemas, settings.schemas.output, processor, group, source);
        let clerk = Clerk { publisher: &publisher, processor: "p", at: Timestamp(0) };
        let orders: Vec<Order> = orders.iter().map(|order| order.parse().expect("an order")).collect();
        set((log, log), ledger, ("g", &[TopicRole::Events]), (&orders, meant), &clerk).await
    }

    #[tokio::test]
    async fn what_is_finished_is_read_again_only_if_somebody_says_so() {
        for (stands_at, known, open) in
            [(Some(40), None, 40), (None, Some(40), 40), (Some(40), Some(30), 40), (Some(30), Some(40), 40)]
        {
            let (log, ledger) = (log(stands_at), ledger(known).await);
            for order in ["events:0=earliest", "events:0=39"] {
                let refused = ordered(&log, Some(&ledger), &[order], PLAIN).await.expect_err("it is finished");
                let said = refused.to_string();
                assert!(matches!(refused, PositionError::Finished { open: from, .. } if from == open), "{said}");
                for word in [&format!("from offset {open} on"), "--again", "=after-ledger", "ledger.window"] {
                    assert!(said.contains(word), "{said}");
                }
            }
            assert!(log.set.lock().expect("nobody panicked").is_empty());
            ordered(&log, Some(&ledger), &["events:0=40"], PLAIN).await.expect("it is open");
            ordered(&log, Some(&ledger), &["events:0=earliest"], Meant { again: true, ..PLAIN })
                .await
                .expect("it is meant");
            assert_eq!(*log.set.lock().expect("nobody panicked"), [(0, 40), (0, 3)]);
        }
    }

    #[tokio::test]
    async fn what_is_not_finished_is_left_out_only_if_somebody_says_so() {
        let skip = Meant { skip: true, ..PLAIN };
        for (stands_at, known, open) in [(Some(40), None, 40), (None, Some(40), 40), (Some(30), Some(40), 40)] {
            let (log, ledger) = (log(stands_at), ledger(known).await);
            let refused = ordered(&log, Some(&ledger), &["events:0=41"], PLAIN).await.expect_err("40 is open");
            let said = refused.to_string();
            assert!(matches!(refused, PositionError::Unfinished { open: from, .. } if from == open), "{said}");
            assert!(said.contains("--skip") && said.contains("up to 40"), "{said}");
            ordered(&log, Some(&ledger), &["events:0=41"], skip).await.expect("it is meant");
        }
        // 1, 4 and 6 are not finished, and 1 is gone: nothing can be read before 4.
        let mut frontier = Frontier::fresh(1);
        (1..8).for_each(|offset| drop(frontier.read(offset)));
        let tag = codec::Tag { writer: "w".to_owned(), incarnation: 1, burst: 1, ledger: 0 };
        let fitted = frontier.fit(&[vec![2, 3, 5, 7]], &tag, codec::MAX_CHARS).expect("it is short");
        let log = Log { metadata: fitted.metadata, ..log(Some(fitted.proposal.base)) };
        ordered(&log, None, &["events:0=4"], PLAIN).await.expect("what is gone is not left out");
        let refused = ordered(&log, None, &["events:0=5"], PLAIN).await.expect_err("4 is there");
        assert!(matches!(refused, PositionError::Unfinished { open: 4, .. }), "{refused}");
    }

    #[tokio::test]
    async fn a_place_before_where_the_group_stands_is_refused_without_a_ledger_too() {
        let log = log(Some(40));
        let refused = ordered(&log, None, &["events:0=earliest"], PLAIN).await.expect_err("it is finished");
        assert!(matches!(refused, PositionError::Finished { open: 40, .. }), "{refused}");
        ordered(&log, None, &["events:1=earliest"], PLAIN).await.expect("nobody was ever there");
    }

    #[tokio::test]
    async fn a_partition_is_named_once_whatever_its_topic_is_called() {
        let log = log(None);
        let orders = ["events:1=5", "events:0=5", "support.events.v1:1=7"];
        let refused = ordered(&log, None, &orders, PLAIN).await.expect_err("it is named twice");
        assert!(matches!(refused, PositionError::Twice { number: 1, .. }), "{refused}");
        assert!(log.set.lock().expect("nobody panicked").is_empty());
    }

    #[tokio::test]
    async fn positions_that_were_moved_without_a_record_are_not_told_as_if_they_stood() {
        let log = Log { is_full: true, ..log(Some(40)) };
        let said = ordered(&log, None, &["events:0=40"], PLAIN).await.expect_err("nobody was told").to_string();
        assert!(said.contains("WERE moved") && said.contains("40 -> 40") && said.contains("disk is full"), "{said}");
        assert_eq!(*log.set.lock().expect("nobody panicked"), [(0, 40)]);
    }

    #[test]
    fn an_order_names_a_partition_and_a_place() {
        let order = |text: &str| text.parse::<Order>().expect("an order");
        let expected = |topic: &str, number, place| Order { topic: topic.to_owned(), number, place };
        assert_eq!(order("events:3=after-ledger"), expected("events", 3, Place::AfterLedger));
        assert_eq!(order("support.events.v1:0=earliest"), expected("support.events.v1", 0, Place::Earliest));
        assert_eq!(order("events:12=4096"), expected("events", 12, Place::Offset(4096)));
        for bad in ["", "events", "events:1", "events=3", ":1=3", "events:x=3", "events:1=-3", "events:1=latest"] {
            let error = bad.parse::<Order>().expect_err("it is none");
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
    }
}
