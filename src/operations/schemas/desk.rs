//! What `gatekeeper schemas` shows and does.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::settle::newest;
use super::{Level, LevelOf, Subject, Subjects, Version, subjects};
use crate::pipeline::schema_set::registry::RegistryError;
use crate::pipeline::schema_set::{RELEASED, Released, readable_as};
use crate::settings::topics::Topics;

/// One subject as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub subject: String,
    /// Which record its values are.
    pub record: &'static str,
    /// Which changes it accepts.
    pub level: LevelOf,
    /// Oldest first.
    pub versions: Vec<ListedVersion>,
    /// Released versions that are not registered there.
    pub missing: Vec<String>,
}

/// One version of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedVersion {
    /// Within its subject.
    pub version: u32,
    /// What values are framed with.
    pub id: u32,
    /// The released version it is, if it is one of ours.
    pub is: Option<String>,
    /// Why its values cannot be read here, if they cannot.
    pub unreadable: Option<String>,
}

/// Every subject of ours.
///
/// # Errors
/// When the registry does not answer.
pub async fn list(registry: &dyn Subjects, topics: &Topics) -> Result<Vec<Listed>, RegistryError> {
    let mut listed = Vec::new();
    for subject in subjects(topics) {
        let versions = registry.versions(&subject.name).await?;
        let level = registry.level(&subject.name).await?;
        let versions: Vec<_> = versions.iter().map(|version| looked_at(&subject, version)).collect();
        let has = |released: &&Released| versions.iter().any(|version| version.is.as_ref() == Some(&released.name()));
        let missing = released(&subject).filter(|released| !has(released)).map(Released::name).collect();
        listed.push(Listed { subject: subject.name, record: subject.record, level, versions, missing });
    }
    Ok(listed)
}

fn released(subject: &Subject) -> impl Iterator<Item = &'static Released> {
    let record = subject.record;
    RELEASED.iter().filter(move |released| released.record == record)
}

fn looked_at(subject: &Subject, version: &Version) -> ListedVersion {
    // White space and the order of keys say nothing.
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    let document = parsed(&version.schema.text);
    let is = released(subject).find(|released| document.is_some() && parsed(released.text) == document);
    let unreadable = match readable_as(version.id, &version.schema) {
        Ok(record) if record.split(['.', ' ']).next() == Some(subject.record) => None,
        Ok(record) => Some(format!("it is a {record}, not a {}", subject.record)),
        Err(reason) => Some(reason),
    };
    ListedVersion { version: version.number, id: version.id, is: is.map(Released::name), unreadable }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// What.
    pub what: String,
    /// What to do.
    pub cure: String,
}

/// What a check found.
pub type Check = Vec<Flaw>;

/// Everything that keeps records from being written or read, or lets that come to pass.
///
/// # Errors
/// When the registry does not answer.
pub async fn check(registry: &dyn Subjects, topics: &Topics) -> Result<Check, RegistryError> {
    let mut flaws = Vec::new();
    let by_name: BTreeMap<_, _> = subjects(topics).into_iter().map(|subject| (subject.name.clone(), subject)).collect();
    for listed in list(registry, topics).await? {
        let (name, newest) = (&listed.subject, newest(&by_name[&listed.subject]));
        let mut flaw = |what: String, cure: &str| flaws.push(Flaw { what, cure: cure.to_owned() });
        if registry.find(name, newest.text).await?.is_none() {
            let objections = registry.objections(name, newest.text).await?;
            if objections.is_empty() {
                flaw(format!("{name}: {} is not registered", newest.name()), "gatekeeper schemas --register");
            } else {
                flaw(
                    format!("{name}: {} cannot be registered: {}", newest.name(), objections.join("; ")),
                    "another program's schema stands in this subject: give the topic another name, or move the other's",
                );
            }
        }
        for version in &listed.versions {
            if let Some(reason) = &version.unreadable {
                flaw(
                    format!(
                        "{name}: values of version {} (id {}) cannot be read: {reason}",
                        version.version, version.id
                    ),
                    "whoever writes them must use a version that is compatible; until then they end as UNKNOWN_SCHEMA",
                );
            }
        }
        if listed.level.level != Level::FullTransitive {
            let whose = if listed.level.own { "its own" } else { "the registry's" };
            flaw(
                format!(
                    "{name}: {whose} level is {}: a change that breaks readers would be accepted",
                    listed.level.level
                ),
                "gatekeeper schemas --compatibility FULL_TRANSITIVE",
            );
        }
    }
    Ok(flaws)
}

/// A released version in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Its subject.
    pub subject: String,
    /// Its name.
    pub schema: String,
    /// Its id.
    pub id: u32,
    /// Whether it was not there before.
    pub new: bool,
}

/// Every released version under its subject, in order.
///
/// # Errors
/// When the registry does not answer or refuses one; what was registered before stays.
pub async fn register(registry: &dyn Subjects, topics: &Topics) -> Result<Vec<Registered>, RegistryError> {
    let mut all = Vec::new();
    for subject in subjects(topics) {
        for released in released(&subject) {
            let (id, new) = match registry.find(&subject.name, released.text).await? {
                Some(id) => (id, false),
                None => (registry.register(&subject.name, released.text).await?, true),
            };
            all.push(Registered { subject: subject.name.clone(), schema: released.name(), id, new });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Shelf, topics};
    use super::*;

    const EVENTS: &str = "support.events.v1-value";

    fn whats(check: &[Flaw]) -> Vec<&str> {
        check.iter().map(|flaw| flaw.what.as_str()).filter(|what| what.starts_with(EVENTS)).collect()
    }

    #[tokio::test]
    async fn what_is_registered_with_its_level_is_as_it_should_be_and_registering_again_changes_nothing() {
        let shelf = Shelf::default();
        assert_eq!(check(&shelf, &topics()).await.expect("it answers").len(), 16, "all missing, and no level");
        let first = register(&shelf, &topics()).await.expect("it takes them");
        assert!(first.iter().all(|one| one.new) && first.len() == 10, "{first:?}");
        for subject in subjects(&topics()) {
            shelf.set_level(&subject.name, Level::FullTransitive).await.expect("it is there");
        }
        let again = register(&shelf, &topics()).await.expect("it has them");
        assert!(again.iter().zip(&first).all(|(again, first)| !again.new && again.id == first.id), "{again:?}");
        assert_eq!(check(&shelf, &topics()).await, Ok(Vec::new()));
        let listed = list(&shelf, &topics()).await.expect("it answers");
        let events = listed.iter().find(|listed| listed.subject == EVENTS).expect("a subject of ours");
        assert_eq!(events.versions[0].is.as_deref(), Some("SupportEvent.v1"));
        assert!(events.missing.is_empty() && events.level.own);
    }

    #[tokio::test]
    async fn a_schema_that_cannot_be_read_or_stands_in_the_way_is_named() {
        let shelf = Shelf::default();
        register(&shelf, &topics()).await.expect("it takes them");
        let invoice = r#"{"type":"record","name":"Invoice","fields":[]}"#;
        shelf.put(EVENTS, &[invoice]);
        shelf.objects(Some("a field is gone"));
        let flaws = check(&shelf, &topics()).await.expect("it answers");
        let whats = whats(&flaws);
        assert_eq!(whats[0], format!("{EVENTS}: SupportEvent.v1 cannot be registered: a field is gone"));
        assert!(whats[1].starts_with(&format!("{EVENTS}: values of version 1 (id ")), "{whats:?}");
        assert!(whats[1].ends_with("cannot be read: it is a Invoice, which is none of our records"), "{whats:?}");
        assert!(whats[2].contains("level is BACKWARD"), "{whats:?}");
        let other = RELEASED.iter().find(|released| released.record == "OpsEvent").expect("in the table");
        shelf.put(EVENTS, &[other.text]);
        let listed = list(&shelf, &topics()).await.expect("it answers");
        let unreadable = listed[0].versions[0].unreadable.clone().expect("it is another record");
        assert_eq!(
            (listed[0].subject.as_str(), unreadable.as_str()),
            (EVENTS, "it is a OpsEvent.v1, not a SupportEvent")
        );
    }
}
