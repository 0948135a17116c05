//! Which rules for flags are in force, and the book that answers for them.
//!
//! The book is swapped whole. An entry that cannot be read (put there by hand, or by another build) is named once, and what
//! was known of its subject goes on; if nothing was, the rule below it counts, and its answers say so.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::Subject;
use crate::domain::flags::{Context, Evaluation, Flag, FlagBook, FlagProvider, Rule, Share, Source};
use crate::operations::trail::{Act, Change};

/// Entries of each subject that are looked at: so many unreadable ones in a row hide the last readable one.
pub const KEPT: u32 = 8;

/// A rule that is another one now, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    /// About what.
    pub subject: Subject,
    /// What counted before.
    pub from: Rule,
    /// What counts now.
    pub to: Rule,
}

/// What the database says about a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Share(u64, Share),
    /// The settings count.
    Removed(u64),
    /// Nothing that can be read.
    Nonsense(u64),
}

impl Says {
    const fn revision(self) -> u64 {
        match self {
            Self::Share(revision, _) | Self::Removed(revision) | Self::Nonsense(revision) => revision,
        }
    }
}

/// Settings, database, and the book made of both.
pub struct LiveFlags {
    configured: FlagBook,
    said: BTreeMap<Subject, Says>,
    book: watch::Sender<Arc<FlagBook>>,
}

impl LiveFlags {
    /// The rules of the settings; the book is said to everybody who reads it.
    #[must_use]
    pub fn new(configured: FlagBook, book: watch::Sender<Arc<FlagBook>>) -> Self {
        let this = Self { configured, said: BTreeMap::new(), book };
        this.book.send_replace(Arc::new(this.configured.clone()));
        this
    }

    /// Entries of the trail about flags, oldest first. Says which rules are others now, and what cannot be read.
    pub fn take(&mut self, changes: Vec<Change>) -> (Vec<Switched>, Vec<String>) {
        let refused = changes.into_iter().filter_map(|change| self.take_one(change)).collect();
        (self.swap(), refused)
    }

    /// The database does not know any more what it said before: these are all of its entries.
    pub fn take_all(&mut self, changes: Vec<Change>) -> (Vec<Switched>, Vec<String>) {
        self.said.clear();
        self.take(changes)
    }

    /// The rules that are in force.
    #[must_use]
    pub fn book(&self) -> Arc<FlagBook> {
        self.book.borrow().clone()
    }

    fn take_one(&mut self, change: Change) -> Option<String> {
        let Change { revision, subject: about, act, document, .. } = change;
        let refused = |why: String| Some(format!("revision {revision} about {about:?}: {why}"));
        let subject: Subject = match about.parse() {
            Ok(subject) => subject,
            Err(unknown) => return refused(unknown.to_string()),
        };
        let before = self.said.get(&subject).copied();
        if before.is_some_and(|before| before.revision() >= revision) {
            return None;
        }
        let says = match (act, document.as_deref().map(str::parse)) {
            (Act::Removed, _) => Says::Removed(revision),
            (Act::Set, Some(Ok(share))) => Says::Share(revision, share),
            (Act::Set, Some(Err(error))) => {
                self.said.entry(subject).or_insert(Says::Nonsense(revision));
                return refused(error.to_string());
            }
            (act, _) => {
                self.said.entry(subject).or_insert(Says::Nonsense(revision));
                return refused(format!("the entry says {act} and holds no share"));
            }
        };
        self.said.insert(subject, says);
        None
    }

    fn swap(&self) -> Vec<Switched> {
        let mut book = self.configured.clone();
        // In the order of subjects a rule for everybody comes before those of tenants, which may stand in for theirs.
        for (Subject { flag, tenant }, says) in &self.said {
            let tenant = tenant.as_deref();
            let rule = match says {
                Says::Share(revision, share) => Rule::new(*share, Source::Database(*revision)),
                Says::Removed(_) => continue,
                Says::Nonsense(_) => Rule { in_place_of_an_unreadable_one: true, ..book.counts(*flag, tenant) },
            };
            book.put(*flag, tenant, rule);
        }
        let before = self.book.send_replace(Arc::new(book));
        let now = self.book();
        let subjects = |book: &FlagBook| -> Vec<Subject> {
            let subject =
                |(flag, tenant, _): (Flag, Option<&str>, Rule)| Subject { flag, tenant: tenant.map(str::to_owned) };
            book.rules().map(subject).collect()
        };
        let mut all: Vec<_> = subjects(&before).into_iter().chain(subjects(&now)).collect();
        all.sort_unstable();
        all.dedup();
        let switched = all.into_iter().map(|subject| {
            let of = |book: &FlagBook| book.counts(subject.flag, subject.tenant.as_deref());
            let (from, to) = (of(&before), of(&now));
            Switched { subject, from, to }
        });
        switched.filter(|switched| switched.from != switched.to).collect()
    }
}

/// Answers by the newest book.
pub struct FlagReader(pub watch::Receiver<Arc<FlagBook>>);

impl FlagProvider for FlagReader {
    fn evaluate(&self, flag: Flag, context: Context<'_>) -> Evaluation {
        self.0.borrow().evaluate(flag, context)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::flags::Reason;
    use crate::operations::trail::Kind;

    /// An entry about a flag; no document: it is removed.
    pub(crate) fn entry(revision: u64, subject: &str, document: Option<&str>) -> Change {
        Change {
            revision,
            at: Timestamp(0),
            actor: "ada".to_owned(),
            kind: Kind::Flag,
            subject: subject.to_owned(),
            act: if document.is_some() { Act::Set } else { Act::Removed },
            before: None,
            note: None,
            document: document.map(str::to_owned),
            until: None,
        }
    }

    fn live() -> (LiveFlags, FlagReader) {
        let mut configured = FlagBook::default();
        configured.put(Flag::Repair, None, Rule::new(Share::OFF, Source::Configuration));
        let (sender, receiver) = watch::channel(Arc::default());
        (LiveFlags::new(configured, sender), FlagReader(receiver))
    }

    fn of(reader: &FlagReader, flag: Flag, tenant_id: &str) -> (bool, Reason, Source) {
        let Evaluation { on, reason, source, .. } = reader.evaluate(flag, Context { tenant_id, ticket_id: "4711" });
        (on, reason, source)
    }

    #[test]
    fn the_database_wins_rule_by_rule_until_it_is_removed() {
        let (mut live, reader) = live();
        assert_eq!(of(&reader, Flag::Repair, "acme"), (false, Reason::Static, Source::Configuration));
        let (switched, refused) = live.take(vec![
            entry(1, "repair", Some("on")),
            entry(2, "repair/acme", Some("off")),
            entry(3, "hold", Some("off")),
        ]);
        let told: Vec<_> = switched.iter().map(|switched| switched.subject.to_string()).collect();
        assert_eq!((told, refused), (["hold", "repair", "repair/acme"].map(str::to_owned).to_vec(), vec![]));
        assert_eq!(of(&reader, Flag::Repair, "globex"), (true, Reason::Static, Source::Database(1)));
        assert_eq!(of(&reader, Flag::Repair, "acme"), (false, Reason::TargetingMatch, Source::Database(2)));
        live.take(vec![entry(4, "repair", None), entry(5, "repair/acme", None)]);
        assert_eq!(of(&reader, Flag::Repair, "acme"), (false, Reason::Static, Source::Configuration));
        assert!(!of(&reader, Flag::Hold, "acme").0);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_what_was_known_goes_on() {
        let (mut live, reader) = live();
        live.take(vec![entry(1, "apply", Some("off"))]);
        let (switched, refused) = live.take(vec![
            entry(2, "apply", Some("half")),
            entry(3, "redaction", Some("off")),
            entry(4, "hold/acme", Some("")),
        ]);
        assert_eq!(of(&reader, Flag::Apply, "acme"), (false, Reason::Static, Source::Database(1)));
        assert_eq!(of(&reader, Flag::Hold, "acme"), (true, Reason::Error, Source::BuiltIn));
        assert_eq!(of(&reader, Flag::Hold, "globex"), (true, Reason::Default, Source::BuiltIn));
        assert_eq!((switched.len(), refused.len()), (1, 3), "{refused:?}");
        assert!(refused[1].contains("remote_models, local_first"), "{refused:?}");
        live.take(vec![entry(5, "hold/acme", Some("off"))]);
        assert_eq!(of(&reader, Flag::Hold, "acme"), (false, Reason::TargetingMatch, Source::Database(5)));
    }

    #[test]
    fn an_entry_that_is_given_again_changes_nothing_and_a_database_that_went_back_takes_back_what_it_said() {
        let (mut live, reader) = live();
        live.take(vec![entry(1, "apply", Some("off")), entry(2, "apply", Some("50%")), entry(3, "hold", Some("off"))]);
        assert_eq!(live.take(vec![entry(1, "apply", Some("off"))]), (vec![], vec![]));
        let (switched, _) = live.take_all(vec![entry(1, "apply", Some("off"))]);
        assert_eq!(switched.len(), 2);
        assert_eq!(of(&reader, Flag::Apply, "acme"), (false, Reason::Static, Source::Database(1)));
        assert_eq!(of(&reader, Flag::Hold, "acme"), (true, Reason::Default, Source::BuiltIn));
    }
}
