//! When people decide, and what they are handed.
//!
//! `handoff.reason_code` is, in capitals, the [`ReasonCode`] why no model answered (its page says what to do), or, in
//! small letters, the rule that called for people: `human_lane:<name>`, `abstained:<why>`, `language_not_served`,
//! `category_below_recommend`, `nobody_answered` (no model was there to be asked).

use crate::domain::answer::{Abstention, Predicted, Scored};
use crate::domain::decision::{EscalationType, Handoff};
use crate::domain::event::{Priority, SupportEvent};
use crate::domain::reason_code::ReasonCode;
use crate::domain::tenant::{HumanLane, TargetResponse};

use super::field::Field;
use super::predictions::spoken_language;
use super::rule::Rule;
use super::thresholds;
use super::words::{self, symbol};
use super::{Case, priority};

/// Why people decide.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause<'a> {
    /// The tenant keeps such tickets for people.
    Lane(&'a HumanLane),
    /// No model of the chain could.
    NobodyAnswered {
        /// The first model's failure, as far as it is known.
        code: Option<ReasonCode>,
    },
    /// The model did not choose a category.
    Abstained(Abstention),
    /// Not a language the tenant works in.
    LanguageNotServed(String),
    /// Too doubtful to be shown as the category.
    BelowRecommend {
        /// The best guess.
        guess: Scored<String>,
        /// What it would have needed.
        recommend: f64,
    },
}

/// The first cause that holds. `ask`: a question to the customer takes the place of handing over a doubtful category.
#[must_use]
pub fn cause<'a>(case: &Case<'a>, predicted: &Predicted, lane: Option<&'a HumanLane>, ask: bool) -> Option<Cause<'a>> {
    if let Some(lane) = lane {
        return Some(Cause::Lane(lane));
    }
    if case.answer.predicted.is_none() {
        let code = case.answer.degraded.or_else(|| case.answer.tried.first().map(|tried| tried.code));
        return Some(Cause::NobodyAnswered { code });
    }
    if let Some(abstention) = predicted.abstained {
        return Some(Cause::Abstained(abstention));
    }
    if let Some(language) =
        spoken_language(case.event, case.tenant, predicted).filter(|language| !is_served(case, language))
    {
        return Some(Cause::LanguageNotServed(language));
    }
    let guess = predicted.category.clone()?;
    let recommend = thresholds::of(case.tenant, Field::Category).recommend;
    let shown = guess.confidence >= recommend;
    (!shown && !ask).then_some(Cause::BelowRecommend { guess, recommend })
}

fn is_served(case: &Case<'_>, language: &str) -> bool {
    let served = &case.tenant.languages;
    served.is_empty() || served.iter().any(|it| it.eq_ignore_ascii_case(language))
}

impl Cause<'_> {
    /// For machines.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Lane(lane) => Rule::HumanLane(lane.name.clone()).to_string(),
            Self::NobodyAnswered { code: Some(code) } => code.to_string(),
            Self::NobodyAnswered { code: None } => "nobody_answered".to_owned(),
            Self::Abstained(why) => format!("abstained:{}", symbol(why)),
            Self::LanguageNotServed(_) => "language_not_served".to_owned(),
            Self::BelowRecommend { .. } => "category_below_recommend".to_owned(),
        }
    }

    /// For people.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Lane(lane) => format!("tickets of the lane {} are for people", lane.name),
            Self::NobodyAnswered { code: Some(code) } => format!("no model could answer ({code})"),
            Self::NobodyAnswered { code: None } => "no model could answer".to_owned(),
            Self::Abstained(Abstention::NoneOfThese) => "none of the categories fits".to_owned(),
            Self::Abstained(Abstention::UnknownLabel) => "the model named a category that does not exist".to_owned(),
            Self::Abstained(Abstention::OutOfVocabulary) => "the model does not know the words of this text".to_owned(),
            Self::Abstained(Abstention::Language) => "the model does not read the language of this text".to_owned(),
            Self::Abstained(Abstention::NoText) => "there is no text to judge by".to_owned(),
            Self::LanguageNotServed(language) => format!("the language {language} is not one of the tenant's"),
            Self::BelowRecommend { guess: Scored { value, confidence }, recommend } => {
                format!("the best guess, {value} at {confidence:.2}, is below {recommend:.2}")
            }
        }
    }

    fn escalation(&self) -> EscalationType {
        match self {
            Self::Lane(lane) if lane.escalation != EscalationType::Unknown => lane.escalation,
            _ => EscalationType::CustomerService,
        }
    }

    fn suggested_actions(&self) -> Vec<String> {
        let first = match self {
            Self::Lane(lane) => match lane.escalation {
                EscalationType::Security => "Confirm who is asking before anything is changed or disclosed",
                EscalationType::Legal => "Do not answer on the matter before the legal team has read it",
                EscalationType::Billing => "Check the account's charges before anything is promised",
                EscalationType::Technical => "Check for a known incident first",
                _ => "Acknowledge to the customer that a person is looking at it",
            },
            Self::NobodyAnswered { .. } => "Sort the ticket by hand",
            Self::Abstained(Abstention::NoText) => "Look at the attachments, or ask what the customer needs",
            Self::Abstained(Abstention::Language) | Self::LanguageNotServed(_) => {
                "Pass it to somebody who reads the language, or have it translated"
            }
            Self::Abstained(_) | Self::BelowRecommend { .. } => "Choose the category; the choice is learned from",
        };
        vec![first.to_owned()]
    }
}

/// What the person who takes over gets.
#[must_use]
pub fn package(
    case: &Case<'_>,
    cause: &Cause<'_>,
    predicted: &Predicted,
    effective_priority: Option<Priority>,
) -> Handoff {
    let within = target_response(&case.tenant.target_response, effective_priority);
    // A summary of a text that speaks to the model may say what the text wants said.
    let summary = predicted.summary.clone().filter(|_| !case.answer.findings.injection_suspected);
    Handoff {
        escalation_type: cause.escalation(),
        reason_code: cause.code(),
        reason: cause.reason(),
        summary: summary.unwrap_or_else(|| facts(case.event)),
        suggested_actions: cause.suggested_actions(),
        attempted: case
            .answer
            .tried
            .iter()
            .map(|tried| format!("{}: {} after {} calls", tried.model, tried.code, tried.attempts))
            .collect(),
        target_response_at: Some(case.decided_at.after(within)),
    }
}

fn target_response(targets: &TargetResponse, priority: Option<Priority>) -> std::time::Duration {
    match priority {
        Some(Priority::Urgent) => targets.urgent,
        Some(Priority::High) => targets.high,
        Some(Priority::Low) => targets.low,
        Some(Priority::Normal | Priority::Unknown) | None => targets.normal,
    }
}

/// What is known without having understood a word: a summary is never invented.
fn facts(event: &SupportEvent) -> String {
    let characters: usize = words::texts(event).map(|text| text.chars().count()).sum();
    let attachments = event.message.as_ref().map_or(0, |message| message.attachments.len());
    let mut facts = format!(
        "{} of ticket {} by {}: {characters} characters of text, {attachments} attachments",
        symbol(&event.event_type),
        event.ticket_id,
        symbol(&event.ticket.channel),
    );
    if let Some(priority) = priority::upstream(&event.ticket) {
        facts.push_str(&format!(", priority {}", symbol(&priority)));
    }
    facts.push('.');
    facts
}
