//! The ledger on a Postgres server, shared by all instances.
//!
//! A batch is one transaction: its rows are locked in the order of their keys, then a few static statements are each fed
//! by arrays (`unnest`). Leases and heartbeats stand on the server's clock.
//!
//! ```text
//!  entries --plan--> steps of one kind, a key once --statements--> rows changed = entries? outcomes are known
//!                                                                  else --rows--> read back, outcomes are read off
//! ```
//!
//! What a connection may be used for is decided in `connect` (durable, writable), who uses it in `pool` (deadline, marks,
//! suspected leaks). A connection on which anything went wrong is closed: then the server rolls back what was open.

mod board;
mod connect;
mod counts;
mod decisions;
mod desk;
mod error;
mod ledger;
mod open;
mod parked;
mod places;
mod pool;
mod purses;
mod questions;
mod rarely;
mod rows;
mod session;
mod sets;
mod shares;
mod statements;
mod step;
mod trail;

pub use ledger::PostgresLedger;
pub use open::OpenError;
