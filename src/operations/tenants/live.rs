//! Which tenants are in force, from where, and the book that says so to the road.
//!
//! The book is swapped whole: an event is read under all of the old one or all of the new one. Files are taken as a whole
//! or not at all, entries of the trail each for itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use super::compare::decide_alike;
use super::shelf::{Refused, Shelf};
use crate::domain::tenant::{Tenant, TenantBook};
use crate::operations::trail::Change;
use crate::settings::tenants::{TenantProblem, Tenants, TenantsError, book, load_files};

/// Where a policy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "source")]
pub enum Source {
    /// In `tenants.directory`.
    File,
    /// In the ledger's database.
    Database {
        /// Of its entry in the trail.
        revision: u64,
        /// Whether it stands before a file.
        hides_file: bool,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Database { revision, hides_file: false } => write!(f, "database, revision {revision}"),
            Self::Database { revision, hides_file: true } => {
                write!(f, "database, revision {revision}, before the file")
            }
        }
    }
}

/// A policy, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    /// The policy.
    pub tenant: Arc<Tenant>,
    /// Where it stands.
    pub source: Source,
}

/// A tenant under another policy than before.
#[derive(Debug, Clone, PartialEq)]
pub struct Switched {
    /// Its id.
    pub tenant: String,
    /// Before; none: it was unknown.
    pub from: Option<InForce>,
    /// From now on; none: it is unknown.
    pub to: Option<InForce>,
}

/// Files, shelf, and the book made of both.
pub struct LiveTenants {
    settings: Tenants,
    files: Vec<Arc<Tenant>>,
    shelf: Shelf,
    in_force: BTreeMap<String, InForce>,
    book: watch::Sender<Arc<TenantBook>>,
}

impl LiveTenants {
    /// The tenants of the files; the book is said to everybody who reads it.
    ///
    /// # Errors
    /// When the folder cannot be read or any file is wrong.
    pub fn new(settings: Tenants, book: watch::Sender<Arc<TenantBook>>) -> Result<Self, TenantsError> {
        let files = load_files(&settings)?.into_iter().map(Arc::new).collect();
        let shelf = Shelf::default();
        let mut this = Self { settings, files, shelf, in_force: BTreeMap::new(), book };
        this.swap();
        Ok(this)
    }

    /// Entries of the trail about tenants, oldest first. Says whose policy is another one now, and which entries have
    /// mistakes.
    pub fn take(&mut self, changes: Vec<Change>) -> (Vec<Switched>, Vec<Refused>) {
        if changes.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let refused = self.shelf.take(changes);
        (self.swap(), refused)
    }

    /// The database does not know any more what it said before: these are all of its entries.
    pub fn take_all(&mut self, changes: Vec<Change>) -> (Vec<Switched>, Vec<Refused>) {
        self.shelf = Shelf::default();
        let refused = self.shelf.take(changes);
        (self.swap(), refused)
    }

    /// Read the files again.
    ///
    /// # Errors
    /// When the folder cannot be read, any file is wrong, or says something else under a version that is in force; then
    /// nothing changes.
    pub fn reload_files(&mut self) -> Result<Vec<Switched>, TenantsError> {
        let files = load_files(&self.settings)?;
        let taken: Vec<_> = files.iter().filter_map(|tenant| self.version_taken(tenant)).collect();
        if !taken.is_empty() {
            return Err(TenantsError::Invalid(taken));
        }
        self.files = files.into_iter().map(Arc::new).collect();
        Ok(self.swap())
    }

    /// A version stands for one policy, which answers and decisions name by it.
    fn version_taken(&self, tenant: &Tenant) -> Option<TenantProblem> {
        let before = self.in_file(&tenant.id).filter(|before| before.version == tenant.version)?;
        let message = format!(
            "{:?} is the version of the policy before: another policy needs another one (only `limits` and `enabled` may \
             change under the same)",
            tenant.version
        );
        let file = self.settings.directory.clone().unwrap_or_default().join(format!("{}.toml", tenant.id));
        (!decide_alike(before, tenant)).then(|| TenantProblem { file, key: "version".to_owned(), message })
    }

    /// Everybody who has a policy, by id.
    pub fn in_force(&self) -> impl Iterator<Item = &InForce> {
        self.in_force.values()
    }

    /// This tenant's policy, if it has one of its own.
    #[must_use]
    pub fn find(&self, tenant: &str) -> Option<&InForce> {
        self.in_force.get(tenant)
    }

    /// The policy in this tenant's file.
    #[must_use]
    pub fn in_file(&self, tenant: &str) -> Option<&Arc<Tenant>> {
        self.files.iter().find(|of_file| of_file.id == tenant)
    }

    /// What stands in this tenant's file now, word for word.
    #[must_use]
    pub fn file_text(&self, tenant: &str) -> Option<String> {
        self.in_file(tenant)?;
        let folder = self.settings.directory.as_ref()?;
        std::fs::read_to_string(folder.join(format!("{tenant}.toml"))).ok()
    }

    fn swap(&mut self) -> Vec<Switched> {
        let of_file = |tenant: &Arc<Tenant>| InForce { tenant: tenant.clone(), source: Source::File };
        let mut now: BTreeMap<String, InForce> =
            self.files.iter().map(|tenant| (tenant.id.clone(), of_file(tenant))).collect();
        // Answers that were asked before there was an entry name the version in the file.
        let mut former = Vec::new();
        for (revision, tenant) in self.shelf.in_force() {
            let hidden = now.remove(&tenant.id);
            let source = Source::Database { revision, hides_file: hidden.is_some() };
            former.extend(hidden.map(|hidden| hidden.tenant));
            now.insert(tenant.id.clone(), InForce { tenant: tenant.clone(), source });
        }
        former.extend(self.shelf.former().cloned());
        let known = now.values().map(|in_force| in_force.tenant.clone()).collect();
        let before = std::mem::replace(&mut self.in_force, now);
        self.book.send_replace(Arc::new(book(self.settings.unknown, known).remembering(former)));
        self.switched(before)
    }

    fn switched(&self, mut before: BTreeMap<String, InForce>) -> Vec<Switched> {
        let mut switched = Vec::new();
        for (id, now) in &self.in_force {
            let from = before.remove(id);
            if from.as_ref().is_none_or(|from| from != now) {
                switched.push(Switched { tenant: id.clone(), from, to: Some(now.clone()) });
            }
        }
        let gone = before.into_iter().map(|(id, from)| Switched { tenant: id, from: Some(from), to: None });
        switched.extend(gone);
        switched
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::shelf::tests::{entry, set};
    use super::*;
    use crate::operations::trail::Act;
    use crate::settings::tenants::UnknownTenant;

    fn live(folder: &Path, unknown: UnknownTenant) -> (LiveTenants, watch::Receiver<Arc<TenantBook>>) {
        let poll_interval = std::time::Duration::from_secs(1);
        let has_files = std::fs::read_dir(folder).expect("it is there").next().is_some();
        let settings = Tenants { directory: has_files.then(|| folder.to_owned()), unknown, poll_interval };
        let (book, read) = watch::channel(Arc::default());
        (LiveTenants::new(settings, book).expect("right"), read)
    }

    fn write(folder: &Path, id: &str, version: &str) {
        let text = format!("id = '{id}'\nversion = '{version}'");
        std::fs::write(folder.join(format!("{id}.toml")), text).expect("written");
    }

    fn version(book: &watch::Receiver<Arc<TenantBook>>, id: &str) -> Option<String> {
        book.borrow().find(id).map(|tenant| tenant.version.clone())
    }

    #[test]
    fn the_database_wins_over_the_file_until_it_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "acme", "file");
        let (mut live, book) = live(folder.path(), UnknownTenant::Reject);
        assert_eq!(version(&book, "acme").as_deref(), Some("file"));
        let (switched, _) = live.take(vec![set(1, "acme", "db"), set(2, "globex", "g")]);
        let told: Vec<_> = switched.iter().map(|s| (&*s.tenant, s.from.is_some(), s.to.is_some())).collect();
        assert_eq!(told, [("acme", true, true), ("globex", false, true)]);
        assert_eq!((version(&book, "acme").as_deref(), version(&book, "globex").as_deref()), (Some("db"), Some("g")));
        assert_eq!(live.find("acme").expect("known").source, Source::Database { revision: 1, hides_file: true });
        assert!(book.borrow().of_version("acme", "file").is_some(), "what was asked under the file is judged under it");

        let removals = ["acme", "globex"].map(|id| entry(id.len() as u64, id, Act::Removed, None));
        let (switched, _) = live.take(removals.into());
        assert_eq!(switched.len(), 2);
        assert_eq!((version(&book, "acme").as_deref(), version(&book, "globex")), (Some("file"), None));
        assert!(book.borrow().of_version("acme", "db").is_some());
    }

    #[test]
    fn files_are_taken_again_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "acme", "1");
        let (mut live, book) = live(folder.path(), UnknownTenant::Reject);
        write(folder.path(), "acme", "2");
        std::fs::write(folder.path().join("globex.toml"), "id = 'globex'\nversion = ''").expect("written");
        assert!(live.reload_files().is_err());
        assert_eq!(version(&book, "acme").as_deref(), Some("1"));
        write(folder.path(), "globex", "1");
        assert_eq!(live.reload_files().expect("right").len(), 2);
        assert_eq!((version(&book, "acme").as_deref(), version(&book, "globex").as_deref()), (Some("2"), Some("1")));
    }

    #[test]
    fn another_policy_under_the_version_of_the_one_before_is_refused_and_other_limits_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (acme, globex) = (folder.path().join("acme.toml"), folder.path().join("globex.toml"));
        write(folder.path(), "acme", "1");
        write(folder.path(), "globex", "1");
        let (mut live, book) = live(folder.path(), UnknownTenant::Reject);
        std::fs::write(&acme, "id = 'acme'\nversion = '1'\ndecide_by = '45s'").expect("written");
        std::fs::write(&globex, "id = 'globex'\nversion = '1'\nlimits = { weight = 2 }").expect("written");
        let said = live.reload_files().expect_err("1 is taken").to_string();
        assert!(said.contains("acme.toml, `version`: \"1\" is the version of the policy before"), "{said}");
        assert_eq!(book.borrow().find("globex").expect("known").limits.weight, 1, "all of them or none");
        std::fs::write(&acme, "id = 'acme'\nversion = '2'\ndecide_by = '45s'").expect("written");
        assert_eq!(live.reload_files().expect("right").len(), 2);
        assert_eq!(book.borrow().find("globex").expect("known").limits.weight, 2);
    }

    #[test]
    fn a_policy_named_default_in_the_database_is_that_of_all_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut live, book) = live(folder.path(), UnknownTenant::Default);
        assert_eq!(version(&book, "nobody").as_deref(), Some("1"));
        live.take(vec![set(1, "default", "7")]);
        assert_eq!(version(&book, "nobody").as_deref(), Some("7"));
    }

    #[test]
    fn a_database_that_went_back_takes_back_what_it_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut live, book) = live(folder.path(), UnknownTenant::Reject);
        live.take(vec![set(1, "acme", "a"), set(2, "acme", "b"), set(3, "globex", "g")]);
        let (switched, _) = live.take_all(vec![set(1, "acme", "a")]);
        assert_eq!(switched.len(), 2);
        assert_eq!((version(&book, "acme").as_deref(), version(&book, "globex")), (Some("a"), None));
    }
}
