//! The rules that are in force, and what they answer.
//!
//! Of the rules for a ticket the most special one counts: its tenant's, else the one for everybody, else the flag is on.

use std::collections::BTreeMap;

use super::{Context, Evaluation, Flag, FlagProvider, Reason, Share, Source};

/// What a flag is, for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// For which share of their tickets it is on.
    pub share: Share,
    /// Where that stands.
    pub source: Source,
    /// There is a rule that should count instead of this one, and it cannot be read.
    pub in_place_of_an_unreadable_one: bool,
}

impl Rule {
    const BUILT_IN: Self = Self::new(Share::ON, Source::BuiltIn);

    /// A rule.
    #[must_use]
    pub const fn new(share: Share, source: Source) -> Self {
        Self { share, source, in_place_of_an_unreadable_one: false }
    }
}

/// All rules. The empty book says that everything is on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagBook {
    everybody: BTreeMap<Flag, Rule>,
    tenants: BTreeMap<String, BTreeMap<Flag, Rule>>,
}

impl FlagBook {
    /// This rule counts from now on, for this tenant or for everybody.
    pub fn put(&mut self, flag: Flag, tenant: Option<&str>, rule: Rule) {
        match tenant {
            Some(tenant) => self.tenants.entry(tenant.to_owned()).or_default().insert(flag, rule),
            None => self.everybody.insert(flag, rule),
        };
    }

    /// The rule that this tenant has of its own, or that everybody has.
    #[must_use]
    pub fn rule(&self, flag: Flag, tenant: Option<&str>) -> Option<Rule> {
        match tenant {
            Some(tenant) => self.tenants.get(tenant)?.get(&flag).copied(),
            None => self.everybody.get(&flag).copied(),
        }
    }

    /// What counts for this tenant, or for those without a rule of their own.
    #[must_use]
    pub fn counts(&self, flag: Flag, tenant: Option<&str>) -> Rule {
        let own = tenant.and_then(|tenant| self.rule(flag, Some(tenant)));
        own.or_else(|| self.rule(flag, None)).unwrap_or(Rule::BUILT_IN)
    }

    /// Every rule, by flag: first the one for everybody, then those of tenants.
    pub fn rules(&self) -> impl Iterator<Item = (Flag, Option<&str>, Rule)> {
        Flag::ALL.into_iter().flat_map(|flag| {
            let everybody = self.rule(flag, None).map(|rule| (flag, None, rule));
            let tenants = self
                .tenants
                .iter()
                .filter_map(move |(tenant, rules)| rules.get(&flag).map(|rule| (flag, Some(tenant.as_str()), *rule)));
            everybody.into_iter().chain(tenants)
        })
    }
}

impl FlagProvider for FlagBook {
    fn evaluate(&self, flag: Flag, context: Context<'_>) -> Evaluation {
        let rule = self.counts(flag, Some(context.tenant_id));
        let is_the_tenants = self.rule(flag, Some(context.tenant_id)).is_some();
        let reason = match rule {
            Rule { in_place_of_an_unreadable_one: true, .. } => Reason::Error,
            Rule { source: Source::BuiltIn, .. } => Reason::Default,
            Rule { share, .. } if share.is_partial() => Reason::Split,
            _ if is_the_tenants => Reason::TargetingMatch,
            _ => Reason::Static,
        };
        Evaluation { flag, on: rule.share.takes(flag, context), reason, share: rule.share, source: rule.source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: Context<'_> = Context { tenant_id: "acme", ticket_id: "4711" };
    const GLOBEX: Context<'_> = Context { tenant_id: "globex", ticket_id: "4711" };

    fn told(book: &FlagBook, context: Context<'_>) -> (bool, Reason, Source) {
        let Evaluation { on, reason, source, .. } = book.evaluate(Flag::Apply, context);
        (on, reason, source)
    }

    #[test]
    fn the_most_special_rule_counts_and_says_so() {
        let mut book = FlagBook::default();
        assert_eq!(told(&book, ACME), (true, Reason::Default, Source::BuiltIn));
        book.put(Flag::Apply, None, Rule::new(Share::OFF, Source::Configuration));
        assert_eq!(told(&book, ACME), (false, Reason::Static, Source::Configuration));
        book.put(Flag::Apply, Some("acme"), Rule::new(Share::ON, Source::Database(3)));
        assert_eq!(told(&book, ACME), (true, Reason::TargetingMatch, Source::Database(3)));
        assert_eq!(told(&book, GLOBEX), (false, Reason::Static, Source::Configuration));
        assert!(book.evaluate(Flag::Repair, ACME).on, "another flag");
        let listed: Vec<_> = book.rules().map(|(flag, tenant, _)| (flag, tenant)).collect();
        assert_eq!(listed, [(Flag::Apply, None), (Flag::Apply, Some("acme"))]);
    }

    #[test]
    fn a_part_of_the_tickets_is_a_split_whoever_the_rule_is_for() {
        let half = "50%".parse().expect("a share");
        for tenant in [None, Some("acme")] {
            let mut book = FlagBook::default();
            book.put(Flag::Apply, tenant, Rule::new(half, Source::Database(1)));
            assert_eq!(told(&book, ACME).1, Reason::Split);
        }
    }

    #[test]
    fn a_rule_in_place_of_an_unreadable_one_is_an_error_with_a_value() {
        let mut book = FlagBook::default();
        let rule = Rule { in_place_of_an_unreadable_one: true, ..Rule::new(Share::ON, Source::BuiltIn) };
        book.put(Flag::Apply, None, rule);
        assert_eq!(told(&book, ACME), (true, Reason::Error, Source::BuiltIn));
    }
}
