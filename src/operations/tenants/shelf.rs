//! The versions of tenants that the trail holds, as far as they matter to a processor.
//!
//! Of each tenant the newest entry without mistakes counts; an entry that cannot be read (edited by hand, or written by
//! another build) is named once and passed over. A few former versions stay, for answers that were asked under them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::domain::tenant::Tenant;
use crate::operations::trail::{Act, Change};
use crate::settings::tenants::document;
use crate::settings::tenants::rules::Broken;

/// Entries of each tenant. An answer that is older than so many changes of its tenant is judged under the policy of now.
pub const KEPT: u32 = 8;

/// By tenant.
#[derive(Debug, Clone, Default)]
pub struct Shelf(BTreeMap<String, VecDeque<Entry>>);

#[derive(Debug, Clone)]
struct Entry {
    revision: u64,
    says: Says,
}

#[derive(Debug, Clone)]
enum Says {
    Policy(Arc<Tenant>),
    /// The file counts again, if there is one.
    Removed,
    Nonsense,
}

/// An entry with mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whose.
    pub tenant: String,
    /// Which.
    pub revision: u64,
    /// What is wrong with it.
    pub mistakes: Vec<Broken>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revision {} of tenant {:?}", self.revision, self.tenant)?;
        self.mistakes.iter().try_for_each(|mistake| match mistake.key.as_str() {
            "" => write!(f, "; {}", mistake.message),
            key => write!(f, "; `{key}`: {}", mistake.message),
        })
    }
}

impl Shelf {
    /// Entries about tenants, oldest first; those that were taken before change nothing. Says which have mistakes.
    pub fn take(&mut self, changes: Vec<Change>) -> Vec<Refused> {
        let mut refused = Vec::new();
        for change in changes {
            let entries = self.0.entry(change.subject.clone()).or_default();
            if entries.back().is_some_and(|newest| newest.revision >= change.revision) {
                continue;
            }
            let revision = change.revision;
            let says = read(change).unwrap_or_else(|mistakes| {
                refused.push(mistakes);
                Says::Nonsense
            });
            entries.push_back(Entry { revision, says });
            if entries.len() > KEPT as usize {
                entries.pop_front();
            }
        }
        refused
    }

    /// The tenants that have a policy here, with its revision.
    pub fn in_force(&self) -> impl Iterator<Item = (u64, &Arc<Tenant>)> {
        self.0.values().filter_map(counts)
    }

    /// Policies that were in force once, oldest first within each tenant.
    pub fn former(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.0.values().flat_map(|entries| {
            let now = counts(entries).map(|(revision, _)| revision);
            entries.iter().filter_map(move |entry| match &entry.says {
                Says::Policy(tenant) if now != Some(entry.revision) => Some(tenant),
                _ => None,
            })
        })
    }
}

fn counts(entries: &VecDeque<Entry>) -> Option<(u64, &Arc<Tenant>)> {
    match entries.iter().rfind(|entry| !matches!(entry.says, Says::Nonsense))? {
        Entry { revision, says: Says::Policy(tenant) } => Some((*revision, tenant)),
        _ => None,
    }
}

fn read(change: Change) -> Result<Says, Refused> {
    let Change { revision, subject: tenant, act, document, .. } = change;
    let wrong = |mistakes| Refused { tenant: tenant.clone(), revision, mistakes };
    match (act, document) {
        (Act::Removed, _) => Ok(Says::Removed),
        (Act::Set, Some(document)) => {
            let policy = document::read(&document).map_err(wrong)?;
            if policy.id != tenant {
                return Err(wrong(vec![Broken::new(
                    "id",
                    format!("is {:?}, but it is an entry of {tenant:?}", policy.id),
                )]));
            }
            Ok(Says::Policy(Arc::new(policy)))
        }
        (act, _) => Err(wrong(vec![Broken::new("", format!("the entry says {act:?} and holds no policy"))])),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::operations::trail::Kind;

    pub(crate) fn entry(revision: u64, subject: &str, act: Act, document: Option<&str>) -> Change {
        Change {
            revision,
            at: Timestamp(0),
            actor: "ada".to_owned(),
            kind: Kind::Tenant,
            subject: subject.to_owned(),
            act,
            before: None,
            note: None,
            document: document.map(str::to_owned),
            until: None,
        }
    }

    pub(crate) fn set(revision: u64, tenant: &str, version: &str) -> Change {
        entry(revision, tenant, Act::Set, Some(&format!("id = '{tenant}'\nversion = '{version}'")))
    }

    fn in_force(shelf: &Shelf) -> Vec<(u64, &str)> {
        shelf.in_force().map(|(revision, tenant)| (revision, tenant.version.as_str())).collect()
    }

    #[test]
    fn the_newest_entry_counts_and_a_removal_ends_it() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.take(vec![set(1, "acme", "a"), set(2, "globex", "g"), set(3, "acme", "b")]), []);
        assert_eq!(in_force(&shelf), [(3, "b"), (2, "g")]);
        shelf.take(vec![entry(4, "acme", Act::Removed, None)]);
        assert_eq!(in_force(&shelf), [(2, "g")]);
        let former: Vec<_> = shelf.former().map(|tenant| tenant.version.as_str()).collect();
        assert_eq!(former, ["a", "b"]);
    }

    #[test]
    fn an_entry_with_mistakes_is_named_once_and_the_one_before_it_counts() {
        let mut shelf = Shelf::default();
        let wrong = entry(2, "acme", Act::Set, Some("id = 'acme'\ndecide_by = 'soon'"));
        let foreign = entry(3, "acme", Act::Set, Some("id = 'globex'"));
        let refused = shelf.take(vec![set(1, "acme", "a"), wrong.clone(), foreign]);
        let keys: Vec<_> = refused.iter().map(|refused| (refused.revision, &*refused.mistakes[0].key)).collect();
        assert_eq!(keys, [(2, "decide_by"), (3, "id")]);
        assert_eq!(in_force(&shelf), [(1, "a")]);
        assert_eq!(shelf.take(vec![wrong]), [], "it was taken before");
    }

    #[test]
    fn no_more_than_a_few_versions_are_kept() {
        let mut shelf = Shelf::default();
        shelf.take((1..=100).map(|revision| set(revision, "acme", &revision.to_string())).collect());
        assert_eq!(in_force(&shelf), [(100, "100")]);
        assert_eq!(shelf.former().count(), KEPT as usize - 1);
    }
}
