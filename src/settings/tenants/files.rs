//! The folder of tenants: one TOML file each, taken as a whole or refused as a whole.
//!
//! All problems of all files are reported at once. Nothing of a folder with a problem is taken: a tenant that vanishes
//! because of a slip in its file would have its events rejected.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::{Table, Value};

use super::{Tenants, UnknownTenant, document};
use crate::domain::tenant::{Tenant, TenantBook};

/// The id of the policy for tenants without a file, and the stem of the file that may hold it.
const DEFAULT_ID: &str = "default";

/// Why there are no tenants. The operator's to mend, as [`super::super::problem::SettingsError`] is.
#[derive(Debug, thiserror::Error)]
pub enum TenantsError {
    /// The folder cannot be read.
    #[error("cannot read the tenants in {path} (tenants.directory): {source}")]
    Unreadable {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A mount that is missing, or a copy half done, looks like this; every event would be rejected.
    #[error(
        "there is no tenant (*.toml) in {path} (tenants.directory): is it mounted? Without files, in the database alone, leave \
         tenants.directory out"
    )]
    Empty {
        /// Which folder.
        path: PathBuf,
    },
    /// Everything that is wrong in the files.
    #[error("{} problem{} in the files of tenants:{}", .0.len(), if .0.len() == 1 { "" } else { "s" }, list(.0))]
    Invalid(Vec<TenantProblem>),
}

/// One thing that is wrong in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantProblem {
    /// Which file.
    pub file: PathBuf,
    /// Which key, `taxonomy.categories[2].name`; empty: the file as a whole.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for TenantProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if !self.key.is_empty() {
            write!(f, ", `{}`", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

fn list(problems: &[TenantProblem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// All tenants that have a file.
///
/// # Errors
/// When the folder cannot be read or any file is wrong.
pub fn load_files(tenants: &Tenants) -> Result<Vec<Tenant>, TenantsError> {
    let mut known = Vec::new();
    let mut problems = Vec::new();
    for file in files(tenants.directory.as_deref())? {
        match read(&file) {
            Ok(tenant) => known.push(tenant),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(known) } else { Err(TenantsError::Invalid(problems)) }
}

/// The tenants in files, and what becomes of others.
///
/// # Errors
/// When the folder cannot be read or any file is wrong.
pub fn load_book(tenants: &Tenants) -> Result<TenantBook, TenantsError> {
    let known = load_files(tenants)?.into_iter().map(Arc::new).collect();
    Ok(book(tenants.unknown, known))
}

/// A book of these. Under `default` those without a policy of their own run under that of the tenant `default`, or under
/// the built-in one.
#[must_use]
pub fn book(unknown: UnknownTenant, known: Vec<Arc<Tenant>>) -> TenantBook {
    let for_unknown = match unknown {
        UnknownTenant::Reject => None,
        UnknownTenant::Default => {
            let own = known.iter().find(|tenant| tenant.id == DEFAULT_ID);
            Some(own.map_or_else(built_in_policy, |own| Tenant::clone(own)))
        }
    };
    TenantBook::new(known, for_unknown)
}

fn built_in_policy() -> Tenant {
    let only_id = Table::from_iter([("id".to_owned(), Value::from(DEFAULT_ID))]);
    only_id.try_into().expect("every key of a tenant but its id has a default")
}

/// The TOML files of the folder in the order of their names; hidden ones are editors' and mounts' own.
fn files(directory: Option<&Path>) -> Result<Vec<PathBuf>, TenantsError> {
    let Some(directory) = directory else { return Ok(Vec::new()) };
    let unreadable = |source| TenantsError::Unreadable { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(TenantsError::Empty { path: directory.to_owned() });
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Tenant, Vec<TenantProblem>> {
    let problem = |key: String, message: String| TenantProblem { file: file.to_owned(), key, message };
    let whole = |message: String| vec![problem(String::new(), message)];
    // Before it is read: what is larger than memory stays where it is.
    let length = std::fs::metadata(file).map_err(|error| whole(error.to_string()))?.len();
    if length > document::MAX_BYTES {
        return Err(whole(format!("has {length} bytes, at most {} are read", document::MAX_BYTES)));
    }
    let text = std::fs::read_to_string(file).map_err(|error| whole(error.to_string()))?;
    let read = document::read(&text);
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let misnamed = read.as_ref().ok().filter(|tenant| tenant.id != stem);
    let misnamed = misnamed.map(|tenant| format!("is {:?}, but the file is named {stem}.toml", tenant.id));
    match (read, misnamed) {
        (Ok(tenant), None) => Ok(tenant),
        (Ok(_), Some(message)) => Err(vec![problem("id".to_owned(), message)]),
        (Err(broken), _) => Err(broken.into_iter().map(|rule| problem(rule.key, rule.message)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tenants::rules;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        folder
    }

    fn tenants(directory: Option<PathBuf>, unknown: UnknownTenant) -> Tenants {
        Tenants { directory, unknown, poll_interval: std::time::Duration::from_secs(1) }
    }

    fn book(files: &[(&str, &str)], unknown: UnknownTenant) -> Result<TenantBook, TenantsError> {
        let folder = folder(files);
        load_book(&tenants(Some(folder.path().to_owned()), unknown))
    }

    /// Key and message of every problem.
    fn problems(files: &[(&str, &str)]) -> Vec<(String, String)> {
        match book(files, UnknownTenant::Reject).expect_err("wrong on purpose") {
            TenantsError::Invalid(problems) => problems.into_iter().map(|p| (p.key, p.message)).collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_tenants_that_ship_as_examples_are_right() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tenants");
        let book = load_book(&tenants(Some(directory), UnknownTenant::Reject)).expect("right");
        let ids: Vec<_> = book.known().map(|tenant| tenant.id.as_str()).collect();
        assert_eq!(ids, ["acme", "globex"]);
    }

    #[test]
    fn the_built_in_policy_keeps_its_own_rules() {
        assert_eq!(rules::check(&built_in_policy()), []);
    }

    #[test]
    fn an_unknown_tenant_is_nobody_or_runs_under_the_default_policy_or_that_of_its_file() {
        let found = |files: &[(&str, &str)], unknown| {
            let book = book(files, unknown).expect("right");
            book.find("nobody").map(|tenant| tenant.version.clone())
        };
        let own = [("default.toml", "id = 'default'\nversion = '7'")];
        assert_eq!(found(&own, UnknownTenant::Reject), None);
        let without_files = load_book(&tenants(None, UnknownTenant::Default)).expect("right");
        assert_eq!(without_files.find("nobody").map(|tenant| &*tenant.version), Some("1"));
        assert_eq!(found(&own, UnknownTenant::Default).as_deref(), Some("7"));
    }

    #[test]
    fn a_folder_without_any_tenant_is_a_mistake_whatever_becomes_of_unknown_ones() {
        for files in [&[][..], &[("README.md", "text"), (".a.toml", "id = 'a'")]] {
            for unknown in [UnknownTenant::Reject, UnknownTenant::Default] {
                let refused = book(files, unknown).expect_err("it is not mounted, perhaps");
                assert!(matches!(refused, TenantsError::Empty { .. }), "{refused}");
            }
        }
    }

    #[test]
    fn only_toml_files_that_are_not_hidden_are_tenants() {
        let files =
            [("a.toml", "id = 'a'"), (".b.toml", "broken ="), ("README.md", "broken ="), ("a.toml~", "broken =")];
        assert_eq!(book(&files, UnknownTenant::Reject).expect("right").known().count(), 1);
        let nothing = load_book(&tenants(None, UnknownTenant::Reject)).expect("right");
        assert_eq!(nothing.known().count(), 0);
    }

    #[test]
    fn a_folder_or_file_that_cannot_be_read_is_named() {
        let gone = tenants(Some("/no/such/folder".into()), UnknownTenant::Reject);
        assert!(load_book(&gone).expect_err("gone").to_string().contains("/no/such/folder"));
        let found = problems(&[("a.toml", "id = 'a'\nversion =")]);
        assert!(found[0].1.starts_with("line 2"), "{found:?}");
    }

    #[test]
    fn unknown_keys_and_wrong_types_name_their_place() {
        for (text, key) in [
            ("colour = 1", "colour"),
            ("limits = { wait = 1 }", "limits.wait"),
            ("limits = { weight = 'x' }", "limits.weight"),
            ("limits = { weight = -1 }", "limits.weight"),
            ("decide_by = 'soon'", "decide_by"),
            (
                "taxonomy = { version = '1', categories = [{ name = 'a', description = 'b', q = 1 }] }",
                "taxonomy.categories[0].q",
            ),
        ] {
            assert_eq!(problems(&[("a.toml", &format!("id = 'a'\n{text}"))])[0].0, key, "{text}");
        }
    }

    #[test]
    fn the_problems_of_all_files_are_reported_together() {
        let found = problems(&[
            ("a.toml", "id = 'a'\nversion = ''"),
            ("b.toml", "id = 'c'"),
            ("c.toml", "x = 1"),
            ("d.toml", "id = 'd'"),
        ]);
        assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["version", "id", "x", ""]);
    }
}
