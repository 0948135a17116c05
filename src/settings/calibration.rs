//! `calibration.*`: when people have said enough.

use serde::Deserialize;

/// Calibration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// So many judgements of one field, model and prompt a table is made of at least.
    pub min_reviews: u32,
}
