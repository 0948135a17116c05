//! The log as one SQLite file: the same promises as Kafka's, for trying, developing, testing and small installations.
//!
//! ```text
//!            errands                    bursts                       one transaction each
//!   road ---------------> desk ------------------------> writer ---------------------------+
//!    ^                     |  pause, resume                |  retention between bursts     v
//!    |                     v                               | published               [ the file ] <--- browsers
//!    |                   reader <--------------------------+                               |         (other processes)
//!    +---- happenings ---- | <-------------------------------------------------------------+
//! ```
//!
//! - [`EmbeddedLog`] is the log for a processor, of which there is one at a time (`lock.rs`).
//! - [`EmbeddedBrowser`] is the log for everybody else, beside it.
//!
//! Exactly once rests on one thing: a burst's records and positions are one SQLite transaction, synced before it counts
//! as committed. Nothing here jumps: a position that the file does not hold ends the processor with a reason.

mod append;
mod browser;
mod catalog;
mod desk;
mod error;
mod file;
mod headers;
mod lock;
mod place;
mod positions;
mod processor;
mod pulse;
mod read;
mod reader;
mod retention;
mod rota;
mod writer;

pub use browser::{Access, EmbeddedBrowser};
pub use error::{Error, Trouble};
pub use processor::{EmbeddedLog, Reading};

use crate::pipeline::log::Epoch;

/// Nobody ever takes partitions away here, so ownership has one epoch.
const EPOCH: Epoch = Epoch(1);
