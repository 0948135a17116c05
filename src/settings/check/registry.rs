//! Rules about the schema registry: one way to log in, and a URL that may be asked.

use super::super::layers::KeyPath;
use super::super::ledger_url::is_loopback;
use super::super::problem::Violation;
use super::super::schemas::Registry;
use super::plaintext_host;

const URL: &str = "schemas.registry.url";

/// Every rule about `schemas.registry` that is broken.
pub(super) fn check(registry: &Registry, broken: &mut Vec<Violation>) {
    if let Some(Err(message)) = registry.url.as_deref().map(plaintext_host) {
        broken.push(Violation::new(&[URL], message));
    }
    match (&registry.username, &registry.password) {
        (Some(_), None) => broken.push(Violation::new(
            &["schemas.registry.password", "schemas.registry.username"],
            "is needed with schemas.registry.username",
        )),
        (None, Some(_)) => broken.push(Violation::new(
            &["schemas.registry.username", "schemas.registry.password"],
            "is needed with schemas.registry.password",
        )),
        _ => {}
    }
    // It stands before the colon of what is sent.
    if registry.username.as_ref().is_some_and(|name| name.is_empty() || name.contains(':')) {
        broken.push(Violation::new(&["schemas.registry.username"], "expected a name without a colon"));
    }
    if registry.token.is_some() && registry.password.is_some() {
        broken.push(Violation::new(
            &["schemas.registry.token", "schemas.registry.password"],
            "either a token or a user with a password",
        ));
    }
    if registry.connect_timeout > registry.request_timeout {
        broken.push(Violation::new(
            &["schemas.registry.connect_timeout", "schemas.registry.request_timeout"],
            "must not be longer than schemas.registry.request_timeout",
        ));
    }
    if registry.retry.base > registry.retry.cap {
        broken.push(Violation::new(
            &["schemas.registry.retry.base", "schemas.registry.retry.cap"],
            "must not be longer than schemas.registry.retry.cap",
        ));
    }
}

/// Whoever stands between could say what every value means, and reads what we log in with.
pub(super) fn is_plaintext(registry: &Registry) -> Option<KeyPath> {
    let host = registry.url.as_deref().and_then(|url| plaintext_host(url).ok().flatten())?;
    (!is_loopback(&host)).then(|| KeyPath::dotted(URL))
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused;

    #[test]
    fn each_rule_about_the_registry_names_the_key_to_change() {
        let with = |sets: &[&str]| {
            let sets: Vec<_> = ["schemas.registry.url=http://127.0.0.1:8081"].iter().chain(sets).copied().collect();
            refused(None, &sets)
        };
        for (sets, key) in [
            (&["schemas.registry.url=registry:8081"][..], "schemas.registry.url"),
            (&["schemas.registry.url=ftp://registry"], "schemas.registry.url"),
            (&["schemas.registry.url=http://me:pw@registry"], "schemas.registry.url"),
            (&["schemas.registry.username=me"], "schemas.registry.password"),
            (&["schemas.registry.password=correct-horse"], "schemas.registry.username"),
            (
                &["schemas.registry.username=a:b", "schemas.registry.password=correct-horse"],
                "schemas.registry.username",
            ),
            (
                &[
                    "schemas.registry.username=me",
                    "schemas.registry.password=correct-horse",
                    "schemas.registry.token=battery-staple",
                ],
                "schemas.registry.token",
            ),
            (&["schemas.registry.connect_timeout=6s"], "schemas.registry.connect_timeout"),
            (&["schemas.registry.retry.base=11s"], "schemas.registry.retry.base"),
            (&["schemas.registry.max_schemas=1"], "schemas.registry.max_schemas"),
            (&["schemas.registry.token=short"], "schemas.registry.token"),
        ] {
            assert_eq!(with(sets), [key], "{sets:?}");
        }
        assert_eq!(with(&[]), [""; 0]);
        assert_eq!(with(&["schemas.registry.username=me", "schemas.registry.password=correct-horse"]), [""; 0]);
    }

    /// Ids come from the registry then.
    #[test]
    fn with_a_registry_nobody_looks_at_the_table_of_ids() {
        let twice = "schemas.ids.\"OpsEvent.v1\"=1";
        assert_eq!(refused(None, &[twice]), ["schemas.ids.\"SupportEvent.v1\""]);
        assert_eq!(refused(None, &[twice, "schemas.registry.url=http://127.0.0.1:8081"]), [""; 0]);
    }

    #[test]
    fn production_refuses_a_registry_without_tls() {
        let plain = "schemas.registry.url=http://registry.example:8081";
        assert_eq!(refused(Some("production"), &[plain]), ["schemas.registry.url"]);
        assert_eq!(refused(None, &[plain]), [""; 0]);
        for safe in ["https://registry.example", "http://127.0.0.1:8081"] {
            assert_eq!(refused(Some("production"), &[&format!("schemas.registry.url={safe}")]), [""; 0]);
        }
    }
}
