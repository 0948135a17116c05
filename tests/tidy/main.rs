//! House rules that no compiler knows, read off the sources: who may import whom, no cycles, one home for each foreign
//! crate, files of one idea, a proof for every reason code, and what we build on.
//!
//! Each rule is fed bad sources first: a rule that finds nothing proves nothing.

mod crates;
mod cycles;
mod dependencies;
mod imports;
mod manners;
mod reason_codes;
mod source;
mod tree;

use std::path::Path;

use gatekeeper::domain::reason_code::STATUS_AND_CODES;

use self::tree::Tree;

fn files(folders: &[&str]) -> Vec<(String, String)> {
    source::files(Path::new(env!("CARGO_MANIFEST_DIR")), folders)
}

fn ours() -> Tree {
    Tree::new(&files(&["src"]))
}

/// A tree of made-up files.
fn tree(files: &[(&str, &str)]) -> Tree {
    let files: Vec<_> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Tree::new(&files)
}

#[track_caller]
fn none(violations: &[String]) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn imports_point_the_other_way_than_data_flows() {
    let tree = ours();
    assert!(tree.imports().len() > 300, "the sources were not read");
    none(&imports::violations(&tree));
}

#[test]
fn no_two_modules_know_each_other() {
    none(&cycles::violations(&ours()));
}

#[test]
fn other_peoples_crates_have_one_home_each() {
    let tree = ours();
    assert!(tree.crates().iter().any(|(name, ..)| name == "sqlx"), "the sources were not read");
    none(&crates::violations(&tree));
}

#[test]
fn files_hold_one_idea() {
    none(&manners::of_production(&ours()));
}

#[test]
fn every_file_says_what_it_is_and_hides_nothing() {
    let all = files(&["src", "tests", "benches"]);
    let found: Vec<_> = all.iter().flat_map(|(path, text)| manners::of_every_file(path, text)).collect();
    none(&found);
}

#[test]
fn every_reason_code_is_proved_or_said_to_be_missing() {
    none(&reason_codes::violations(STATUS_AND_CODES, &files(&["src", "tests"])));
}

#[test]
fn what_we_build_on_is_allowed() {
    let packages = dependencies::resolved();
    assert!(packages.len() > 100, "the dependencies were not read");
    none(&dependencies::violations(&packages));
}

mod bad_sources {
    use super::*;

    /// What the rules say of one file beside empty modules that it may name.
    fn imports_of(path: &str, text: &str) -> usize {
        let empty = [
            "src/domain/event.rs",
            "src/settings/triage.rs",
            "src/settings/http.rs",
            "src/telemetry/mod.rs",
            "src/pipeline/admit/mod.rs",
            "src/pipeline/lane/order.rs",
            "src/pipeline/log.rs",
            "src/pipeline/schema_set/mod.rs",
            "src/pipeline/triage/model.rs",
            "src/operations/audit.rs",
            "src/adapters/sqlite/mod.rs",
            "src/http/mod.rs",
            "src/app/mod.rs",
            "src/sabotage.rs",
        ];
        let mut files: Vec<_> = empty.into_iter().filter(|other| *other != path).map(|path| (path, "")).collect();
        files.push((path, text));
        imports::violations(&tree(&files)).len()
    }

    #[test]
    fn forbidden_imports_are_found_however_they_are_written() {
        for (path, text) in [
            ("src/domain/money.rs", "use crate::settings::triage::Retry;"),
            ("src/settings/log.rs", "use crate::telemetry;"),
            ("src/telemetry/mod.rs", "use crate::settings::http::Http;"),
            ("src/pipeline/lane/mod.rs", "use crate::pipeline::admit::Admission;"),
            ("src/pipeline/lane/mod.rs", "use super::admit::Admission;"),
            ("src/pipeline/lane/mod.rs", "use super::{admit::{self, Admission}};"),
            ("src/pipeline/lane/mod.rs", "fn f() { crate::pipeline::admit::offer(); }"),
            ("src/pipeline/lane/mod.rs", "fn f() { let x: super::admit::X = matches!(y, super::admit::Y); }"),
            ("src/pipeline/lane/mod.rs", "mod inner { use super::super::admit::X; }"),
            ("src/pipeline/lane/mod.rs", "#[cfg(not(test))] use super::admit::X;"),
            ("src/pipeline/lane/mod.rs", "use crate::pipeline::log::Log;"),
            ("src/pipeline/lane/mod.rs", "use crate::settings::triage::Retry;"),
            ("src/pipeline/run_loop.rs", "use crate::operations::audit::Report;"),
            ("src/operations/replay.rs", "use crate::adapters::sqlite::SqliteLedger;"),
            ("src/adapters/openai/mod.rs", "use crate::adapters::sqlite::Pool;"),
            ("src/adapters/openai/mod.rs", "use crate::pipeline::log::Log;"),
            ("src/adapters/openai/mod.rs", "use crate::http::router;"),
            ("src/http/router.rs", "use crate::adapters::sqlite::SqliteLedger;"),
            ("src/http/router.rs", "use crate::app::wiring;"),
            ("src/sabotage.rs", "use crate::domain::event::SupportEvent;"),
            ("src/common/mod.rs", "use crate::domain::event::SupportEvent;"),
        ] {
            assert_eq!(imports_of(path, text), 1, "{path}: {text}");
        }
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        for (path, text) in [
            ("src/domain/money.rs", "use super::event::SupportEvent; fn f() { crate::sabotage::on(); }"),
            ("src/pipeline/lane/mod.rs", "use self::order::Order; use crate::{domain::event, telemetry};"),
            ("src/pipeline/lane/mod.rs", "// use super::admit::X;\nconst S: &str = \"crate::pipeline::admit\";"),
            ("src/pipeline/lane/mod.rs", "#[cfg(test)] mod tests { use crate::pipeline::admit::X; }"),
            ("src/pipeline/lane/mod.rs", "#[cfg(test)] use crate::pipeline::{admit::X, log};"),
            ("src/pipeline/ingest/mod.rs", "use crate::pipeline::schema_set::SchemaSet;"),
            ("src/pipeline/triage/guard.rs", "use crate::settings::triage::Retry; use super::model::Model;"),
            ("src/pipeline/run_loop.rs", "use super::{admit, log}; pub(in super::super) fn f() {}"),
            ("src/adapters/openai/mod.rs", "use crate::pipeline::triage::model::{Model, Reply};"),
            ("src/app/wiring.rs", "use crate::adapters::sqlite; use crate::http::router;"),
        ] {
            assert_eq!(imports_of(path, text), 0, "{path}: {text}");
        }
    }

    #[test]
    fn a_module_that_is_only_for_tests_is_not_judged() {
        let tree = tree(&[
            ("src/pipeline/lane/mod.rs", "#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(crate) mod samples;"),
            ("src/pipeline/lane/tests.rs", "use crate::pipeline::admit::X;"),
            ("src/pipeline/lane/samples/mod.rs", "use crate::pipeline::admit::X;"),
            ("src/pipeline/admit/mod.rs", ""),
        ]);
        none(&imports::violations(&tree));
    }

    #[test]
    fn a_cycle_is_found_through_a_re_export_and_below_a_folder() {
        let straight = tree(&[("src/app/a.rs", "use super::b::B;"), ("src/app/b.rs", "use crate::app::a::A;")]);
        assert_eq!(cycles::violations(&straight).len(), 1);
        let hidden = tree(&[
            ("src/app/mod.rs", "pub use self::b::B;"),
            ("src/app/a.rs", "use super::B;"),
            ("src/app/b.rs", "use super::a::A;"),
        ]);
        assert_eq!(cycles::violations(&hidden).len(), 1);
        let of_three = tree(&[
            ("src/app/a/deep.rs", "use crate::app::b::B;"),
            ("src/app/b.rs", "fn f() { super::c::f() }"),
            ("src/app/c.rs", "use super::a::A;"),
            ("src/app/a/mod.rs", ""),
        ]);
        assert_eq!(cycles::violations(&of_three).len(), 1);
        let none_at_all = tree(&[
            ("src/app/mod.rs", "use self::a::A;"),
            ("src/app/a.rs", "use super::Shared; use super::b::B;"),
            ("src/app/b.rs", "use super::Shared;"),
        ]);
        none(&cycles::violations(&none_at_all));
    }

    #[test]
    fn foreign_crates_and_calls_away_from_home_are_found() {
        for text in [
            "use sqlx::SqlitePool;",
            "fn f() { sqlx::query(\"\") }",
            "fn f() { metrics::counter!(\"x\") }",
            "use {serde::Serialize, axum::Router};",
            "use std::time::SystemTime; fn f() { SystemTime::now(); }",
            "fn f() { chrono::Utc::now(); }",
            "fn f() { x.unwrap(); }",
            "fn f() { println!(\"x\"); }",
            "fn f() { clients::base(kafka).create::<AdminClient<Context>>(); }",
            "fn f() { let consumer: BaseConsumer = config.create(); }",
            "fn f() { eprintln!(\"x\"); }",
            "fn f() { std::process::exit(1); }",
        ] {
            let found = crates::violations(&tree(&[("src/pipeline/lane/mod.rs", text)]));
            assert!(!found.is_empty(), "{text}");
        }
        let text = "fn f() { info!(took_ms = took.as_millis()); }";
        assert_eq!(crates::violations(&tree(&[("src/telemetry/happenings/process.rs", text)])).len(), 1);
        for (path, text) in [
            ("src/telemetry/happenings/mod.rs", "fn millis() { took.as_millis() }"),
            ("src/adapters/sqlite/rows.rs", "use sqlx::Row; fn f() { x.unwrap_or(1); }"),
            ("src/domain/clock.rs", "fn f() { std::time::SystemTime::now(); }"),
            ("src/pipeline/lane/mod.rs", "#[cfg(test)] mod tests { fn f() { x.unwrap(); println!(); } }"),
            ("src/pipeline/lane/mod.rs", "/// sqlx::query, x.unwrap()\nfn f() {}"),
        ] {
            none(&crates::violations(&tree(&[(path, text)])));
        }
    }

    #[test]
    fn a_file_that_is_too_long_is_found_and_its_tests_do_not_count() {
        let code = "fn f() {}\n".repeat(390);
        let with_tests = format!("{code}#[cfg(test)]\nmod tests {{\n{code}}}\n");
        none(&manners::of_production(&tree(&[("src/app/a.rs", &with_tests)])));
        assert_eq!(manners::of_production(&tree(&[("src/app/a.rs", &code.repeat(2))])).len(), 1);
    }

    #[test]
    fn files_without_a_head_notes_to_oneself_and_switched_off_tests_are_found() {
        let note = ["TO", "DO"].concat();
        let switched_off = ["//! x\n    #[", "ignore]\nfn f() {}"].concat();
        for text in ["fn f() {}", &format!("//! x\n// {note}: y"), &switched_off] {
            assert_eq!(manners::of_every_file("src/x.rs", text).len(), 1, "{text}");
        }
        let needs_kafka = switched_off.replace("ignore]", "ignore = \"needs Kafka: tests/run starts it\"]");
        for text in ["//! x\n// a method, a mastodon\nfn f() {}", &needs_kafka] {
            none(&manners::of_every_file("src/x.rs", text));
        }
    }
}
