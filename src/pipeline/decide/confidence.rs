//! What the confidences of one answer are worth under the tenant's policy.
//!
//! A table counts for the model and the prompt that it was made of, and for no others. A field that has tables goes by
//! them alone: where none of them speaks of this answer, nobody has measured it, whatever `calibrated_fields` says.

use crate::domain::answer::{Answer, Predicted, Scored};
use crate::domain::calibration::Calibration;
use crate::domain::tenant::Tenant;

use super::field::Field;

/// For one answer.
#[derive(Debug)]
pub struct Confidences<'a> {
    tenant: &'a Tenant,
    /// Who answered, and what it was asked with; `None`: nobody did.
    asked: Option<(&'a str, &'a str)>,
    /// Whether `calibrated_fields` count for the model that answered.
    model_is_calibrated: bool,
}

impl<'a> Confidences<'a> {
    /// Of this answer, judged by this policy.
    #[must_use]
    pub fn of(tenant: &'a Tenant, answer: &'a Answer) -> Self {
        let usage = answer.usage.as_ref();
        Self {
            tenant,
            asked: usage.map(|usage| (usage.request_model.as_str(), answer.versions.prompt.as_str())),
            model_is_calibrated: usage.is_some_and(|usage| usage.calibrated),
        }
    }

    fn table(&self, field: Field) -> Option<&'a Calibration> {
        let (model, prompt) = self.asked?;
        self.tenant.calibration.iter().find(|table| table.is_for(field.name(), model, prompt))
    }

    /// What a raw confidence in this field is worth; without a table, itself.
    #[must_use]
    pub fn worth(&self, field: Field, raw: f64) -> f64 {
        self.table(field).map_or(raw, |table| table.confidence(raw))
    }

    /// Whether anybody has measured how often such a confidence is right.
    #[must_use]
    pub fn are_calibrated(&self, field: Field) -> bool {
        let has_tables = self.tenant.calibration.iter().any(|table| table.field == field.name());
        if has_tables {
            return self.table(field).is_some();
        }
        self.model_is_calibrated && self.tenant.calibrated_fields.iter().any(|it| it == field.name())
    }

    /// The same predictions, each with what its confidence is worth.
    #[must_use]
    pub fn weighed(&self, raw: &Predicted) -> Predicted {
        Predicted {
            category: self.weigh(Field::Category, raw.category.as_ref()),
            impact: self.weigh(Field::Impact, raw.impact.as_ref()),
            urgency: self.weigh(Field::Urgency, raw.urgency.as_ref()),
            sentiment: self.weigh(Field::Sentiment, raw.sentiment.as_ref()),
            language: self.weigh(Field::Language, raw.language.as_ref()),
            ..raw.clone()
        }
    }

    fn weigh<T: Clone>(&self, field: Field, raw: Option<&Scored<T>>) -> Option<Scored<T>> {
        let Scored { value, confidence } = raw?;
        Some(Scored { value: value.clone(), confidence: self.worth(field, *confidence) })
    }
}
