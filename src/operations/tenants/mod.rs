//! Tenants as data: a policy is a file, or an entry of the trail in the ledger's database, which wins.
//!
//! ```text
//!  files (start, SIGHUP) ----+
//!                            +--> live.rs: who is in force, from where --> the book that the road reads, swapped whole
//!  trail --> shelf.rs -------+
//!            (the newest version without mistakes of each, and a few before it)
//!  edit.rs: an operator's change: checked as a whole, compared, then an entry of the trail
//! ```
//!
//! Invariant: what is in force is a function of the files and the trail alone; a version with mistakes, however it came
//! there, changes nothing.

pub mod compare;
pub mod edit;
pub mod live;
pub mod shelf;
