//! How far confidence can be believed, by what people said: measured, drawn, and made into tables that a tenant may take.
//!
//! ```text
//! reviews topic -> judgements     of each decision and field what was said last
//!                  reliability    confidence against how often it was right, by tenant, field and whatever else
//!                  isotonic       a table for each field, model and prompt that enough was said about
//!                  install        into the tenant's policy, as a version of it; nothing takes effect by itself
//! ```
//!
//! Everything but the reading is pure. What does not belong here: joining feedback with decisions (`pipeline::review`),
//! and what a table does to a decision (`pipeline::decide`).

pub mod install;
pub mod isotonic;
pub mod judgements;
pub mod plot;
pub mod reliability;
mod report;

use crate::domain::position::{Partition, TopicRole};
use crate::domain::review::DecisionReview;
use crate::operations::audit::reading::{ReadError, decode, each};
use crate::operations::log_browser::LogBrowser;
use crate::pipeline::schema_set::SchemaSet;

use judgements::Judgements;
pub use report::{By, ByHand, Candidate, Group, Quality, Report, report};

/// What people said, by every review that is still on the log.
///
/// # Errors
/// When the log cannot be read.
pub async fn read(browser: &dyn LogBrowser, schemas: &SchemaSet) -> Result<Judgements, ReadError> {
    let mut judgements = Judgements::default();
    for topic in browser.topics().await?.iter().filter(|topic| topic.role == TopicRole::DecisionReviews) {
        for number in 0..topic.partitions {
            let partition = Partition { topic: topic.role, number };
            each(browser, partition, |record| {
                judgements.take(decode::<DecisionReview>(schemas, partition, &record, "DecisionReview")?);
                Ok(())
            })
            .await?;
        }
    }
    Ok(judgements)
}
