//! PORT and operation: an operator says from where a group goes on in a partition.
//!
//! Positions move with the results of a burst, and nobody else moves them, with this one exception: a partition that a
//! processor has stopped (its position was lost, or what it should read next is gone) goes on from where a person says.
//! The log sees to it that no processor of the group runs meanwhile, and a record for operators says what was done.

use std::fmt;
use std::str::FromStr;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::log_browser::{BrowseError, LogBrowser, TopicInfo, Watermarks};
use crate::domain::clock::Timestamp;
use crate::domain::ops_event::{OpsEvent, OpsKind};
use crate::domain::position::{Partition, TopicRole};
use crate::pipeline::dedupe::ledger::{Ledger, LedgerError};
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

/// Why nothing was moved.
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
    orders: &[Order],
    clerk: &Clerk<'_>,
) -> Result<Vec<Moved>, PositionError> {
    let topics = browser.topics().await?;
    let stood = browser.positions(group).await?;
    let mut moves = Vec::with_capacity(orders.len());
    for order in orders {
        let topic = topics.iter().find(|topic| topic.name == order.topic || topic.role.key() == order.topic);
        let topic = topic.filter(|topic| reads.contains(&topic.role) && order.number < topic.partitions);
        let Some(topic) = topic else {
            return Err(PositionError::NotRead { topic: order.topic.clone(), number: order.number });
        };
        let at = Partition { topic: topic.role, number: order.number };
        let now = offset_of(browser, ledger, topic, order).await?;
        let was = stood.iter().find(|stood| stood.partition == at).map(|stood| stood.offset);
        moves.push(Moved { topic: topic.name.clone(), partition: order.number, was, now, at });
    }
    let wanted: Vec<_> = moves.iter().map(|moved| (moved.at, moved.now)).collect();
    positions.set(group, &wanted).await?;
    let records = moves.iter().map(|moved| clerk.publisher.ops_event(&clerk.event(group, moved), moved.partition));
    browser.append(records.collect()).await?;
    Ok(moves)
}

async fn offset_of(
    browser: &dyn LogBrowser,
    ledger: Option<&dyn Ledger>,
    topic: &TopicInfo,
    order: &Order,
) -> Result<u64, PositionError> {
    let (name, number) = (topic.name.clone(), order.number);
    let watermarks = browser.watermarks(Partition { topic: topic.role, number }).await?;
    let offset = match order.place {
        Place::Earliest => watermarks.log_start,
        Place::Offset(offset) => offset,
        Place::AfterLedger => {
            let known = match ledger {
                Some(ledger) => ledger.first_open(&topic.topic_id, number).await?,
                None => None,
            };
            let Some(open) = known else { return Err(PositionError::NotInLedger { topic: name, number }) };
            // What retention has taken cannot be read, whoever thinks it open.
            open.max(watermarks.log_start)
        }
    };
    if (watermarks.log_start..=watermarks.end).contains(&offset) {
        Ok(offset)
    } else {
        Err(PositionError::OutOfRange { topic: name, number, offset, watermarks })
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
    use super::*;

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
