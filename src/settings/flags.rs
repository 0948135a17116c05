//! `flags.*`: rules for flags, as far as the database has none.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::flags::{Flag, FlagBook, Rule, Share, Source};

/// Rules for flags.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flags {
    /// By name of the flag, for whoever has no rule of their own; a flag that is left out is on.
    pub everybody: BTreeMap<String, Share>,
    /// By tenant, and by name of the flag.
    pub tenants: BTreeMap<String, BTreeMap<String, Share>>,
}

impl Flags {
    /// The rules, as what answers questions about flags. Names that are none are refused elsewhere.
    #[must_use]
    pub fn book(&self) -> FlagBook {
        let mut book = FlagBook::default();
        for (tenant, name, share) in self.rules() {
            if let Ok(flag) = Flag::named(name) {
                book.put(flag, tenant, Rule::new(*share, Source::Configuration));
            }
        }
        book
    }

    /// Every rule: whose, the flag's name, the share.
    pub fn rules(&self) -> impl Iterator<Item = (Option<&str>, &str, &Share)> {
        let everybody = self.everybody.iter().map(|(name, share)| (None, name.as_str(), share));
        let tenants = self.tenants.iter().flat_map(|(tenant, rules)| {
            rules.iter().map(|(name, share)| (Some(tenant.as_str()), name.as_str(), share))
        });
        everybody.chain(tenants)
    }
}
