//! Other people's crates have one home each, and so has the clock: a new broker or model is one new folder.

use super::tree::Tree;

/// A crate, and the modules that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("rdkafka", &["adapters::kafka"]),
    ("rdkafka_sys", &["adapters::kafka::raw"]),
    ("openssl_sys", &["adapters::kafka::login"]),
    ("sqlx", &["adapters::postgres", "adapters::sqlite", "adapters::embedded_log"]),
    // telemetry::logging names the library's log target, no type of it.
    ("async_openai", &["adapters::openai", "telemetry::logging"]),
    // The demo tells its simulated provider how to behave, over HTTP like everybody else.
    ("reqwest", &["adapters::openai", "adapters::kafka::login", "adapters::schema_registry", "app::demo"]),
    ("tower", &["adapters::openai"]),
    ("failsafe", &["pipeline::triage::breaker"]),
    // The simulated provider is a server of its own: a process beside the gatekeeper, not a part of its API.
    ("axum", &["http", "app::simulator"]),
    ("metrics", &["telemetry"]),
    ("metrics_util", &["telemetry"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
    ("tracing_appender", &["telemetry"]),
    ("minijinja", &["pipeline::triage::prompt"]),
    ("regex", &["pipeline::triage"]),
    ("whatlang", &["adapters::local_model::language"]),
    // Contracts are encoded in one place; `publish` reads container files, which are no contract of ours.
    ("apache_avro", &["pipeline::schema_set", "operations::publish"]),
    ("csv", &["operations", "app::demo", "app::bench"]),
    ("chrono", &["domain::clock"]),
    ("strsim", &["settings"]),
    ("rustls", &["app", "adapters::kafka::certificate"]),
    ("clap", &["cli", "app", "main"]),
    ("anyhow", &["app"]),
    ("indicatif", &["app", "operations"]),
];

/// Calls that have one home, and why.
const CALLS: &[(&[&str], &[&str], &str)] = &[
    (&["SystemTime", "::", "now"], &["domain::clock"], "time comes from a Clock"),
    (&["Utc", "::", "now"], &["domain::clock"], "time comes from a Clock"),
    (&["Local", "::", "now"], &[], "time comes from a Clock, in UTC"),
    // A failpoint ends the process: that is what it is for.
    (&["process", "::", "exit"], &["app", "failpoints"], "only main and app end the process"),
    // Behind a failpoint there is nothing left to block; librdkafka's calls have threads that may.
    (&["thread", "::", "sleep"], &["failpoints", "adapters::kafka"], "a blocked thread blocks a runtime"),
    (&["println", "!"], &[], "commands say! it: println panics when nobody reads along any more"),
    (&["print", "!"], &[], "commands say_as_is! it: print panics when nobody reads along any more"),
    (&[".", "create", "(", ")"], &["adapters::kafka::login"], NO_TOKEN),
    (&[".", "create", "::"], &["adapters::kafka::login"], NO_TOKEN),
    (&[".", "create_with_context", "("], &["adapters::kafka::login"], NO_TOKEN),
    (
        &["eprintln", "!"],
        &[],
        "logs are tracing's, and commands complain!: eprintln panics when nobody listens any more",
    ),
    (&["eprint", "!"], &[], "logs are tracing's"),
    (&[".", "unwrap", "("], &[], "say why it cannot fail: expect(..)"),
];

/// A client that is made elsewhere asks its questions in vain, and only where tokens are wanted.
const NO_TOKEN: &str = "clients of a cluster are made by its Login: none of them has a token otherwise";

pub fn violations(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, module, at) in tree.crates() {
        if let Some((_, homes)) = HOMES.iter().find(|(home, _)| *home == name)
            && !is_home(&module, homes)
        {
            found.push(format!("{at}: {name} is at home in {}", homes.join(", ")));
        }
    }
    for source in &tree.sources {
        if source.module.join("::").starts_with("telemetry::happenings::") {
            let millis = source.tokens.iter().filter(|token| token.text == "as_millis");
            found.extend(millis.map(|token| {
                format!(
                    "{}:{}: as_millis: of 128 bits, which a log line has as a text: millis(..)",
                    source.path, token.line
                )
            }));
        }
        for (call, homes, why) in CALLS {
            for at in source.tokens.windows(call.len()) {
                let same = at.iter().zip(*call).all(|(token, word)| token.text == *word);
                if same && !is_home(&source.module, homes) {
                    found.push(format!("{}:{}: {}: {why}", source.path, at[0].line, call.concat()));
                }
            }
        }
    }
    found
}

fn is_home(module: &[String], homes: &[&str]) -> bool {
    let module = module.join("::");
    homes.iter().any(|home| module == *home || module.starts_with(&format!("{home}::")))
}
