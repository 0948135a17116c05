//! Settings from all layers: read, laid over each other, typed and checked.
//!
//! Pure but for reading `--config` and secrets in files: the environment is handed in. Everything that is wrong is
//! reported at once. What does not belong here: what a layer is (`layers`), which types there are (the sections), rules
//! (`check`).

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Settings;
use super::check::{self, Profile};
use super::layers::{KeyPath, Layer, Origin, Tree, defaults};
use super::problem::{Problem, SettingsError, is_property, is_secret, line_of, shown};
use super::secret_sources;
use super::secrets::Secrets;
use super::typing::{problem_at, typed};

const DEVELOPMENT: &str = include_str!("../../config/development.toml");
const PRODUCTION: &str = include_str!("../../config/production.toml");

/// Variables that start so are settings.
pub(super) const PREFIX: &str = "GATEKEEPER__";

/// What the command line and the environment say.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `--profile`.
    pub profile: Option<String>,
    /// `--config`.
    pub file: Option<PathBuf>,
    /// All variables; those that are not ours are for `env:NAME`.
    pub environment: Vec<(String, String)>,
    /// `--set key=value`, in order.
    pub sets: Vec<String>,
}

/// Settings that passed every check.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Under which profile they were checked.
    pub profile: Profile,
    /// Each value in force, in the order of keys.
    pub effective: Vec<EffectiveValue>,
}

/// A value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveValue {
    /// Its key.
    pub key: String,
    /// As TOML; secrets as `[secret]`.
    pub value: String,
    /// Where it came from.
    pub layer: Layer,
}

/// Read all layers.
///
/// # Errors
/// When a layer cannot be read, or any key or value is wrong; all of those together.
pub fn load(options: &LoadOptions) -> Result<Loaded, SettingsError> {
    let profile = Profile::named(options.profile.as_deref())?;
    let mut problems = Vec::new();
    let mut tree = lay_all(profile, options, &mut problems)?;
    resolve_secrets(&mut tree, &options.environment, &mut problems);
    let settings = typed(&mut tree, &mut problems);

    let broken: Vec<KeyPath> = problems.iter().map(|problem| problem.key.clone()).collect();
    for violation in check::check(&settings, profile) {
        // A rule about a value that was replaced by its default would speak of something nobody wrote.
        let is_broken = |key: &KeyPath| broken.iter().any(|b| key.is_within(b) || b.is_within(key));
        if !violation.keys.iter().any(is_broken) {
            let key = violation.keys.first().cloned().unwrap_or_default();
            problems.push(problem_at(&tree, key, violation.message));
        }
    }
    if !problems.is_empty() {
        return Err(SettingsError::Invalid(problems));
    }
    Ok(Loaded { settings, profile, effective: effective(&tree) })
}

fn lay_all(profile: Profile, options: &LoadOptions, problems: &mut Vec<Problem>) -> Result<Tree, SettingsError> {
    let mut tree = Tree::default();
    tree.lay(defaults(), &Layer::Default);
    let of_profile = match profile {
        Profile::None => None,
        Profile::Development => Some(("development", DEVELOPMENT)),
        Profile::Production => Some(("production", PRODUCTION)),
    };
    if let Some((name, text)) = of_profile {
        let table = text.parse().expect("profiles are compiled in and parsed by a test");
        tree.lay(table, &Layer::Profile(name.to_owned()));
    }
    if let Some(path) = &options.file {
        tree.lay(read(path)?, &Layer::File(path.clone()));
    }
    // In the order of names, so that the same environment always gives the same settings.
    let mut variables: Vec<_> = options.environment.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, text) in variables {
        let key = KeyPath(name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect());
        put_text(&mut tree, key, text, Layer::Environment(name.clone()), problems);
    }
    for set in &options.sets {
        let (key, text) = set.split_once('=').unwrap_or((set, ""));
        match parse_key(key) {
            Some(key) if set.contains('=') => put_text(&mut tree, key, text.trim(), Layer::Flag, problems),
            _ => problems.push(Problem {
                key: KeyPath(vec![key.to_owned()]),
                value: None,
                layer: Some(Layer::Flag),
                message: "expected key=value".to_owned(),
                hint: None,
            }),
        }
    }
    Ok(tree)
}

fn read(path: &Path) -> Result<Table, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    text.parse().map_err(|error: toml::de::Error| SettingsError::Syntax {
        path: path.to_owned(),
        line: line_of(&text, &error),
        message: error.message().to_owned(),
    })
}

/// Put what is TOML as TOML, and anything else as text.
fn put_text(tree: &mut Tree, key: KeyPath, text: &str, layer: Layer, problems: &mut Vec<Problem>) {
    if key.0.iter().any(String::is_empty) {
        let message = "a segment of the key is empty; write GATEKEEPER__SECTION__KEY".to_owned();
        problems.push(Problem { key, value: None, layer: Some(layer), message, hint: None });
        return;
    }
    let value = text.trim().parse().unwrap_or_else(|_| Value::String(text.to_owned()));
    tree.put(&key, value, &Origin { layer, text: Some(text.to_owned()) });
}

/// `schemas.ids."OpsEvent.v1"`, as TOML reads a key.
fn parse_key(text: &str) -> Option<KeyPath> {
    let mut table: Table = format!("{text} = 0").parse().ok()?;
    let mut key = KeyPath::default();
    loop {
        if table.len() != 1 {
            return None;
        }
        let (name, value) = table.into_iter().next()?;
        key = key.join(&name);
        match value {
            Value::Table(inner) => table = inner,
            _ => return Some(key),
        }
    }
}

fn resolve_secrets(tree: &mut Tree, environment: &[(String, String)], problems: &mut Vec<Problem>) {
    // The rules themselves may be mistyped: then those of the defaults hold, and typing reports them.
    let rules = |table: &Table| table.get("secrets").cloned().and_then(|value| value.try_into::<Secrets>().ok());
    let rules = rules(tree.root())
        .or_else(|| rules(&defaults()))
        .expect("the defaults have rules for secrets, checked by a test");
    // Of librdkafka's none is taken, so none is looked for.
    let secrets = tree.origins().filter(|(key, _)| is_secret(key) && !is_property(key));
    let secrets: Vec<(KeyPath, Origin)> = secrets.map(|(key, origin)| (key.clone(), origin.clone())).collect();
    for (key, origin) in secrets {
        // A key of digits only is TOML's number, but text all the same.
        let reference = match (tree.get(&key), origin.text.clone()) {
            (Some(Value::String(text)), _) => text.clone(),
            (_, Some(text)) => text,
            _ => continue,
        };
        match secret_sources::resolve(&reference, environment, rules) {
            Ok(secret) => tree.put(&key, Value::String(secret), &origin),
            Err(error) => {
                problems.push(problem_at(tree, key.clone(), error.to_string()));
                tree.take(&key);
            }
        }
    }
}

fn effective(tree: &Tree) -> Vec<EffectiveValue> {
    let value = |key: &KeyPath| tree.get(key).map(|value| shown(key, value)).unwrap_or_default();
    tree.origins()
        .map(|(key, origin)| EffectiveValue { key: key.to_string(), value: value(key), layer: origin.layer.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(environment: &[(&str, &str)], sets: &[&str]) -> Result<Loaded, SettingsError> {
        load(&LoadOptions {
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            sets: sets.iter().map(|set| (*set).to_owned()).collect(),
            ..LoadOptions::default()
        })
    }

    fn with_file(text: &str) -> Result<Loaded, SettingsError> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("written");
        load(&LoadOptions { file: Some(file.path().to_owned()), ..LoadOptions::default() })
    }

    fn problems(result: Result<Loaded, SettingsError>) -> Vec<Problem> {
        match result.expect_err("these settings are wrong") {
            SettingsError::Invalid(problems) => problems,
            other => panic!("{other}"),
        }
    }

    fn layer_of(loaded: &Loaded, key: &str) -> Layer {
        loaded.effective.iter().find(|value| value.key == key).expect("the key is in force").layer.clone()
    }

    fn leaves() -> Vec<(KeyPath, Value)> {
        let mut tree = Tree::default();
        tree.lay(defaults(), &Layer::Default);
        tree.origins().map(|(key, _)| (key.clone(), tree.get(key).expect("a leaf").clone())).collect()
    }

    #[test]
    fn a_value_of_the_wrong_type_names_its_key_whichever_key_it_is() {
        for (key, value) in leaves() {
            let wrong = match value {
                Value::String(_) => "true",
                _ => "'wrong'",
            };
            let found = problems(with_file(&format!("{key} = {wrong}")));
            assert_eq!(found.len(), 1, "{key}: {found:?}");
            assert_eq!(found[0].key, key);
            assert!(matches!(found[0].layer, Some(Layer::File(_))), "{key}: {found:?}");
        }
    }

    #[test]
    fn every_wrong_key_is_reported_at_once() {
        // `log.kafka.client` may hold any property, so there a table is right.
        let leaves: Vec<_> = leaves().into_iter().filter(|(_, value)| !value.is_table()).collect();
        let sets: Vec<String> = leaves.iter().map(|(key, _)| format!("{key} = {{ wrong = 1 }}")).collect();
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let mut found: Vec<KeyPath> = problems(with(&[], &sets)).into_iter().map(|problem| problem.key).collect();
        found.sort();
        let all: Vec<KeyPath> = leaves.into_iter().map(|(key, _)| key).collect();
        // `schemas.ids` may hold any record: there a table is of the wrong type under the record's own key, as elsewhere.
        assert_eq!(found, all);
    }

    #[test]
    fn a_problem_names_key_value_and_layer_and_how_it_reads() {
        let error = with(&[("GATEKEEPER__PIPELINE__BURST_INTERVAL", "fast")], &[]).expect_err("no duration");
        let text = error.to_string();
        let start = "`pipeline.burst_interval` = \"fast\" from environment variable \
                     GATEKEEPER__PIPELINE__BURST_INTERVAL: ";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn an_address_that_is_none_is_told_how_one_looks() {
        for bind in ["localhost:9464", "9464", "127.0.0.1"] {
            let text = with(&[], &[&format!("http.bind={bind}")]).expect_err("no address").to_string();
            assert!(text.contains("`http.bind`") && text.contains("expected IP:PORT such as 127.0.0.1:9464"), "{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one_and_without_its_value() {
        for (key, hint) in [
            ("pipeline.burst_intervall", Some("pipeline.burst_interval")),
            ("pipelin.log_queue", Some("pipeline")),
            ("models.openai.apikey", Some("models.openai.api_key")),
            ("models.local.weight", Some("models.local.weights")),
            ("colour", None),
        ] {
            let mine = "models.mine = { kind = 'openai', base_url = 'https://host/v1', model = 'm' }\n";
            let error = with_file(&format!("{mine}{key} = 'sk-hidden'")).expect_err("unknown");
            assert!(!error.to_string().contains("sk-hidden"), "{error}");
            let SettingsError::Invalid(found) = error else { panic!("not about a key") };
            assert_eq!(found[0].hint.as_deref(), hint, "{key}: {found:?}");
        }
    }

    #[test]
    fn no_error_shows_a_secret() {
        let wrong = [
            "models.openai.api_key = ['sk-hidden-secret']",
            "models.openai.api_key = { value = 'sk-hidden-secret' }",
            "models.openai = 'sk-hidden-secret'",
            "models.mine = 'sk-hidden-secret'",
            "models = 'sk-hidden-secret'",
            "models.mine.timeouts = 'sk-hidden-secret'",
            "[models.openai]\napi_key = \"sk-hidden-secret",
            "[models.openai]\napi_key = 'sk-hidden-secret' 'sk-hidden-secret'",
            "[models.openai]\napi_key = 'sk-hidden-secret'\napi_key = 'sk-hidden-secret'",
            "ledger.url = 'postgres://user:sk-hidden-secret@host/db'",
            "models.openai.base_url = 'https://user:sk-hidden-secret@host/v1'",
            "models.openai.api_key = 'sk-hidden-secret'\nmodels.openai.model = 5",
            "models.openai.api_key = 'hidden'",
            "log.kafka.security.password = ['sk-hidden-secret']",
            "log.kafka.security = 'sk-hidden-secret'",
            "[log.kafka.client]\n\"sasl.password\" = 'sk-hidden-secret'",
            "[log.kafka.client]\n\"ssl.key.pem\" = 'sk-hidden-secret'",
            "[log.kafka.client]\n\"sasl.oauthbearer.config\" = 'sk-hidden-secret'",
            "[log.kafka.client]\n\"SASL.password\" = 'sk-hidden-secret'",
            "[log.kafka.client]\nsasl = { password = 'sk-hidden-secret' }",
        ];
        // A secret of digits that lost its quotes: the type's own error would repeat it.
        let digits = with_file("models.openai.api_key = 8642097531").expect_err("a number");
        assert!(!format!("{digits} {digits:?}").contains("8642097531"), "{digits}");
        for text in wrong {
            let error = with_file(text).expect_err("wrong on purpose");
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("hidden"), "{text}: {shown}");
            }
        }
    }

    #[test]
    fn a_secret_is_taken_as_text_whatever_it_looks_like_and_is_masked_where_values_are_listed() {
        for key in ["1234567890", "true-ish-key", "2024-01-01", "[\"a\", \"b\"]", "0.123456789"] {
            let loaded = with(&[("GATEKEEPER__MODELS__OPENAI__API_KEY", key)], &[]).expect("a key");
            let Some(crate::settings::models::Model::Openai(model)) = loaded.settings.models.get("openai") else {
                panic!("the default model is gone")
            };
            assert_eq!(model.api_key.as_ref().expect("set").expose(), key);
            let text = format!("{loaded:?}");
            assert!(text.contains("[secret]") && !text.contains(key), "{text}");
        }
    }

    #[test]
    fn later_layers_win_and_each_value_remembers_its_own() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "[pipeline]\nmax_in_flight = 2\nlog_queue = 2\nburst_max_records = 2")
            .expect("written");
        let loaded = load(&LoadOptions {
            profile: Some("development".to_owned()),
            file: Some(file.path().to_owned()),
            environment: vec![
                ("GATEKEEPER__PIPELINE__LOG_QUEUE".to_owned(), "3".to_owned()),
                ("GATEKEEPER__PIPELINE__BURST_MAX_RECORDS".to_owned(), "3".to_owned()),
                ("GATEKEEPER_FAILPOINT".to_owned(), "not a setting".to_owned()),
            ],
            sets: vec!["pipeline.burst_max_records=4".to_owned(), "schemas.ids.\"OpsEvent.v1\"=50".to_owned()],
        })
        .expect("all of it is right");
        let pipeline = &loaded.settings.pipeline;
        assert_eq!((pipeline.max_in_flight, pipeline.log_queue, pipeline.burst_max_records), (2, 3, 4));
        assert_eq!(loaded.settings.schemas.ids["OpsEvent.v1"], 50);
        assert_eq!(layer_of(&loaded, "pipeline.superseding"), Layer::Default);
        assert_eq!(layer_of(&loaded, "tenants.unknown"), Layer::Profile("development".to_owned()));
        assert_eq!(layer_of(&loaded, "pipeline.max_in_flight"), Layer::File(file.path().to_owned()));
        let variable = "GATEKEEPER__PIPELINE__LOG_QUEUE".to_owned();
        assert_eq!(layer_of(&loaded, "pipeline.log_queue"), Layer::Environment(variable));
        assert_eq!(layer_of(&loaded, "pipeline.burst_max_records"), Layer::Flag);
    }

    #[test]
    fn a_number_given_to_a_key_that_wants_text_is_text_but_a_wrong_number_stays_wrong() {
        let loaded = with(&[("GATEKEEPER__INSTANCE", "7")], &["log.embedded.group_id=2024-01-01"]).expect("text");
        assert_eq!((loaded.settings.instance.as_str(), loaded.settings.log.group_id()), ("7", "2024-01-01"));
        let found = problems(with(&[("GATEKEEPER__PIPELINE__LOG_QUEUE", "1.5")], &[]));
        assert_eq!(found[0].value.as_deref(), Some("1.5"));
        let found = problems(with(&[("GATEKEEPER__TOPICS__EVENTS", "true")], &["topics.ops=true"]));
        assert!(found.iter().all(|problem| problem.message.contains("same topic")), "{found:?}");
    }

    #[test]
    fn keys_that_are_no_keys_are_reported() {
        assert_eq!(problems(with(&[("GATEKEEPER__", "1")], &[])).len(), 1);
        assert_eq!(problems(with(&[("GATEKEEPER__LOG____KIND", "1")], &[])).len(), 1);
        assert_eq!(problems(with(&[], &["no-equals-sign", "a b=1", "=1", "a=1\nb=2"])).len(), 4);
    }

    #[test]
    fn a_new_model_needs_its_keys_and_one_with_an_unknown_kind_is_named() {
        let found = problems(with(&[], &["models.mine={kind='openai'}"]));
        assert!(found[0].message.contains("base_url"), "{found:?}");
        let found = problems(with(&[], &["models.mine={kind='oracle'}", "triage.chain=['mine', 'local']"]));
        assert_eq!(found.len(), 1, "the chain is not blamed for a model that was left out: {found:?}");
        assert_eq!(found[0].key, KeyPath::dotted("models.mine.kind"));
    }

    #[test]
    fn files_and_profiles_that_cannot_be_read_say_which() {
        let error = load(&LoadOptions { profile: Some("staging".to_owned()), ..LoadOptions::default() });
        assert!(error.expect_err("no such profile").to_string().contains("staging"));
        let error = load(&LoadOptions { file: Some("/no/such/file".into()), ..LoadOptions::default() });
        assert!(error.expect_err("no such file").to_string().contains("/no/such/file"));
        let error = with_file("a = 1\n\nb = = 2").expect_err("not TOML").to_string();
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn every_profile_is_right_by_itself_and_knows_every_key_of_the_structs() {
        for profile in [None, Some("development"), Some("production")] {
            let loaded = load(&LoadOptions { profile: profile.map(str::to_owned), ..LoadOptions::default() });
            let loaded = loaded.unwrap_or_else(|error| panic!("{profile:?}: {error}"));
            assert_eq!(loaded.settings.active_chain().asked, ["local"]);
            assert_eq!(loaded.settings.active_chain().left_out, ["openai"]);
        }
    }

    #[test]
    fn every_key_of_the_defaults_has_a_comment_above_it() {
        let mut above = "";
        for line in crate::settings::layers::DEFAULT.lines() {
            let is_key = line.split_once(" = ").is_some_and(|(key, _)| !key.starts_with('#'));
            assert!(!is_key || above.starts_with('#'), "{line} is not documented");
            above = line;
        }
    }
}
