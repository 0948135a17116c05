//! Tables into a tenant's policy: the same document with another version, changed as any policy is.
//!
//! Nothing takes effect by itself: what comes out of here is a proposal that `tenants set` could have made, checked by the
//! same rules, entered in the same trail, undone by setting the former document again. Words and comments of the document
//! stay as people wrote them.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TomlError, value};

use super::report::{Candidate, Report};
use crate::domain::calibration::Calibration;
use crate::domain::tenant::Tenant;
use crate::operations::tenants::edit::{self, EditError, Proposal};
use crate::operations::tenants::live::{LiveTenants, Source};
use crate::operations::trail::AuditTrail;
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::settings::tenants::document;

/// Why nothing can be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It has no document that could be changed.
    #[error(
        "tenant {0:?} has no policy of its own, so there is no document that tables could stand in: give it one (tenants set)"
    )]
    NoPolicy(String),
    /// Not enough was said, about anything that was asked for.
    #[error("tenant {tenant:?}: no field has {min_reviews} judgements of one model and prompt yet{}", list(found))]
    TooFew {
        /// Whose.
        tenant: String,
        /// So many a table takes.
        min_reviews: u32,
        /// What there is.
        found: Vec<String>,
    },
    /// Where people only say what is wrong, nobody knows how often it is right.
    #[error(
        "tenant {tenant:?}, {field}: all {reviews} judgements are overrides. A table of those would say that nothing is ever \
         right; what people accept has to be said as well (kind ACCEPTED)"
    )]
    OnlyMistakes {
        /// Whose.
        tenant: String,
        /// Which field.
        field: String,
        /// How many.
        reviews: u32,
    },
    /// Everything that was said is in the policy already.
    #[error("tenant {0:?}: nothing was said since these tables were made; nothing is changed")]
    NothingNew(String),
    /// The document in force is not the text it was taken from.
    #[error("the policy of tenant {tenant:?} cannot be changed: {source}")]
    Document {
        /// Whose.
        tenant: String,
        /// Why.
        source: TomlError,
    },
    /// What it became is no policy.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn list(found: &[String]) -> String {
    found.iter().map(|one| format!("\n  {one}")).collect()
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Whose policy.
    pub tenant: String,
    /// Only these fields; empty: all about which enough was said.
    pub fields: Vec<String>,
    /// The new version of the policy; none: the present one with `-cal1` behind it, or the next number that is free.
    pub version: Option<String>,
}

/// A policy with these tables, and its document.
#[derive(Debug)]
pub struct Installable {
    /// To be set.
    pub proposal: Proposal,
    /// As it would stand.
    pub document: String,
    /// What is in it that is new.
    pub tables: Vec<Calibration>,
}

/// The tenant's policy with the tables of this report.
///
/// # Errors
/// Everything that speaks against it.
pub async fn propose(
    trail: Option<&dyn AuditTrail>,
    tenants: &LiveTenants,
    report: &Report,
    wish: &Wish,
) -> Result<Installable, InstallError> {
    let no_policy = || InstallError::NoPolicy(wish.tenant.clone());
    let in_force = tenants.find(&wish.tenant).ok_or_else(no_policy)?;
    let entries = match trail {
        Some(trail) => edit::history(trail, &wish.tenant).await?,
        None => Vec::new(),
    };
    let text = match in_force.source {
        Source::File => tenants.file_text(&wish.tenant),
        Source::Database { revision, .. } => {
            entries.iter().find(|entry| entry.revision == revision).and_then(|entry| entry.document.clone())
        }
    };
    let text = text.ok_or_else(no_policy)?;
    let of_trail = entries.iter().filter_map(|entry| document::read(entry.document.as_deref()?).ok());
    let of_file = tenants.in_file(&wish.tenant).map(|of_file| Tenant::clone(of_file));
    let taken: Vec<String> = of_trail.chain(of_file).map(|policy| policy.version).collect();
    let version = wish.version.clone().unwrap_or_else(|| next_version(&in_force.tenant.version, &taken));
    let mut tables = tables(report, wish, &version)?;
    let is_there = |table: &Calibration| {
        let version = |old: &Calibration| Calibration { version: table.version.clone(), ..old.clone() };
        in_force.tenant.calibration.iter().any(|old| version(old) == *table)
    };
    tables.retain(|table| !is_there(table));
    if tables.is_empty() {
        return Err(InstallError::NothingNew(wish.tenant.clone()));
    }
    let document = with_tables(&text, &in_force.tenant, &tables, &version)
        .map_err(|source| InstallError::Document { tenant: wish.tenant.clone(), source })?;
    Ok(Installable { proposal: edit::propose(trail, tenants, document.clone()).await?, document, tables })
}

fn tables(report: &Report, wish: &Wish, version: &str) -> Result<Vec<Calibration>, InstallError> {
    let is_wanted = |table: &&Candidate| {
        table.tenant == wish.tenant && (wish.fields.is_empty() || wish.fields.contains(&table.field))
    };
    let found: Vec<&Candidate> = report.tables.iter().filter(is_wanted).collect();
    let enough: Vec<&Candidate> = found.iter().copied().filter(|table| table.is_enough).collect();
    if enough.is_empty() || wish.fields.iter().any(|field| enough.iter().all(|table| table.field != *field)) {
        let found = found.iter().map(ToString::to_string).collect();
        return Err(InstallError::TooFew { tenant: wish.tenant.clone(), min_reviews: report.min_reviews, found });
    }
    let of = |table: &&Candidate| {
        if table.sees_only_mistakes() {
            let (field, reviews) = (table.field.clone(), table.reviews);
            return Err(InstallError::OnlyMistakes { tenant: wish.tenant.clone(), field, reviews });
        }
        Ok(Calibration {
            field: table.field.clone(),
            model: table.model.clone(),
            prompt: table.prompt.clone(),
            version: version.to_owned(),
            reviews: table.reviews,
            points: table.points.clone(),
        })
    };
    enough.iter().map(of).collect()
}

/// A version names one policy for ever.
fn next_version(now: &str, taken: &[String]) -> String {
    let base = match now.rsplit_once("-cal") {
        Some((base, number)) if number.parse::<u32>().is_ok() => base,
        _ => now,
    };
    let mut versions = (1_u32..).map(|number| format!("{base}-cal{number}"));
    versions.find(|version| !taken.contains(version)).expect("there are more numbers than entries")
}

/// The document with these tables beside those it has of other fields, models and prompts.
fn with_tables(text: &str, tenant: &Tenant, new: &[Calibration], version: &str) -> Result<String, TomlError> {
    let mut document: DocumentMut = text.parse()?;
    document["version"] = value(version);
    let is_replaced = |old: &&Calibration| new.iter().any(|table| table.is_for(&old.field, &old.model, &old.prompt));
    let kept = tenant.calibration.iter().filter(|old| !is_replaced(old));
    let tables: ArrayOfTables = kept.chain(new).map(table).collect();
    document.remove("calibration");
    document.insert("calibration", Item::ArrayOfTables(tables));
    Ok(document.to_string())
}

fn table(calibration: &Calibration) -> Table {
    let Calibration { field, model, prompt, version, reviews, points } = calibration;
    let mut table = Table::new();
    for (key, text) in [("field", field), ("model", model), ("prompt", prompt), ("version", version)] {
        table.insert(key, value(text));
    }
    table.insert("reviews", value(i64::from(*reviews)));
    let points: Array = points.iter().map(|[raw, worth]| Array::from_iter([*raw, *worth])).collect();
    table.insert("points", value(points));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ours\nid = \"acme\" # the id\n# of the policy\nversion = \"7\"\n\n[limits]\n# a minute\n\
                        requests_per_minute = 5\n# the end\n";

    fn calibration(field: &str, prompt: &str, worth: f64) -> Calibration {
        let [model, version] = ["small", "7-cal1"].map(str::to_owned);
        let points = vec![[0.5, 0.25], [0.95, worth]];
        Calibration { field: field.to_owned(), model, prompt: prompt.to_owned(), version, reviews: 300, points }
    }

    fn installed(text: &str, new: &[Calibration], version: &str) -> (String, Tenant) {
        let before = document::read(text).expect("a policy");
        let text = with_tables(text, &before, new, version).expect("TOML");
        let after = document::read(&text).unwrap_or_else(|broken| panic!("{broken:?}\n{text}"));
        (text, after)
    }

    #[test]
    fn the_document_stays_as_it_was_written_but_for_version_and_tables() {
        let new = [calibration("category", "p1", 0.9), calibration("queue", "p1", 0.8)];
        let (text, after) = installed(TEXT, &new, "7-cal1");
        assert_eq!((after.version.as_str(), &after.calibration[..]), ("7-cal1", &new[..]));
        for line in ["# ours", "id = \"acme\" # the id", "# of the policy", "# a minute", "# the end"] {
            assert!(text.contains(line), "{line} is gone: {text}");
        }
        let expected =
            Tenant { version: "7-cal1".into(), calibration: new.into(), ..document::read(TEXT).expect("one") };
        assert_eq!(after, expected, "nothing else decides otherwise");
    }

    #[test]
    fn a_table_takes_the_place_of_its_own_and_of_no_other() {
        let first = [calibration("category", "p1", 0.9), calibration("category", "p2", 0.8)];
        let (text, _) = installed(TEXT, &first, "7-cal1");
        let (text, after) = installed(&text, &[calibration("category", "p1", 0.7)], "7-cal2");
        assert_eq!(after.calibration, [calibration("category", "p2", 0.8), calibration("category", "p1", 0.7)]);
        assert_eq!(text.matches("[[calibration]]").count(), 2, "{text}");
        let inline = format!(
            "calibration = [{{ field = 'queue', model = 'm', prompt = 'p', version = '1', reviews = 9, points = [[0.5, 0.5]] }}]\n{TEXT}"
        );
        let (_, after) = installed(&inline, &first, "7-cal1");
        assert_eq!(after.calibration.len(), 3, "however it was written");
    }

    #[test]
    fn a_document_without_a_version_or_with_comments_only_at_its_end_takes_tables() {
        let (_, after) = installed("id = 'acme'", &[calibration("category", "p1", 0.9)], "1-cal1");
        assert_eq!(after.version, "1-cal1");
        let shipped = std::fs::read_to_string("config/tenants/acme.toml").expect("it ships");
        let (_, after) = installed(&shipped, &[calibration("category", "p1", 0.9)], "x-cal1");
        assert_eq!(after.calibration.len(), 1);
    }

    #[test]
    fn a_version_that_was_used_is_not_used_again() {
        let taken = ["7", "7-cal1", "7-cal2"].map(str::to_owned);
        assert_eq!(next_version("7-cal1", &taken), "7-cal3");
        assert_eq!(next_version("8", &taken), "8-cal1");
        assert_eq!(next_version("a-california", &taken), "a-california-cal1");
    }
}
