//! Rules that a type cannot say: ranges, rules across sections, and what production refuses.
//!
//! Pure, and complete: every violation is listed, not the first. A rule names the keys it speaks of, the one to change
//! first. Rules about one tenant stand in [`super::tenants`].

mod cluster;
mod cluster_security;
mod registry;
mod switches;

use std::collections::BTreeSet;
use std::path::Path;

use super::Settings;
use super::http::Http;
use super::layers::KeyPath;
use super::ledger::Ledger;
use super::ledger_url::{self, Place, Tls, is_loopback};
use super::log::{EmbeddedLog, LogKind};
use super::models::{Model, OpenAi};
use super::naming::is_name;
use super::problem::{SettingsError, Violation};
use super::ranges;
use super::schemas::{Encoding, Schemas};
use super::tenants::UnknownTenant;
use super::topics::Topics;

/// Under which profile settings are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// None was named.
    #[default]
    None,
    /// For a laptop.
    Development,
    /// Refuses what is only fit for development.
    Production,
}

impl Profile {
    /// The profile of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: Option<&str>) -> Result<Self, SettingsError> {
        match name {
            None => Ok(Self::None),
            Some("development") => Ok(Self::Development),
            Some("production") => Ok(Self::Production),
            Some(name) => Err(SettingsError::UnknownProfile { name: name.to_owned() }),
        }
    }
}

/// Every rule that is broken.
#[must_use]
pub fn check(settings: &Settings, profile: Profile) -> Vec<Violation> {
    let mut broken = ranges::check(settings);
    names(settings, &mut broken);
    topics(&settings.topics, &mut broken);
    if settings.schemas.registry.url.is_none() {
        ids(&settings.schemas, &mut broken);
    }
    registry::check(&settings.schemas.registry, &mut broken);
    stores(&settings.log.embedded, &settings.ledger, &mut broken);
    if settings.limits.lease < 2 * settings.limits.trip_interval {
        broken.push(Violation::new(
            &["limits.lease", "limits.trip_interval"],
            "must be at least twice limits.trip_interval: who asks in time is not forgotten",
        ));
    }
    cluster::check(settings, &mut broken);
    cluster_security::check(&settings.log.kafka.security, &mut broken);
    pipeline(settings, &mut broken);
    models(settings, &mut broken);
    chain(settings, &mut broken);
    switches::check(settings, &mut broken);
    if profile == Profile::Production {
        production(settings, &mut broken);
    }
    broken
}

fn names(settings: &Settings, broken: &mut Vec<Violation>) {
    if !is_name(&settings.instance, 64) {
        broken.push(Violation::new(&["instance"], "expected 1 to 64 of A-Z a-z 0-9 . _ -"));
    }
    let groups = [
        ("log.embedded.group_id", &settings.log.embedded.group_id),
        ("log.kafka.group_id", &settings.log.kafka.group_id),
    ];
    for (key, group) in groups {
        if !is_name(group, 249) {
            broken.push(Violation::new(&[key], "expected 1 to 249 of A-Z a-z 0-9 . _ -"));
        }
    }
    if settings.telemetry.log_filter.trim().is_empty() {
        broken.push(Violation::new(&["telemetry.log_filter"], "expected a level such as info"));
    }
}

fn topics(topics: &Topics, broken: &mut Vec<Violation>) {
    let by_role = [
        ("topics.events", &topics.events),
        ("topics.human_feedback", &topics.human_feedback),
        ("topics.decisions", &topics.decisions),
        ("topics.feedback", &topics.feedback),
        ("topics.decision_reviews", &topics.decision_reviews),
        ("topics.dead_letters", &topics.dead_letters),
        ("topics.decisions_shadow", &topics.decisions_shadow),
        ("topics.ops", &topics.ops),
    ];
    let mut seen = BTreeSet::new();
    for (key, name) in by_role {
        if !is_name(name, 249) {
            broken.push(Violation::new(&[key], "expected 1 to 249 of A-Z a-z 0-9 . _ -"));
        }
        if !seen.insert(name.clone()) {
            broken.push(Violation::new(&[key], "another role has the same topic"));
        }
    }
    let key = "topics.deferred";
    if topics.deferred.matches("{tier}").count() != 1 {
        broken.push(Violation::new(&[key], "expected {tier} exactly once"));
        return;
    }
    for tier in Topics::TIERS {
        let name = topics.deferred.replace("{tier}", tier);
        if !is_name(&name, 249) {
            broken.push(Violation::new(&[key], "expected 1 to 249 of A-Z a-z 0-9 . _ - around {tier}"));
            return;
        }
        if !seen.insert(name) {
            broken.push(Violation::new(&[key], format!("another role has the same topic as tier {tier}")));
        }
    }
}

/// Every record that is read or written by id.
const RECORDS: [&str; 9] = [
    "SupportEvent.v1",
    "TriageDecision.v1",
    "EventFeedback.v1",
    "DeadLetter.v1",
    "OpsEvent.v1",
    "OpsEvent.v2",
    "HumanFeedback.v1",
    "DecisionReview.v1",
    "DecisionReview.v2",
];

fn ids(schemas: &Schemas, broken: &mut Vec<Violation>) {
    let key = |record: &str| KeyPath::dotted("schemas.ids").join(record);
    let mut seen = BTreeSet::new();
    for (record, id) in &schemas.ids {
        let mut violation = |message: &str| broken.push(Violation { keys: vec![key(record)], message: message.into() });
        let version = record.rsplit_once(".v").and_then(|(name, version)| Some((name, version.parse::<u32>().ok()?)));
        if !version.is_some_and(|(name, version)| is_name(name, 64) && version > 0) {
            violation("expected Record.vN, such as SupportEvent.v1");
        }
        if *id == 0 {
            violation("schema ids start at 1");
        }
        if !seen.insert(id) {
            violation("another record has the same id");
        }
    }
    for record in RECORDS {
        if schemas.output == Encoding::Avro && !schemas.ids.contains_key(record) {
            broken.push(Violation { keys: vec![key(record)], message: "avro output needs this id".to_owned() });
        }
    }
}

fn stores(log: &EmbeddedLog, ledger: &Ledger, broken: &mut Vec<Violation>) {
    let log_path = log.path.to_string_lossy();
    if log_path.is_empty() || log_path.contains(":memory:") {
        broken.push(Violation::new(&["log.embedded.path"], "expected a file: what was read must survive a crash"));
    }
    match ledger_url::place(&ledger.url) {
        Err(message) => broken.push(Violation::new(&["ledger.url"], message)),
        Ok(Place::File(path)) if is_same(path.as_ref(), &log.path) => broken.push(Violation::new(
            &["ledger.url", "log.embedded.path"],
            "the ledger and the log need a file each (log.embedded.path is the same)",
        )),
        Ok(_) => {}
    }
    if ledger.rejected_window < ledger.window {
        broken.push(Violation::new(
            &["ledger.rejected_window", "ledger.window"],
            "must not be shorter than ledger.window: a rejected event is remembered longer than a decided one",
        ));
    }
    if ledger.rejected_window < log.retention {
        broken.push(Violation::new(
            &["ledger.rejected_window", "log.embedded.retention"],
            "must not be shorter than log.embedded.retention: a redrive finds its rejected event by this row",
        ));
    }
    if ledger.retention_interval > ledger.window {
        broken.push(Violation::new(
            &["ledger.retention_interval", "ledger.window"],
            "must not be longer than ledger.window",
        ));
    }
    if ledger.slow_warn > ledger.slow_error {
        broken.push(Violation::new(
            &["ledger.slow_warn", "ledger.slow_error"],
            "must not be longer than ledger.slow_error",
        ));
    }
    let postgres = &ledger.postgres;
    if postgres.lock_timeout > postgres.statement_timeout {
        broken.push(Violation::new(
            &["ledger.postgres.lock_timeout", "ledger.postgres.statement_timeout"],
            "must not be longer than ledger.postgres.statement_timeout",
        ));
    }
    if postgres.heartbeat_stale < postgres.heartbeat_interval * 3 {
        broken.push(Violation::new(
            &["ledger.postgres.heartbeat_stale", "ledger.postgres.heartbeat_interval"],
            "must be at least three times ledger.postgres.heartbeat_interval: one late heartbeat is no death",
        ));
    }
}

fn pipeline(settings: &Settings, broken: &mut Vec<Violation>) {
    let pipeline = &settings.pipeline;
    if pipeline.max_on_road < pipeline.max_in_flight {
        broken.push(Violation::new(
            &["pipeline.max_on_road", "pipeline.max_in_flight"],
            format!(
                "must be at least pipeline.max_in_flight ({}), or that many are never in flight",
                pipeline.max_in_flight
            ),
        ));
    }
    let retry = settings.triage.retry;
    if retry.base > retry.cap {
        broken.push(Violation::new(
            &["triage.retry.base", "triage.retry.cap"],
            "must not be longer than triage.retry.cap",
        ));
    }
}

fn models(settings: &Settings, broken: &mut Vec<Violation>) {
    for (name, model) in &settings.models {
        let at = KeyPath::dotted("models").join(name);
        // Lower case, because names of variables are lowered; `__` separates segments there.
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        if name.is_empty() || name.contains("__") || !name.bytes().all(fits) {
            broken.push(Violation { keys: vec![at.clone()], message: "expected a name of a-z 0-9 _ -".to_owned() });
        }
        if let Model::Openai(model) = model {
            openai(&at, model, broken);
        }
    }
}

fn openai(at: &KeyPath, model: &OpenAi, broken: &mut Vec<Violation>) {
    let mut violation = |key: &[&str], message: &str| {
        let key = key.iter().fold(at.clone(), |at, segment| at.join(segment));
        broken.push(Violation { keys: vec![key], message: message.to_owned() });
    };
    if let Err(message) = plaintext_host(&model.base_url) {
        violation(&["base_url"], message);
    }
    if model.model.trim().is_empty() {
        violation(&["model"], "expected the name of a model");
    }
    if model.provider.trim().is_empty() {
        violation(&["provider"], "expected the name of a provider");
    }
    if model.timeouts.connect > model.timeouts.first_byte {
        violation(&["timeouts", "connect"], "must not be longer than timeouts.first_byte");
    }
    if model.timeouts.first_byte > model.timeouts.total {
        violation(&["timeouts", "first_byte"], "must not be longer than timeouts.total");
    }
    let concurrency = model.limits.concurrency;
    if concurrency.min > concurrency.max {
        violation(&["limits", "concurrency", "min"], "must not be more than limits.concurrency.max");
    }
}

/// The host that a URL reaches without TLS; `None`: with TLS.
fn plaintext_host(url: &str) -> Result<Option<String>, &'static str> {
    let url: ::http::Uri = url.parse().map_err(|_| "expected a URL such as https://host/v1")?;
    let authority = url.authority().ok_or("expected a URL such as https://host/v1")?;
    if authority.as_str().contains('@') {
        return Err("no user or password in a URL: they have settings of their own");
    }
    if url.query().is_some() {
        return Err("no query in a base URL");
    }
    match url.scheme_str() {
        Some("https") => Ok(None),
        Some("http") => Ok(Some(authority.host().to_owned())),
        _ => Err("expected https:// (or http://, to this machine)"),
    }
}

fn chain(settings: &Settings, broken: &mut Vec<Violation>) {
    let chain = &settings.triage.chain;
    let key = "triage.chain";
    if chain.is_empty() {
        broken.push(Violation::new(&[key], "is empty: no model would be asked; `local` needs nothing"));
    }
    let mut seen = BTreeSet::new();
    for (position, name) in chain.iter().enumerate() {
        let keys = || vec![KeyPath::dotted(key), KeyPath::dotted("models").join(name)];
        let Some(model) = settings.models.get(name) else {
            let known: Vec<_> = settings.models.keys().map(String::as_str).collect();
            let message = format!("there is no model `{name}`; there are {}", known.join(", "));
            broken.push(Violation { keys: keys(), message });
            continue;
        };
        if !seen.insert(name) {
            broken.push(Violation { keys: keys(), message: format!("`{name}` is listed twice") });
        }
        if matches!(model, Model::Local(_)) && position + 1 < chain.len() {
            let message = format!("`{name}` always answers: whatever stands after it is never asked");
            broken.push(Violation { keys: keys(), message });
        }
    }
    let known = chain.iter().any(|name| settings.models.contains_key(name));
    if known && settings.active_chain().asked.is_empty() {
        broken.push(Violation::new(&[key], "no model in it has an api_key: nothing would be asked"));
    }
}

/// Whether both paths are of one file, as far as that can be told before there is one.
fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole(one) == whole(other)
}

fn production(settings: &Settings, broken: &mut Vec<Violation>) {
    let mut refuse = |keys: Vec<KeyPath>, why: &str| {
        broken.push(Violation { keys, message: format!("{why}, which profile production refuses") });
    };
    let key = |key: &str| vec![KeyPath::dotted(key)];
    for (name, model) in &settings.models {
        let Model::Openai(model) = model else { continue };
        if plaintext_host(&model.base_url).ok().flatten().is_some_and(|host| !is_loopback(&host)) {
            let keys = vec![KeyPath::dotted("models").join(name).join("base_url")];
            refuse(keys, "tickets would leave this machine without TLS");
        }
    }
    if let Some(url) = registry::is_plaintext(&settings.schemas.registry) {
        refuse(vec![url], "what values mean would be learned without TLS");
    }
    if settings.tenants.unknown == UnknownTenant::Default {
        refuse(key("tenants.unknown"), "tenants that nobody configured would be decided");
    }
    if !settings.ledger.enabled {
        refuse(key("ledger.enabled"), "there would be no dedupe and no saved answers");
    }
    if cluster::is_plaintext(settings) {
        refuse(key("log.kafka.security.protocol"), "tickets would leave this machine without TLS");
    }
    if settings.log.kind == LogKind::Kafka && settings.log.kafka.replication_factor < 3 {
        refuse(key("log.kafka.replication_factor"), "losing one broker would lose records or stop the work");
    }
    if ledger_url::place(&settings.ledger.url) == Ok(Place::Server(Tls::Weaker)) {
        refuse(key("ledger.url"), "the server could be anybody without sslmode=verify-full");
    }
    let Http { enabled, bind, network_is_trusted } = settings.http;
    if enabled && !bind.ip().is_loopback() && !network_is_trusted {
        let why =
            "metrics would be open to the network without a login, unless you vouch for it: http.network_is_trusted";
        refuse(key("http.bind"), why);
    }
    if !settings.secrets.refuse_weak || settings.secrets.min_length < 8 {
        refuse(
            vec![KeyPath::dotted("secrets.min_length"), KeyPath::dotted("secrets.refuse_weak")],
            "weak secrets would pass",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::{LoadOptions, load};
    use super::super::problem::SettingsError;

    /// The keys that are refused with these changes to the defaults, under this profile.
    pub(super) fn refused(profile: Option<&str>, sets: &[&str]) -> Vec<String> {
        let options = LoadOptions {
            profile: profile.map(str::to_owned),
            sets: sets.iter().map(|set| (*set).to_owned()).collect(),
            ..LoadOptions::default()
        };
        match load(&options) {
            Ok(_) => Vec::new(),
            Err(SettingsError::Invalid(problems)) => problems.iter().map(|problem| problem.key.to_string()).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn each_rule_names_the_key_to_change() {
        let model = "models.mine={kind='openai', base_url='https://host/v1', model='m', api_key='sk-12345678'}";
        for (set, key) in [
            ("instance=", "instance"),
            ("instance=a|b", "instance"),
            ("log.embedded.group_id=a b", "log.embedded.group_id"),
            ("log.kafka.group_id=a b", "log.kafka.group_id"),
            ("log.embedded.path=:memory:", "log.embedded.path"),
            ("log.embedded.partitions=0", "log.embedded.partitions"),
            ("log.embedded.retention=1000h", "ledger.rejected_window"),
            ("topics.ops=support.events.v1", "topics.ops"),
            ("topics.deferred=support.deferred.v1", "topics.deferred"),
            ("topics.deferred={tier}{tier}", "topics.deferred"),
            ("topics.ops=support.deferred.1m.v1", "topics.deferred"),
            ("schemas.ids.\"OpsEvent.v1\"=1", "schemas.ids.\"SupportEvent.v1\""),
            ("schemas.ids.\"OpsEvent.v1\"=0", "schemas.ids.\"OpsEvent.v1\""),
            ("schemas.ids.OpsEvent=9", "schemas.ids.OpsEvent"),
            ("ledger.url=postgres://host/db", "ledger.url"),
            ("ledger.url=postgres://me:pw@host/db", "ledger.url"),
            ("ledger.url=mysql:x", "ledger.url"),
            ("ledger.url=sqlite:", "ledger.url"),
            ("ledger.url=sqlite::memory:", "ledger.url"),
            ("ledger.url=sqlite:x.db?mode=memory", "ledger.url"),
            ("ledger.url=sqlite:gatekeeper.log.db", "ledger.url"),
            ("ledger.url=sqlite:./gatekeeper.log.db", "ledger.url"),
            ("ledger.rejected_window=71h", "ledger.rejected_window"),
            ("ledger.retention_interval=25h", "ledger.retention_interval"),
            ("ledger.slow_warn=6s", "ledger.slow_warn"),
            ("ledger.postgres.password=short", "ledger.postgres.password"),
            ("ledger.postgres.max_connections=1", "ledger.postgres.max_connections"),
            ("ledger.postgres.lock_timeout=11s", "ledger.postgres.lock_timeout"),
            ("ledger.postgres.heartbeat_stale=5s", "ledger.postgres.heartbeat_stale"),
            ("pipeline.max_on_road=255", "pipeline.max_on_road"),
            ("pipeline.burst_interval=0ms", "pipeline.burst_interval"),
            ("pipeline.burst_interval=5001ms", "pipeline.burst_interval"),
            ("pipeline.metadata_max_chars=255", "pipeline.metadata_max_chars"),
            ("pipeline.metadata_max_chars=4097", "pipeline.metadata_max_chars"),
            ("pipeline.metadata_pause_percent=96", "pipeline.metadata_pause_percent"),
            ("ledger.window=99999years", "ledger.window"),
            ("triage.retry.base=11s", "triage.retry.base"),
            ("triage.breaker.failure_percent=101", "triage.breaker.failure_percent"),
            ("triage.chain=[]", "triage.chain"),
            ("triage.chain=['loca']", "triage.chain"),
            ("triage.chain=['local', 'local']", "triage.chain"),
            ("triage.chain=['local', 'openai']", "triage.chain"),
            ("triage.chain=['openai']", "triage.chain"),
            ("triage.local_first.threshold=0", "triage.local_first.threshold"),
            ("triage.local_first.threshold=nan", "triage.local_first.threshold"),
            ("triage.local_first={enabled=true, threshold=1.01}", "triage.local_first.threshold"),
            ("flags.everybody.remote_models=half", "flags.everybody.remote_models"),
            ("flags.everybody={redaction='off'}", "flags.everybody.redaction"),
            ("flags.tenants.acme.local_first=101%", "flags.tenants.acme.local_first"),
            ("flags.tenants.acme={redaction='off'}", "flags.tenants.acme.redaction"),
            ("flags.tenants={'a|b'={apply='off'}}", "flags.tenants.\"a|b\""),
            ("models.local.min_known_share=1.5", "models.local.min_known_share"),
            ("models.local.min_known_share=-0.1", "models.local.min_known_share"),
            ("models.local.min_known_share=nan", "models.local.min_known_share"),
            ("models.openai.base_url=host/v1", "models.openai.base_url"),
            ("models.openai.base_url=ftp://host/v1", "models.openai.base_url"),
            ("models.openai.base_url=https://me:pw@host/v1", "models.openai.base_url"),
            ("models.openai.timeouts.connect=31s", "models.openai.timeouts.connect"),
            ("models.openai.timeouts.first_byte=61s", "models.openai.timeouts.first_byte"),
            ("models.openai.max_body_bytes=0", "models.openai.max_body_bytes"),
            ("models.openai.limits.requests_per_minute=0", "models.openai.limits.requests_per_minute"),
            ("models.openai.limits.tokens_per_minute=4000000001", "models.openai.limits.tokens_per_minute"),
            ("models.openai.limits.concurrency.initial=0", "models.openai.limits.concurrency.initial"),
            ("models.openai.limits.concurrency={min=9, max=8}", "models.openai.limits.concurrency.min"),
            ("models.openai.limits.concurrency.max=100001", "models.openai.limits.concurrency.max"),
            ("models.UPPER={kind='local'}", "models.UPPER"),
            ("models.openai.api_key=short", "models.openai.api_key"),
        ] {
            let keys = refused(None, &[model, set]);
            assert!(keys.iter().any(|found| found == key), "{set} refuses {keys:?}");
        }
        assert_eq!(refused(None, &[model, "triage.chain=['mine', 'local']"]), [""; 0]);
        assert_eq!(refused(None, &["flags.everybody.local_first=25%", "flags.tenants.acme={apply='off'}"]), [""; 0]);
        let alone = "triage.chain=['mine']";
        assert_eq!(refused(None, &[model, alone, "triage.local_first.enabled=true"]), ["triage.local_first.enabled"]);
    }

    #[test]
    fn all_violations_are_listed_and_none_about_a_value_that_nobody_wrote() {
        let keys = refused(None, &["pipeline.max_on_road=1", "triage.chain=['x']", "instance=a b"]);
        assert_eq!(keys, ["instance", "pipeline.max_on_road", "triage.chain"]);
        // The default of max_on_road is too small for this max_in_flight, but it is max_on_road that is no number.
        let keys = refused(None, &["pipeline.max_in_flight=9000", "pipeline.max_on_road='many'"]);
        assert_eq!(keys, ["pipeline.max_on_road"]);
    }

    #[test]
    fn production_refuses_what_is_only_fit_for_development() {
        for (set, key) in [
            ("tenants.unknown=default", "tenants.unknown"),
            ("ledger.enabled=false", "ledger.enabled"),
            ("ledger.url=postgres://me@db.example/gk?sslmode=require", "ledger.url"),
            ("http.bind=0.0.0.0:9464", "http.bind"),
            ("models.openai.base_url=http://models.example/v1", "models.openai.base_url"),
            ("secrets.min_length=1", "secrets.min_length"),
        ] {
            assert_eq!(refused(Some("production"), &[set]), [key]);
            assert_eq!(refused(None, &[set]), [""; 0]);
        }
        for here in ["http://127.0.0.1:8080/v1", "http://localhost/v1", "http://[::1]:8080/v1"] {
            assert_eq!(refused(Some("production"), &[&format!("models.openai.base_url={here}")]), [""; 0]);
        }
        for safe in ["postgres://me@127.0.0.1/gk", "postgres://me@db.example/gk?sslmode=verify-full"] {
            assert_eq!(refused(Some("production"), &[&format!("ledger.url={safe}")]), [""; 0]);
        }
        assert_eq!(refused(Some("production"), &["http.bind=0.0.0.0:9464", "http.enabled=false"]), [""; 0]);
        assert_eq!(refused(Some("production"), &["http.bind=0.0.0.0:9464", "http.network_is_trusted=true"]), [""; 0]);
    }
}
