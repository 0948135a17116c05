//! From what is left of an answer to the fields of a decision.

use crate::domain::answer::{Predicted, Scored};
use crate::domain::decision::{Alternative, Automation, Prediction, Routing};
use crate::domain::event::{Level, SupportEvent};
use crate::domain::tenant::Tenant;

use super::field::Field;
use super::priority::{self, Proposal};
use super::rule::Rule;
use super::thresholds::{self, Judge};
use super::words::symbol;

/// The judged fields.
#[derive(Debug)]
pub struct Predictions {
    pub category: Option<Prediction>,
    pub sentiment: Option<Prediction>,
    pub language: Option<Prediction>,
    pub impact: Option<Prediction>,
    pub urgency: Option<Prediction>,
    pub priority: Option<Prediction>,
    pub routing: Routing,
}

impl Predictions {
    /// Judges every field; a field below its `recommend` is left out.
    #[must_use]
    pub fn judge(
        judge: &mut Judge<'_>,
        event: &SupportEvent,
        tenant: &Tenant,
        predicted: &Predicted,
        proposal: Option<&Proposal>,
    ) -> Self {
        let ticket = &event.ticket;
        let category = category(judge, predicted);
        let routing = routing(judge, tenant, category.as_ref());
        Self {
            category,
            sentiment: text(judge, Field::Sentiment, predicted.sentiment.as_ref()),
            language: text(judge, Field::Language, predicted.language.as_ref()),
            impact: level(judge, Field::Impact, predicted.impact.as_ref(), ticket.impact),
            urgency: level(judge, Field::Urgency, predicted.urgency.as_ref(), ticket.urgency),
            priority: proposal.and_then(|proposal| of_proposal(judge, event, proposal)),
            routing,
        }
    }
}

/// The model's reasons stay away when the text may have dictated them.
fn category(judge: &mut Judge<'_>, predicted: &Predicted) -> Option<Prediction> {
    let Scored { value, confidence } = predicted.category.clone()?;
    let prediction = judge.judge(Field::Category, value, confidence, None)?;
    let dictated = judge.rules().contains(&Rule::InjectionSuspected);
    Some(Prediction {
        alternatives: predicted
            .alternatives
            .iter()
            .map(|next| Alternative {
                value: next.value.clone(),
                confidence: judge.worth(Field::Category, next.confidence),
            })
            .collect(),
        rationale: predicted.rationale.clone().filter(|_| !dictated),
        ..prediction
    })
}

fn text(judge: &mut Judge<'_>, field: Field, scored: Option<&Scored<String>>) -> Option<Prediction> {
    scored.and_then(|scored| judge.judge(field, scored.value.clone(), scored.confidence, None))
}

fn level(
    judge: &mut Judge<'_>,
    field: Field,
    scored: Option<&Scored<Level>>,
    upstream: Option<Level>,
) -> Option<Prediction> {
    let Scored { value, confidence } = scored?;
    let prediction = judge.judge(field, symbol(value), *confidence, None)?;
    let previous_value = upstream.filter(|level| *level != Level::Unknown).map(|level| symbol(&level));
    Some(Prediction { previous_value, ..prediction })
}

fn of_proposal(judge: &mut Judge<'_>, event: &SupportEvent, proposal: &Proposal) -> Option<Prediction> {
    let upstream = priority::upstream(&event.ticket);
    let lowers = upstream.is_some_and(|upstream| proposal.priority < upstream);
    let rule = lowers.then_some(Rule::NeverLowersPriority);
    let prediction = judge.judge(Field::Priority, symbol(&proposal.priority), proposal.confidence, rule)?;
    let (impact, urgency) = (symbol(&proposal.impact), symbol(&proposal.urgency));
    Some(Prediction {
        previous_value: upstream.map(|upstream| symbol(&upstream)),
        rationale: Some(format!("impact {impact}, urgency {urgency} by the tenant's matrix")),
        ..prediction
    })
}

/// The queue of the category, with the model's confidence in the category; the tenant's default queue when the category names none.
/// Without a category, or with one too doubtful for a queue, a ticket still has to land somewhere: in the default queue,
/// with no confidence at all, since nobody vouches for it.
fn routing(judge: &mut Judge<'_>, tenant: &Tenant, category: Option<&Prediction>) -> Routing {
    let by_category = category.and_then(|category| {
        let label = tenant.taxonomy.category(&category.value)?;
        let queue = label.queue.as_ref().unwrap_or(&tenant.default_queue);
        // Its own table speaks of the model's word, not of what another table made of that.
        let raw = category.raw_confidence.unwrap_or(category.confidence);
        judge.judge(Field::Queue, queue.clone(), raw, None)
    });
    let recommend = thresholds::of(tenant, Field::Queue).recommend;
    let queue = by_category.unwrap_or_else(|| Prediction {
        value: tenant.default_queue.clone(),
        confidence: 0.0,
        raw_confidence: None,
        confidence_level: Level::Low,
        threshold: recommend.is_finite().then_some(recommend),
        automation: Automation::None,
        alternatives: Vec::new(),
        previous_value: None,
        rationale: Some("the tenant's default queue".to_owned()),
    });
    Routing { queue, skills: Vec::new(), group_id: None, assignee_id: None }
}

/// The ticket's language (ISO 639-1): the model's word if it is sure enough to be shown, else upstream's.
#[must_use]
pub fn spoken_language(event: &SupportEvent, tenant: &Tenant, predicted: &Predicted) -> Option<String> {
    let recommend = thresholds::of(tenant, Field::Language).recommend;
    let model = predicted.language.as_ref().filter(|language| language.confidence >= recommend);
    let upstream = || {
        let tag = event.message.as_ref()?.language.as_deref()?;
        let primary = tag.split(['-', '_']).next()?.to_ascii_lowercase();
        (!primary.is_empty()).then_some(primary)
    };
    model.map(|language| language.value.clone()).or_else(upstream)
}
