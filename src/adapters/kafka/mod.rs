//! The log as a Kafka cluster: exactly once with thousands of slow calls in flight.
//!
//! ```text
//!            errands             steering, let go
//!   road ---------------> desk ---------------------> polling thread <------ group, partitions
//!    ^                     |                             |     |
//!    |                     | bursts         one snapshot: who owns what, as which member of the group
//!    |                     v                             v     |
//!    |                committing thread <---------- [ownership]|
//!    |                     |  one transaction a burst          |
//!    +---- happenings -----+-----------------------------------+
//! ```
//!
//! - [`KafkaLog`] is the log for a processor, one of any number.
//! - [`KafkaBrowser`] is the log for operators' commands, beside all of them; it also checks what the cluster must be
//!   (`preconditions.rs`), and [`acls()`] says what the cluster must allow.
//!
//! librdkafka's calls block, so none is made on the runtime: three threads do everything, a fourth asks whether the cluster
//! is there (`pulse.rs`), and each producer has one of its own, left behind if it hangs (`transactor.rs`). A last one watches
//! that the others come back (`hung.rs`). What does not belong here: frontiers, lanes and results, which the road owns. What
//! must hold: a burst's offsets are sent under the membership that owned their partitions (`ownership.rs`), a producer that
//! saw trouble is never used again (`producer.rs`), and no outcome is told before it is known (`committer.rs`).

mod acls;
mod browser;
mod certificate;
mod clients;
mod committer;
mod complaints;
mod entry;
mod growth;
mod guarded;
mod hung;
mod inquiry;
mod login;
mod names;
mod orders;
mod orphans;
mod ownership;
mod poller;
mod positions;
mod preconditions;
mod processor;
mod producer;
mod protection;
mod pulse;
mod raw;
mod read_ahead;
mod refusal;
mod restore;
mod room;
mod transaction;
mod transactor;

pub use acls::{Grants, acls};
pub use browser::KafkaBrowser;
pub use growth::{Counted, Counts};
pub use orphans::{Remembered, WriterOf, Writers};
pub use preconditions::Flaw;
pub use processor::{CannotOpen, KafkaLog, Reading};
