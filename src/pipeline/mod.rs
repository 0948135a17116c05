//! THE ROAD: from record to burst.

pub mod admit;
pub mod decide;
pub mod dedupe;
pub mod frontier;
pub mod ingest;
pub mod lane;
pub mod log;
pub mod publish;
pub mod schema_set;
pub mod triage;
