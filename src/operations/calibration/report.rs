//! Judgements in figures: by tenant and field, perhaps by one thing more, and the tables that could be made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::isotonic::{Judged, MIN_STEP, fit, held_out, points};
use super::judgements::Judgement;
use super::reliability::{Bin, Reliability, reliability};

/// What a tenant's field is split by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// What was predicted.
    Label,
    /// The language that was recognised.
    Language,
    /// The model that was asked.
    Model,
    /// The prompt it was asked with.
    Prompt,
}

impl By {
    fn of(self, judgement: &Judgement) -> String {
        match self {
            Self::Label => judgement.label.clone(),
            Self::Language => judgement.language.clone().unwrap_or_else(|| "unknown".to_owned()),
            Self::Model => judgement.model.clone(),
            Self::Prompt => judgement.prompt.clone(),
        }
    }
}

/// Two figures of one set of confidences; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Expected calibration error.
    pub ece: f64,
    /// Brier score.
    pub brier: f64,
}

/// Predictions of one tenant and field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Whose.
    pub tenant: String,
    /// Which field.
    pub field: String,
    /// The label, language, model or prompt, if it was split by one.
    pub by: Option<String>,
    /// How many of them people set otherwise.
    pub overridden: u32,
    /// Their share.
    pub override_rate: f64,
    /// The confidence that stood in decisions.
    pub shown: Reliability,
    /// The model's own.
    pub raw: Quality,
}

/// A table that could be installed, or could be once more was said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// Whose.
    pub tenant: String,
    /// Which field.
    pub field: String,
    /// Of which model.
    pub model: String,
    /// Under which prompt.
    pub prompt: String,
    /// How many judgements it is made of.
    pub reviews: u32,
    /// Whether those are enough.
    pub is_enough: bool,
    /// The model's own confidence.
    pub before: Quality,
    /// What tables made of four fifths of the tickets are worth on the other fifth.
    pub held_out: Quality,
    /// Raw confidence, and what it was worth.
    pub points: Vec<[f64; 2]>,
}

impl Candidate {
    /// Whether nobody ever said that a prediction was right.
    #[must_use]
    pub fn sees_only_mistakes(&self) -> bool {
        self.points.iter().all(|[_, worth]| *worth == 0.0)
    }
}

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// By tenant and field.
    pub groups: Vec<Group>,
    /// By tenant, field, model and prompt.
    pub tables: Vec<Candidate>,
    /// By tenant and field: what was set otherwise by hand without a word, which is in none of the above.
    pub by_hand: Vec<ByHand>,
    /// So many judgements a table takes.
    pub min_reviews: u32,
}

/// Predictions that agents set otherwise, and about which nothing was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByHand {
    /// Whose.
    pub tenant: String,
    /// Which field.
    pub field: String,
    /// How many.
    pub overridden: u32,
}

/// All about which something was said, in figures.
#[must_use]
pub fn report<'a>(judgements: impl Iterator<Item = &'a Judgement>, by: Option<By>, min_reviews: u32) -> Report {
    let mut groups: BTreeMap<(&str, &str, Option<String>), Vec<&Judgement>> = BTreeMap::new();
    let mut tables: BTreeMap<(&str, &str, &str, &str), Vec<&Judgement>> = BTreeMap::new();
    for one in judgements {
        groups.entry((&one.tenant, &one.field, by.map(|by| by.of(one)))).or_default().push(one);
        tables.entry((&one.tenant, &one.field, &one.model, &one.prompt)).or_default().push(one);
    }
    Report {
        groups: groups
            .into_iter()
            .filter_map(|((tenant, field, by), all)| group(tenant.to_owned(), field.to_owned(), by, &all))
            .collect(),
        tables: tables.into_values().filter_map(|all| candidate(&all, min_reviews)).collect(),
        by_hand: Vec::new(),
        min_reviews,
    }
}

impl Report {
    /// With these, which were set otherwise by hand without a word.
    #[must_use]
    pub fn with_by_hand<'a>(mut self, judgements: impl Iterator<Item = &'a Judgement>) -> Self {
        let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        judgements.for_each(|one| *counts.entry((&one.tenant, &one.field)).or_default() += 1);
        let of = |((tenant, field), overridden): ((&str, &str), u32)| ByHand {
            tenant: tenant.to_owned(),
            field: field.to_owned(),
            overridden,
        };
        self.by_hand = counts.into_iter().map(of).collect();
        self
    }
}

fn group(tenant: String, field: String, by: Option<String>, all: &[&Judgement]) -> Option<Group> {
    let shown = reliability(&all.iter().map(|one| one.shown()).collect::<Vec<_>>())?;
    let raw = quality(&all.iter().map(|one| one.raw()).collect::<Vec<_>>())?;
    let overridden = u32::try_from(all.iter().filter(|one| !one.right).count()).unwrap_or(u32::MAX);
    let override_rate = f64::from(overridden) / f64::from(shown.reviews);
    Some(Group { tenant, field, by, overridden, override_rate, shown, raw })
}

fn candidate(all: &[&Judgement], min_reviews: u32) -> Option<Candidate> {
    let Judgement { tenant, field, model, prompt, .. } = (*all.first()?).clone();
    // Events of one ticket are alike: none of them may be measured by a table that knows another.
    let tickets: BTreeSet<&str> = all.iter().map(|one| one.ticket.as_str()).collect();
    let tickets: BTreeMap<&str, u64> = tickets.into_iter().zip(0..).collect();
    let by_ticket: Vec<(u64, Judged)> = all.iter().map(|one| (tickets[one.ticket.as_str()], one.raw())).collect();
    let raw: Vec<Judged> = by_ticket.iter().map(|(_, one)| *one).collect();
    let reviews = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    Some(Candidate {
        tenant,
        field,
        model,
        prompt,
        reviews,
        is_enough: reviews >= min_reviews,
        before: quality(&raw)?,
        held_out: quality(&held_out(&by_ticket, MIN_STEP))?,
        points: points(&fit(&raw, MIN_STEP)),
    })
}

fn quality(judged: &[Judged]) -> Option<Quality> {
    reliability(judged).map(|Reliability { ece, brier, .. }| Quality { ece, brier })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ByHand { tenant, field, overridden } in &self.by_hand {
            writeln!(f, "{tenant} {field}: {overridden} set otherwise by hand without a word, which is in no figure")?;
        }
        if self.groups.is_empty() {
            return write!(f, "nobody has judged a prediction yet: nothing on the reviews topic says more");
        }
        self.groups.iter().try_for_each(|group| write!(f, "{group}"))?;
        write!(f, "\nTables, each of one model under one prompt, from {} judgements on:", self.min_reviews)?;
        self.tables.iter().try_for_each(|table| write!(f, "\n  {table}"))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, field, by, overridden, override_rate, shown, raw } = self;
        let by = by.as_ref().map(|by| format!(" {by}")).unwrap_or_default();
        writeln!(f, "{tenant} {field}{by}: {} judged, {overridden} overridden ({override_rate:.3})", shown.reviews)?;
        writeln!(
            f,
            "  confidence {:.3}, right {:.3}; ECE {:.3}, Brier {:.3} (raw: {:.3}, {:.3})",
            shown.confidence, shown.accuracy, shown.ece, shown.brier, raw.ece, raw.brier
        )?;
        shown.bins.iter().try_for_each(|Bin { from, to, reviews, confidence, accuracy }| {
            let bar = "#".repeat((accuracy * 40.0).round() as usize);
            writeln!(f, "  {from:.1}-{to:.1} {reviews:>7}  sure {confidence:.3}  right {accuracy:.3}  {bar}")
        })
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, field, model, prompt, reviews, before, held_out, .. } = self;
        write!(f, "{tenant} {field}, {model}, prompt {prompt}: {reviews} judged, ")?;
        if !self.is_enough {
            return write!(f, "too few");
        }
        write!(
            f,
            "held out ECE {:.3} -> {:.3}, Brier {:.3} -> {:.3}",
            before.ece, held_out.ece, before.brier, held_out.brier
        )?;
        if self.sees_only_mistakes() { write!(f, "; nobody ever said that one was right") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ticket: usize, label: &str, model: &str, raw: f64, right: bool) -> Judgement {
        let text = str::to_owned;
        Judgement {
            tenant: text("acme"),
            ticket: ticket.to_string(),
            field: text("category"),
            label: text(label),
            language: None,
            model: text(model),
            prompt: text("p1"),
            raw,
            confidence: raw / 2.0,
            right,
        }
    }

    #[test]
    fn a_split_leaves_no_judgement_out_and_tables_never_mix_models() {
        let all: Vec<_> = (0..60)
            .map(|n| {
                let (label, model) = if n % 3 == 0 { ("billing", "small") } else { ("login", "large") };
                judged(n, label, model, 0.9, n % 2 == 0)
            })
            .collect();
        let whole = report(all.iter(), None, 40);
        let sizes = |report: &Report| report.groups.iter().map(|group| group.shown.reviews).collect::<Vec<_>>();
        assert_eq!(sizes(&whole), [60]);
        assert_eq!((whole.groups[0].overridden, whole.groups[0].override_rate), (30, 0.5));
        assert_eq!(sizes(&report(all.iter(), Some(By::Label), 40)), [20, 40]);
        assert_eq!(sizes(&report(all.iter(), Some(By::Language), 40)), [60]);
        let tables: Vec<_> = whole.tables.iter().map(|table| (&*table.model, table.reviews, table.is_enough)).collect();
        assert_eq!(tables, [("large", 40, true), ("small", 20, false)]);
    }

    #[test]
    fn tables_are_made_of_the_models_own_word_and_measured_on_tickets_they_do_not_know() {
        // It says 0.99 and 0.6, and is right three times of four, and once of four.
        let all: Vec<_> = (0..400)
            .map(|n| match n % 2 {
                0 => judged(n, "billing", "small", 0.99, n % 8 != 0),
                _ => judged(n, "billing", "small", 0.6, n % 8 == 1),
            })
            .collect();
        let Report { tables, .. } = report(all.iter(), None, 200);
        let [table] = &tables[..] else { panic!("one model, one prompt") };
        assert_eq!(table.points, [[0.6, 0.25], [0.99, 0.75]]);
        assert!(table.before.ece > 0.29, "{table:?}");
        assert!(table.held_out.ece < 0.06 && table.held_out.brier < table.before.brier, "{table:?}");
        assert!(table.held_out.ece > 0.0, "measured on its own reviews it would be perfect");
    }

    #[test]
    fn who_only_hears_of_mistakes_is_told() {
        let all: Vec<_> = (0..50).map(|n| judged(n, "billing", "small", 0.9, false)).collect();
        let text = report(all.iter(), None, 50).to_string();
        assert!(text.contains("nobody ever said that one was right"), "{text}");
        assert!(report(all.iter(), None, 51).to_string().contains("too few"));
        let silent = report([].into_iter(), None, 1).with_by_hand(all.iter());
        assert_eq!(silent.by_hand[0].overridden, 50);
        let text = silent.to_string();
        assert!(text.contains("nobody has judged") && text.contains("50 set otherwise by hand"), "{text}");
    }
}
