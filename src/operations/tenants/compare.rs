//! What is different between two policies, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::domain::tenant::{Limits, Tenant};

/// One key that is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which, `thresholds.apply`; entries of lists that have a name go by it, `taxonomy.categories[billing].queue`.
    pub key: String,
    /// Before; none: it was not there.
    pub from: Option<String>,
    /// After; none: it is not there.
    pub to: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{}: {} -> {}", self.key, shown(&self.from), shown(&self.to))
    }
}

/// Every key that is different, in the order of keys; `None`: there was nothing before.
#[must_use]
pub fn differences(before: Option<&Tenant>, after: &Tenant) -> Vec<Difference> {
    let (mut before, mut after) = (before.map(keys).unwrap_or_default(), keys(after));
    let all: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let of = |key: String| Difference { from: before.remove(&key), to: after.remove(&key), key };
    all.into_iter().map(of).filter(|difference| difference.from != difference.to).collect()
}

/// Whether both decide the same: how much a tenant may ask, and whether it may at all, is no part of any decision.
#[must_use]
pub fn decide_alike(one: &Tenant, other: &Tenant) -> bool {
    let decides = |tenant: &Tenant| Tenant { limits: Limits::default(), enabled: true, ..tenant.clone() };
    decides(one) == decides(other)
}

fn keys(tenant: &Tenant) -> BTreeMap<String, String> {
    let value = serde_json::to_value(tenant).expect("a policy was read from text with the same names");
    let mut keys = BTreeMap::new();
    walk(String::new(), &value, &mut keys);
    keys
}

fn walk(at: String, value: &Value, keys: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            let dot = if at.is_empty() { "" } else { "." };
            fields.iter().for_each(|(name, value)| walk(format!("{at}{dot}{name}"), value, keys));
        }
        Value::Array(entries) if entries.iter().any(Value::is_object) => {
            for (index, entry) in entries.iter().enumerate() {
                let name = entry["name"].as_str().map_or_else(|| index.to_string(), str::to_owned);
                walk(format!("{at}[{name}]"), entry, keys);
            }
        }
        Value::Null => {}
        other => drop(keys.insert(at, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tenants::document;

    fn policy(text: &str) -> Tenant {
        document::read(&format!("id = 'acme'\n{text}")).expect("right")
    }

    fn told(before: &str, after: &str) -> Vec<String> {
        differences(Some(&policy(before)), &policy(after)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_key_that_is_different_is_told_with_both_values() {
        let after = "version = '2'\ndecide_by = '45s'\n[limits]\nrequests_per_minute = 6\n[thresholds]\napply = 0.95";
        assert_eq!(
            told("", after),
            [
                "decide_by: \"1m\" -> \"45s\"",
                "limits.requests_per_minute: nothing -> 6",
                "thresholds.apply: 0.9 -> 0.95",
                "version: \"1\" -> \"2\"",
            ]
        );
        assert_eq!(told(after, after), Vec::<String>::new());
    }

    #[test]
    fn entries_of_lists_go_by_their_names() {
        let label = |name: &str, description: &str| format!("{{ name = '{name}', description = '{description}' }}");
        let taxonomy = |labels: &[String]| {
            format!("human_lanes = []\n[taxonomy]\nversion = '1'\ncategories = [{}]", labels.join(", "))
        };
        let before = taxonomy(&[label("a", "first"), label("b", "second")]);
        let after = taxonomy(&[label("c", "third"), label("a", "first"), label("b", "changed")]);
        assert_eq!(
            told(&before, &after),
            [
                "taxonomy.categories[b].description: \"second\" -> \"changed\"",
                "taxonomy.categories[c].description: nothing -> \"third\"",
                "taxonomy.categories[c].name: nothing -> \"c\"",
            ]
        );
    }

    #[test]
    fn limits_and_the_door_decide_nothing() {
        let limited = policy("enabled = false\n[limits]\nweight = 3");
        assert!(decide_alike(&policy(""), &limited));
        assert!(!decide_alike(&policy(""), &policy("decide_by = '45s'")));
    }
}
