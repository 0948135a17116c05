//! The ledger in one SQLite file.
//!
//! One writer connection, `BEGIN IMMEDIATE`, and a small read pool; WAL with `synchronous=FULL`, because a saved answer
//! must survive power loss. A batch is one transaction of a few static statements, each fed by one JSON parameter.
//!
//! ```text
//!  entries --plan--> steps of one kind, a key once --statements--> rows changed = entries? outcomes are known
//!                                                                  else --rows--> read back, outcomes are read off
//! ```

mod board;
mod counts;
mod decisions;
mod error;
mod ledger;
mod open;
mod places;
mod purses;
mod questions;
mod rows;
mod statements;
mod step;
mod trail;

pub use ledger::SqliteLedger;
pub use open::OpenError;
