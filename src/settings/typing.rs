//! Tables given their types, with every key that does not fit named.
//!
//! serde stops at the first fault, so a fault is noted, its value replaced by the default, and typing starts again,
//! until all of it fits. Each round mends one key, and the defaults fit, so it ends.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::Settings;
use super::layers::{KeyPath, Layer, Origin, Tree, defaults};
use super::models::{Local, Model, OpenAi};
use super::problem::{Problem, is_secret, nearest, shown};

/// Keys that exist though they have no default. `*`: any model.
const OPTIONAL: [&str; 23] = [
    "log.kafka.transactional_id",
    "schemas.registry.url",
    "schemas.registry.username",
    "schemas.registry.password",
    "schemas.registry.token",
    "log.kafka.security.username",
    "log.kafka.security.password",
    "log.kafka.security.ca_file",
    "log.kafka.security.certificate_file",
    "log.kafka.security.key_file",
    "log.kafka.security.key_password",
    "log.kafka.security.oauth.token_endpoint",
    "log.kafka.security.oauth.client_id",
    "log.kafka.security.oauth.client_secret",
    "log.kafka.security.oauth.scope",
    "log.kafka.security.oauth.ca_file",
    "tenants.directory",
    "triage.prompts",
    "ledger.postgres.password",
    "models.*.api_key",
    "models.*.weights",
    "models.*.limits.requests_per_minute",
    "models.*.limits.tokens_per_minute",
];

/// Give everything its type. What does not fit is noted and replaced by its default until the rest fits.
pub(super) fn typed(tree: &mut Tree, problems: &mut Vec<Problem>) -> Settings {
    let mut pristine = Tree::default();
    pristine.lay(defaults(), &Layer::Default);
    loop {
        let fault = match settings_of(tree.root()) {
            Ok(settings) => return settings,
            Err(fault) => fault,
        };
        if wants_text(tree, &fault.key) {
            continue;
        }
        let key = existing(tree, fault.key);
        if !problems.iter().any(|problem| problem.key == key) {
            problems.push(describe(tree, &pristine, key.clone(), fault.message));
        }
        let origin = Origin { layer: Layer::Default, text: None };
        let key = replaceable(&pristine, key);
        match (tree.take(&key), pristine.get(&key)) {
            (Some(wrong), Some(default)) if wrong != *default => tree.put(&key, default.clone(), &origin),
            (Some(_), None) => {}
            // The fault is not in this value but around it: only the defaults as a whole are known to fit.
            _ => *tree = pristine.clone(),
        }
    }
}

/// A number or date that was given as text to a key that wants text: take the text. True if that was tried now.
fn wants_text(tree: &mut Tree, key: &KeyPath) -> bool {
    let Some(Origin { layer, text: Some(text) }) = tree.origin(key).cloned() else { return false };
    if matches!(tree.get(key), None | Some(Value::String(_) | Value::Table(_))) {
        return false;
    }
    let mut trial = tree.clone();
    trial.put(key, Value::String(text), &Origin { layer, text: None });
    let fits = match settings_of(trial.root()) {
        Ok(_) => true,
        Err(fault) => fault.key != *key,
    };
    if fits {
        *tree = trial;
    }
    fits
}

/// What can be replaced or left out without a new fault: a model that is not among the defaults may need the key that
/// is wrong, so it goes as a whole.
fn replaceable(pristine: &Tree, mut key: KeyPath) -> KeyPath {
    let of_own_model = key.0.len() > 2 && key.0[0] == "models" && pristine.get(&KeyPath(key.0[..2].to_vec())).is_none();
    if of_own_model && counterpart(pristine, &key).is_some() {
        key.0.truncate(2);
    }
    key
}

/// The key itself if it has a value, else its nearest parent that has (a list, or a table that misses a key).
fn existing(tree: &Tree, mut key: KeyPath) -> KeyPath {
    while key.0.len() > 1 && tree.get(&key).is_none() {
        key.0.pop();
    }
    key
}

struct Fault {
    key: KeyPath,
    message: String,
}

fn settings_of(root: &Table) -> Result<Settings, Fault> {
    let mut root = root.clone();
    let models = root.insert("models".to_owned(), Value::Table(Table::new())).unwrap_or(Value::Table(Table::new()));
    let mut settings: Settings = read_as(&KeyPath::default(), Value::Table(root))?;
    let at = KeyPath(vec!["models".to_owned()]);
    let Value::Table(models) = models else { return Err(not_a_table(at)) };
    for (name, model) in models {
        let model = model_of(&at.join(&name), model)?;
        settings.models.insert(name, model);
    }
    Ok(settings)
}

/// By hand, because serde forgets where it is inside an enum that is tagged from within.
fn model_of(at: &KeyPath, value: Value) -> Result<Model, Fault> {
    let Value::Table(mut table) = value else { return Err(not_a_table(at.clone())) };
    let kind = table.remove("kind");
    match kind.as_ref().and_then(Value::as_str) {
        Some("openai") => Ok(Model::Openai(Box::new(read_as::<OpenAi>(at, Value::Table(table))?))),
        Some("local") => Ok(Model::Local(read_as::<Local>(at, Value::Table(table))?)),
        _ => Err(Fault { key: at.join("kind"), message: "expected openai or local".to_owned() }),
    }
}

fn not_a_table(key: KeyPath) -> Fault {
    Fault { key, message: "expected a table".to_owned() }
}

fn read_as<T: DeserializeOwned>(at: &KeyPath, value: Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut key = at.clone();
        // A place within a list is the list's fault: a layer replaces it as a whole.
        for segment in error.path().iter() {
            match segment {
                Segment::Map { key: name } => key.0.push(name.clone()),
                Segment::Enum { variant: name } => key.0.push(name.clone()),
                Segment::Seq { .. } | Segment::Unknown => break,
            }
        }
        Fault { key, message: error.inner().message().to_owned() }
    })
}

fn describe(tree: &Tree, pristine: &Tree, key: KeyPath, message: String) -> Problem {
    let Some(model_key) = counterpart(pristine, &key) else {
        let layer = tree.origin(&key).map(|origin| origin.layer.clone());
        let hint = nearest(&key, &known_keys(pristine, &key));
        return Problem { key, value: None, layer, message: "there is no such key".to_owned(), hint };
    };
    // serde's own words hold the value: only for values that may be shown.
    if matches!(pristine.get(&model_key), Some(Value::Table(_))) && !matches!(tree.get(&key), Some(Value::Table(_))) {
        let layer = tree.origin(&key).map(|origin| origin.layer.clone());
        return Problem { key, value: None, layer, message: "expected a table".to_owned(), hint: None };
    }
    let message = if is_secret(&key) { "expected text".to_owned() } else { message };
    problem_at(tree, key, message)
}

pub(super) fn problem_at(tree: &Tree, key: KeyPath, message: String) -> Problem {
    let value = tree.get(&key).filter(|value| !value.is_table()).map(|value| shown(&key, value));
    let layer = tree.origin(&key).map(|origin| origin.layer.clone());
    Problem { key, value, layer, message, hint: None }
}

/// The key of the defaults, or the optional one, that has this key's meaning: names of models and ids are free.
/// `None`: there is no such key.
fn counterpart(pristine: &Tree, key: &KeyPath) -> Option<KeyPath> {
    let optional = |key: &KeyPath| OPTIONAL.iter().any(|optional| KeyPath::dotted(optional) == *key);
    let exists = |key: &KeyPath| pristine.get(key).is_some() || optional(key);
    match key.0.as_slice() {
        [section, ids, _] if section == "schemas" && ids == "ids" => Some(key.clone()),
        // Which flags there are is said by their own type, which names them all.
        [section, rules, _] if section == "flags" && rules == "everybody" => Some(key.clone()),
        [section, rules, _, ..] if section == "flags" && rules == "tenants" => Some(key.clone()),
        [section, _, ..] if section == "models" => ["openai", "local", "*"].iter().find_map(|name| {
            let mut renamed = key.clone();
            (*name).clone_into(&mut renamed.0[1]);
            exists(&renamed).then_some(renamed)
        }),
        _ => exists(key).then(|| key.clone()),
    }
}

/// Every key and table there is, with this key's own model for `*`.
fn known_keys(pristine: &Tree, key: &KeyPath) -> Vec<KeyPath> {
    let optional = OPTIONAL.iter().map(|optional| KeyPath::dotted(optional));
    let leaves = pristine.origins().map(|(leaf, _)| leaf.clone()).chain(optional);
    let own_model = |mut leaf: KeyPath| {
        if let [section, name, ..] = key.0.as_slice()
            && section == "models"
            && leaf.0[0] == "models"
        {
            leaf.0[1].clone_from(name);
        }
        leaf
    };
    let mut known = Vec::new();
    for leaf in leaves.map(own_model) {
        for length in 1..=leaf.0.len() {
            known.push(KeyPath(leaf.0[..length].to_vec()));
        }
    }
    known
}
