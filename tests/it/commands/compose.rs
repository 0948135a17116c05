//! `docker compose up`: its services are started with settings that are taken.

use assert_cmd::Command;

const COMPOSE: &str = include_str!("../../../docker-compose.yml");

/// What stands in a file of this form below a line, two steps further in.
fn below<'a>(line: &'a str, indent: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    let lines = COMPOSE.lines().skip_while(move |found| *found != line).skip(1);
    lines.take_while(move |line| line.starts_with(indent)).filter_map(move |line| line.strip_prefix(indent))
}

#[test]
fn what_the_compose_file_sets_is_taken() {
    let variables: Vec<_> = below("    environment: &settings", "      ")
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.starts_with("GATEKEEPER__"))
        .collect();
    assert!(variables.len() >= 7, "the file was not read: {variables:?}");
    let all = COMPOSE.matches("GATEKEEPER__").count();
    assert_eq!(all, variables.len() + 1, "one comes from the shell, and every other one is seen here");
    let commands: Vec<_> = COMPOSE.lines().filter_map(|line| line.trim().strip_prefix("command: [")).collect();
    assert_eq!(commands, ["--profile, development, topics, --create]", "--profile, development, serve]"]);
    let loaded = Command::new(env!("CARGO_BIN_EXE_gatekeeper"))
        .args(["--profile", "development", "check-config"])
        .envs(variables)
        .output()
        .expect("the binary starts");
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
}

#[test]
fn the_processor_waits_for_its_topics_and_its_database() {
    let waits: Vec<_> = below("  gatekeeper:", "    ").skip_while(|line| *line != "depends_on:").skip(1).collect();
    for service in ["topics: {condition: service_completed_successfully}", "postgres: {condition: service_healthy}"] {
        assert!(waits.iter().any(|line| line.trim() == service), "{service} is not in {waits:?}");
    }
}
