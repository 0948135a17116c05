//! What a tenant's policy must be to be taken: rules that types cannot say.
//!
//! Pure, and complete: every broken rule is listed. A mistake here would not stop the road, it would quietly decide
//! otherwise than the tenant meant (a lane that never matches, a threshold above its next), so it is refused instead.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Value;

use super::super::naming::is_name;
use super::calibration;
use crate::domain::event::{EventType, Level, Priority};
use crate::domain::money::Money;
use crate::domain::taxonomy::NONE_OF_THESE;
use crate::domain::tenant::{HumanLane, Tenant, Thresholds};

/// Fields that have a confidence.
pub const FIELDS: [&str; 7] = ["category", "sentiment", "language", "impact", "urgency", "priority", "queue"];

/// A prompt names every category; past this many it no longer fits one.
const MAX_CATEGORIES: usize = 200;
/// Of a description, a phrase or a queue's name.
const MAX_CHARS: usize = 1_000;
/// Of a tenant's own words in its prompts: about a thousand tokens with every call.
const MAX_INSTRUCTIONS: usize = 4_000;

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which key.
    pub key: String,
    /// What is wrong, with what would be right.
    pub message: String,
}

impl Broken {
    /// A rule broken at this key.
    #[must_use]
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// Every rule this policy breaks.
#[must_use]
pub fn check(tenant: &Tenant) -> Vec<Broken> {
    let mut broken = Vec::new();
    identity(tenant, &mut broken);
    taxonomy(tenant, &mut broken);
    events(tenant, &mut broken);
    thresholds(tenant, &mut broken);
    let tables = calibration::check(&tenant.calibration, &FIELDS);
    broken.extend(tables.into_iter().map(|(key, message)| Broken::new(key, message)));
    matrix(tenant, &mut broken);
    lanes(tenant, &mut broken);
    times(tenant, &mut broken);
    limits(tenant, &mut broken);
    broken
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_CHARS && !text.chars().any(char::is_control)
}

/// Several lines, in which nothing looks like the fences around a ticket.
fn are_instructions(text: &str) -> bool {
    let is_text = |c: char| c == '\n' || !c.is_control();
    let fences = text.contains("<<<") || text.contains(">>>");
    !text.trim().is_empty() && text.chars().count() <= MAX_INSTRUCTIONS && text.chars().all(is_text) && !fences
}

fn identity(tenant: &Tenant, broken: &mut Vec<Broken>) {
    if !is_name(&tenant.id, 64) {
        broken.push(Broken::new("id", "expected 1 to 64 of A-Z a-z 0-9 . _ -"));
    }
    if !is_name(&tenant.version, 64) {
        broken.push(Broken::new("version", "expected 1 to 64 of A-Z a-z 0-9 . _ -"));
    }
    if tenant.currency.len() != 3 || !tenant.currency.bytes().all(|b| b.is_ascii_uppercase()) {
        broken.push(Broken::new("currency", "expected an ISO 4217 code such as EUR"));
    }
    if !is_text(&tenant.default_queue) {
        broken.push(Broken::new("default_queue", "expected the name of a queue"));
    }
    if tenant.instructions.as_deref().is_some_and(|text| !are_instructions(text)) {
        let message = format!("expected 1 to {MAX_INSTRUCTIONS} characters of text, without <<< or >>>");
        broken.push(Broken::new("instructions", message));
    }
    let mut seen = BTreeSet::new();
    for (index, language) in tenant.languages.iter().enumerate() {
        let fits = language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase());
        if !fits || !seen.insert(language) {
            let message = "expected different ISO 639-1 codes such as en";
            broken.push(Broken::new(format!("languages[{index}]"), message));
        }
    }
}

fn taxonomy(tenant: &Tenant, broken: &mut Vec<Broken>) {
    let taxonomy = &tenant.taxonomy;
    if !is_name(&taxonomy.version, 64) {
        broken.push(Broken::new("taxonomy.version", "expected 1 to 64 of A-Z a-z 0-9 . _ -"));
    }
    if !(1..=MAX_CATEGORIES).contains(&taxonomy.categories.len()) {
        broken.push(Broken::new("taxonomy.categories", format!("expected 1 to {MAX_CATEGORIES} categories")));
    }
    let mut seen = BTreeSet::new();
    for (index, label) in taxonomy.categories.iter().enumerate() {
        let at = |key: &str| format!("taxonomy.categories[{index}].{key}");
        if !is_label(&label.name) {
            broken.push(Broken::new(at("name"), "expected 1 to 64 of a-z 0-9 _"));
        }
        if !seen.insert(&label.name) {
            broken.push(Broken::new(at("name"), format!("`{}` is there twice", label.name)));
        }
        if label.name == NONE_OF_THESE {
            broken.push(Broken::new(at("name"), format!("`{NONE_OF_THESE}` is what models say when no category fits")));
        }
        if !is_text(&label.description) {
            broken.push(Broken::new(at("description"), "expected one line that says what belongs here"));
        }
        if label.queue.as_deref().is_some_and(|queue| !is_text(queue)) {
            broken.push(Broken::new(at("queue"), "expected the name of a queue, or no such key"));
        }
    }
}

fn events(tenant: &Tenant, broken: &mut Vec<Broken>) {
    if tenant.decides.is_empty() {
        broken.push(Broken::new("decides", "is empty: to decide nothing, set enabled = false"));
    }
    let mut seen = BTreeSet::new();
    for (index, kind) in tenant.decides.iter().enumerate() {
        if *kind != EventType::Unknown && !seen.insert(kind) {
            broken.push(Broken::new(format!("decides[{index}]"), "is there twice"));
        }
    }
}

fn thresholds(tenant: &Tenant, broken: &mut Vec<Broken>) {
    ordered("thresholds", &tenant.thresholds, broken);
    for (field, own) in &tenant.field_thresholds {
        let at = format!("field_thresholds.{field}");
        if !FIELDS.contains(&field.as_str()) {
            broken.push(Broken::new(at.clone(), format!("there is no such field; there are {}", FIELDS.join(", "))));
        }
        ordered(&at, own, broken);
    }
    let mut seen = BTreeSet::new();
    for (index, field) in tenant.calibrated_fields.iter().enumerate() {
        if !FIELDS.contains(&field.as_str()) || !seen.insert(field) {
            let message = format!("expected different ones of {}", FIELDS.join(", "));
            broken.push(Broken::new(format!("calibrated_fields[{index}]"), message));
        }
    }
}

fn ordered(at: &str, thresholds: &Thresholds, broken: &mut Vec<Broken>) {
    let Thresholds { recommend, select, apply, max_risk } = *thresholds;
    for (name, value) in [("recommend", recommend), ("select", select), ("apply", apply), ("max_risk", max_risk)] {
        if !(0.0..=1.0).contains(&value) {
            broken.push(Broken::new(format!("{at}.{name}"), "must be from 0 to 1"));
        }
    }
    if recommend > select || select > apply {
        broken.push(Broken::new(at, "must be ordered: recommend <= select <= apply"));
    }
}

fn matrix(tenant: &Tenant, broken: &mut Vec<Broken>) {
    for impact in [Level::Low, Level::Medium, Level::High] {
        for urgency in [Level::Low, Level::Medium, Level::High] {
            if tenant.priority_matrix.priority(impact, urgency).is_none() {
                let name = |level: Level| format!("{level:?}").to_uppercase();
                let key = format!("priority_matrix.{}.{}", name(impact), name(urgency));
                broken.push(Broken::new(key, "is missing: the matrix has nine cells"));
            }
        }
    }
}

fn lanes(tenant: &Tenant, broken: &mut Vec<Broken>) {
    let mut seen = BTreeSet::new();
    for (index, lane) in tenant.human_lanes.iter().enumerate() {
        let at = |key: &str| format!("human_lanes[{index}].{key}");
        if !is_label(&lane.name) || !seen.insert(&lane.name) {
            broken.push(Broken::new(at("name"), "expected 1 to 64 of a-z 0-9 _, different for each lane"));
        }
        let HumanLane { categories, priorities, phrases, .. } = lane;
        if categories.is_empty() && priorities.is_empty() && phrases.is_empty() {
            broken.push(Broken::new(at("name"), "the lane has no categories, priorities or phrases: it never matches"));
        }
        for category in categories {
            if tenant.taxonomy.category(category).is_none() {
                let message = format!(
                    "lane `{}` names `{category}`, which the taxonomy does not have (a taxonomy of one's own needs \
                     human_lanes of one's own)",
                    lane.name
                );
                broken.push(Broken::new(at("categories"), message));
            }
        }
        let is_phrase = |written: &str| is_text(written) && written.trim() == written;
        if phrases.iter().any(|phrase| !is_phrase(phrase.written()) || phrase.folded().is_empty()) {
            broken.push(Broken::new(at("phrases"), "expected words without blanks around them"));
        }
    }
}

fn times(tenant: &Tenant, broken: &mut Vec<Broken>) {
    let second = Duration::from_secs(1);
    if !(second..=3_600 * second).contains(&tenant.decide_by) {
        broken.push(Broken::new("decide_by", "must be from 1s to 1h"));
    }
    let by_priority = &tenant.target_response;
    let order = [by_priority.urgent, by_priority.high, by_priority.normal, by_priority.low];
    let year = 365 * 24 * 3_600 * second;
    if order.iter().any(|time| !(second..=year).contains(time)) {
        broken.push(Broken::new("target_response", "must be from 1s to 1 year"));
    }
    if !order.is_sorted() {
        broken.push(Broken::new("target_response", "must be ordered: urgent <= high <= normal <= low"));
    }
}

fn limits(tenant: &Tenant, broken: &mut Vec<Broken>) {
    let limits = &tenant.limits;
    for (key, rate) in [
        ("limits.requests_per_minute", limits.requests_per_minute),
        ("limits.tokens_per_minute", limits.tokens_per_minute),
    ] {
        if rate == Some(0) {
            broken.push(Broken::new(key, "must be more than 0; leave it out for no limit, or set enabled = false"));
        }
    }
    if limits.money_per_day == Some(Money::default()) {
        let message = "must be more than 0; leave it out for no limit";
        broken.push(Broken::new("limits.money_per_day", message));
    }
    if !(1..=1_000).contains(&limits.weight) {
        broken.push(Broken::new("limits.weight", "must be from 1 to 1000"));
    }
}

/// Symbols of closed sets that this build does not know. Records read them as `UNKNOWN`, so that old readers survive new
/// symbols; in a file that a person wrote they are slips.
#[must_use]
pub fn unknown_symbols(file: &Value) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut refuse = |key: String, value: &Value| {
        broken.push(Broken::new(
            key,
            format!("there is no {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        ));
    };
    for (index, kind) in items(file.get("decides")) {
        if reads_as(kind, EventType::Unknown) {
            refuse(format!("decides[{index}]"), kind);
        }
    }
    for (index, lane) in items(file.get("human_lanes")) {
        for (inner, priority) in items(lane.get("priorities")) {
            if reads_as(priority, Priority::Unknown) {
                refuse(format!("human_lanes[{index}].priorities[{inner}]"), priority);
            }
        }
        if let Some(escalation) = lane.get("escalation")
            && reads_as(escalation, crate::domain::decision::EscalationType::Unknown)
        {
            refuse(format!("human_lanes[{index}].escalation"), escalation);
        }
    }
    for (impact, row) in file.get("priority_matrix").and_then(Value::as_table).into_iter().flatten() {
        if reads_as(&Value::from(impact.as_str()), Level::Unknown) {
            refuse(format!("priority_matrix.{impact}"), &Value::from(impact.as_str()));
        }
        for (urgency, priority) in row.as_table().into_iter().flatten() {
            let key = format!("priority_matrix.{impact}.{urgency}");
            if reads_as(&Value::from(urgency.as_str()), Level::Unknown) {
                refuse(key, &Value::from(urgency.as_str()));
            } else if reads_as(priority, Priority::Unknown) {
                refuse(key, priority);
            }
        }
    }
    broken
}

fn items(list: Option<&Value>) -> impl Iterator<Item = (usize, &Value)> {
    list.and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn reads_as<T: serde::de::DeserializeOwned + PartialEq>(value: &Value, unknown: T) -> bool {
    value.clone().try_into::<T>().is_ok_and(|read| read == unknown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys of broken rules in a file with these lines besides its id.
    fn broken(lines: &str) -> Vec<String> {
        let raw: Value = Value::Table(format!("id = 'a'\n{lines}").parse().expect("the test's own TOML"));
        let tenant: Tenant = raw.clone().try_into().expect("the types are right");
        let mut broken = check(&tenant);
        broken.extend(unknown_symbols(&raw));
        broken.into_iter().map(|rule| rule.key).collect()
    }

    #[test]
    fn each_rule_names_its_key() {
        let label = |name: &str| format!("{{ name = '{name}', description = 'd' }}");
        let taxonomy = |labels: &[String]| {
            format!("human_lanes = []\n[taxonomy]\nversion = '1'\ncategories = [{}]", labels.join(", "))
        };
        let lane = |inner: &str| format!("human_lanes = [{{ name = 'l', {inner} }}]");
        for (lines, key) in [
            ("version = ''".to_owned(), "version"),
            ("currency = 'eur'".to_owned(), "currency"),
            ("default_queue = ' '".to_owned(), "default_queue"),
            ("instructions = ' '".to_owned(), "instructions"),
            ("instructions = 'TICKET>>>'".to_owned(), "instructions"),
            ("instructions = \"a\\tb\"".to_owned(), "instructions"),
            (format!("instructions = '{}'", "x".repeat(4_001)), "instructions"),
            ("languages = ['en', 'en']".to_owned(), "languages[1]"),
            ("languages = ['english']".to_owned(), "languages[0]"),
            (taxonomy(&[]), "taxonomy.categories"),
            (taxonomy(&[label("Big")]), "taxonomy.categories[0].name"),
            (taxonomy(&[label("a"), label("a")]), "taxonomy.categories[1].name"),
            (taxonomy(&[label("none_of_these")]), "taxonomy.categories[0].name"),
            (taxonomy(&["{ name = 'a', description = '' }".to_owned()]), "taxonomy.categories[0].description"),
            (taxonomy(&["{ name = 'a', description = 'd', queue = '' }".to_owned()]), "taxonomy.categories[0].queue"),
            ("decides = []".to_owned(), "decides"),
            ("decides = ['TICKET_CREATED', 'TICKET_CREATED']".to_owned(), "decides[1]"),
            ("decides = ['TICKET_CRATED']".to_owned(), "decides[0]"),
            ("thresholds = { recommend = 0.8 }".to_owned(), "thresholds"),
            ("thresholds = { max_risk = -0.1 }".to_owned(), "thresholds.max_risk"),
            ("thresholds = { apply = nan }".to_owned(), "thresholds.apply"),
            ("field_thresholds = { colour = {} }".to_owned(), "field_thresholds.colour"),
            ("field_thresholds = { queue = { apply = 0.1 } }".to_owned(), "field_thresholds.queue"),
            ("calibrated_fields = ['colour']".to_owned(), "calibrated_fields[0]"),
            ("priority_matrix = { LOW = { LOW = 'LOW' } }".to_owned(), "priority_matrix.LOW.MEDIUM"),
            ("priority_matrix = { LOW = { LOW = 'LOWEST' } }".to_owned(), "priority_matrix.LOW.LOW"),
            ("priority_matrix = { TALL = {} }".to_owned(), "priority_matrix.TALL"),
            (lane("phrases = []"), "human_lanes[0].name"),
            (lane("phrases = [' x']"), "human_lanes[0].phrases"),
            (lane("phrases = ['\u{200B}']"), "human_lanes[0].phrases"),
            (lane("categories = ['nothing']"), "human_lanes[0].categories"),
            (lane("priorities = ['HUGE']"), "human_lanes[0].priorities[0]"),
            (lane("phrases = ['x'], escalation = 'POLICE'"), "human_lanes[0].escalation"),
            ("decide_by = '0s'".to_owned(), "decide_by"),
            ("target_response = { urgent = '5h' }".to_owned(), "target_response"),
            ("limits = { requests_per_minute = 0 }".to_owned(), "limits.requests_per_minute"),
            ("limits = { tokens_per_minute = 0 }".to_owned(), "limits.tokens_per_minute"),
            ("limits = { money_per_day = 0 }".to_owned(), "limits.money_per_day"),
            ("limits = { weight = 0 }".to_owned(), "limits.weight"),
            ("limits = { weight = 1001 }".to_owned(), "limits.weight"),
        ] {
            let keys = broken(&lines);
            assert!(keys.iter().any(|found| found == key), "{lines} breaks {keys:?}");
        }
        for id in ["", "a|b", "a/b"] {
            let raw: Value = Value::Table(format!("id = '{id}'").parse().expect("TOML"));
            assert_eq!(check(&raw.try_into().expect("a tenant"))[0].key, "id");
        }
    }

    #[test]
    fn other_spellings_of_priorities_are_known() {
        assert_eq!(broken("human_lanes = [{ name = 'l', priorities = ['critical', 'medium'] }]"), [""; 0]);
    }

    proptest! {
        #[test]
        fn thresholds_pass_exactly_when_they_are_in_range_and_in_order(
            recommend in -0.5..1.5, select in -0.5..1.5, apply in -0.5..1.5,
        ) {
            let mut found = Vec::new();
            ordered("t", &Thresholds { recommend, select, apply, max_risk: 0.3 }, &mut found);
            let right = 0.0 <= recommend && recommend <= select && select <= apply && apply <= 1.0;
            prop_assert_eq!(found.is_empty(), right);
        }
    }
}
