//! Is this event new, the same record again, a duplicate or a conflict?

pub mod arrival;
pub mod ledger;
pub mod no_ledger;
