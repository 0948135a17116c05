//! Who may import whom: data flows down one road, imports point the other way.

use super::tree::{Import, Module, Tree};

/// Steps of the road. None knows another.
const STAGES: &[&str] = &["ingest", "dedupe", "lane", "admit", "triage", "decide", "review", "publish"];

/// The settings sections a stage, or a part that stages share, may read. The pipeline itself reads its own.
const SECTIONS: &[(&str, &[&str])] =
    &[("ingest", &["schemas"]), ("publish", &["schemas"]), ("schema_set", &["schemas"]), ("triage", &["triage"])];

/// The ports that an adapter implements.
const PORTS: &[(&str, &[&str])] = &[
    ("embedded_log", &["pipeline::log", "operations::log_browser", "operations::positions"]),
    ("kafka", &["pipeline::log", "operations::log_browser", "operations::positions"]),
    ("sqlite", &["pipeline::dedupe::ledger", "operations::trail", "operations::breakers"]),
    ("postgres", &["pipeline::dedupe::ledger", "operations::trail", "operations::breakers", "pipeline::admit::shares"]),
    ("openai", &["pipeline::triage::model"]),
    ("local_model", &["pipeline::triage::model", "operations::train"]),
    ("schema_registry", &["pipeline::schema_set::registry", "operations::schemas"]),
    (
        "memory",
        &["pipeline::log", "pipeline::dedupe::ledger", "pipeline::admit::shares", "pipeline::schema_set::registry"],
    ),
];

/// Every import that the table does not allow.
pub fn violations(tree: &Tree) -> Vec<String> {
    let forbidden = |import: &Import| {
        let why = why_not(&import.from, &import.to)?;
        Some(format!("{}: {} imports {}: {why}", import.at, name(&import.from), name(&import.to)))
    };
    tree.imports().iter().filter_map(forbidden).collect()
}

fn name(module: &[String]) -> String {
    if module.is_empty() { "the crate".to_owned() } else { module.join("::") }
}

fn part(module: &[String], at: usize) -> &str {
    module.get(at).map_or("", String::as_str)
}

fn lies_in(module: &[String], path: &str) -> bool {
    let path: Vec<_> = path.split("::").collect();
    module.len() >= path.len() && module.iter().zip(path).all(|(one, other)| one == other)
}

/// The table.
fn why_not(from: &Module, to: &Module) -> Option<&'static str> {
    if matches!(part(to, 0), "failpoints" | "sabotage") {
        return None;
    }
    let (allowed, why) = match part(from, 0) {
        "domain" => (lies_in(to, "domain"), "the domain knows nothing of ours"),
        "settings" => (is_one_of(to, &["settings", "domain"]), "settings know the domain only"),
        "telemetry" => (
            is_one_of(to, &["telemetry", "domain", "settings::telemetry"]),
            "telemetry knows the domain and its own section only",
        ),
        "pipeline" => return pipeline(from, to),
        "operations" => (
            is_one_of(to, &["operations", "pipeline", "telemetry", "settings", "domain"]),
            "operations use the pipeline and what is below",
        ),
        "adapters" => return adapter(from, to),
        "http" => (
            is_one_of(to, &["http", "operations", "pipeline", "telemetry", "settings", "domain"]),
            "http uses operations and what is below",
        ),
        "failpoints" | "sabotage" => (false, "it may be used anywhere, so it uses nothing of ours"),
        "app" | "cli" | "main" => (true, ""),
        "" => (true, "the root only declares"),
        _ => (false, "this module has no row in the table"),
    };
    (!allowed).then_some(why)
}

fn is_one_of(to: &Module, allowed: &[&str]) -> bool {
    allowed.iter().any(|path| lies_in(to, path))
}

fn pipeline(from: &Module, to: &Module) -> Option<&'static str> {
    let own = part(from, 1);
    let is_stage = STAGES.contains(&own);
    let is_shared = matches!(own, "schema_set" | "frontier" | "quota");
    if !is_stage && !is_shared {
        let allowed = is_one_of(to, &["pipeline", "telemetry", "settings", "domain"]);
        return (!allowed).then_some("the pipeline uses its stages and what they may use");
    }
    match part(to, 0) {
        "domain" | "telemetry" => None,
        "settings" => {
            let sections = SECTIONS.iter().find(|(stage, _)| *stage == own).map_or(&[][..], |(_, sections)| *sections);
            (!sections.contains(&part(to, 1))).then_some("a stage reads its own settings section only")
        }
        "pipeline" if part(to, 1) == own => None,
        // No stages: both ends of the road need the contracts' encoding, tenants and models are counted in buckets.
        "pipeline" if is_stage && matches!(part(to, 1), "schema_set" | "quota") => None,
        "pipeline" if STAGES.contains(&part(to, 1)) => Some("a stage never knows another"),
        "pipeline" => Some("a stage does not know the road it stands on"),
        _ => Some("a stage uses the domain, its settings section and telemetry only"),
    }
}

fn adapter(from: &Module, to: &Module) -> Option<&'static str> {
    let own = part(from, 1);
    let ports = PORTS.iter().find(|(adapter, _)| *adapter == own).map_or(&[][..], |(_, ports)| *ports);
    match part(to, 0) {
        "domain" | "settings" | "telemetry" => None,
        "adapters" if part(to, 1) == own => None,
        "adapters" if own.is_empty() => None,
        "adapters" => Some("an adapter never knows another"),
        "pipeline" | "operations" if is_one_of(to, ports) => None,
        "pipeline" | "operations" => Some("an adapter uses the ports that it implements only"),
        _ => Some("an adapter uses its ports, the domain, settings and telemetry only"),
    }
}
