//! What we build on: where it comes from, under which licences, and that there is one of what there should be one of.
//!
//! Judged by what is really compiled for this machine, tests included: `cargo tree` knows which, `cargo metadata` (which
//! also lists what no feature asks for) knows more about each; both offline. Known vulnerabilities are not checked here,
//! because their list is not at hand offline.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const DEFAULT_REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Licences that ask for no more than a notice. Of several to choose from one is enough; of several that all apply, all.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    // Data: the root certificates that Postgres's TLS checks a server against (webpki-roots).
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not be in the build, and why.
const BANNED: &[(&str, &str)] = &[
    ("ring", "a second TLS provider: ours is aws-lc-rs"),
    // openssl-sys is there: librdkafka is C and brings its TLS with it. Nothing of ours uses it for more than its start.
    ("openssl", "a second TLS library"),
    ("native-tls", "a second TLS library"),
    ("chrono-tz", "times are UTC"),
];

/// Two versions of these are two worlds whose types, pools or registries do not meet.
const ONCE: &[&str] =
    &["async-openai", "axum", "http", "hyper", "metrics", "reqwest", "rustls", "serde", "sqlx", "tokio", "tracing"];

#[derive(Debug, Clone)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub licence: Option<String>,
    pub source: Option<String>,
}

/// What is compiled for this machine.
pub fn resolved() -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let run = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program)
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs: it runs this test");
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let version = String::from_utf8(run(&cargo, &["-vV"])).expect("cargo writes text");
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    let arguments = ["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host];
    let metadata: Value = serde_json::from_slice(&run(&cargo, &arguments)).expect("cargo writes JSON");
    let tree = run(&cargo, &["tree", "--offline", "--locked", "--target", host, "--prefix", "none", "--format", "{p}"]);
    let tree = String::from_utf8(tree).expect("cargo writes text");
    // `name v1.2.3`, perhaps with more behind.
    let name_and_version = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let used: BTreeSet<String> = tree.lines().map(name_and_version).collect();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let packages = metadata["packages"].as_array().into_iter().flatten().map(|package| Package {
        name: text(&package["name"]).expect("a package has a name"),
        version: text(&package["version"]).expect("a package has a version"),
        licence: text(&package["license"]),
        source: text(&package["source"]),
    });
    packages.filter(|package| used.contains(&format!("{} v{}", package.name, package.version))).collect()
}

pub fn violations(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Package { name, version, licence, source } in packages {
        versions.entry(name).or_default().insert(version);
        // Without a source it is ourselves.
        if source.as_deref().is_some_and(|source| source != DEFAULT_REGISTRY) {
            found.push(format!("{name} {version} comes from {source:?}"));
        }
        match licence {
            Some(licence) if is_allowed(licence) => {}
            other => found.push(format!("{name} {version} has the licence {other:?}")),
        }
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| banned == name) {
            found.push(format!("{name} {version}: {why}"));
        }
    }
    for name in ONCE {
        if let Some(several) = versions.get(name).filter(|versions| versions.len() > 1) {
            found.push(format!("{name} is there in several versions: {several:?}"));
        }
    }
    found
}

/// SPDX, as far as it is used: `AND` of `OR`s in brackets or without, and the old `/` for `OR`.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut words: Vec<String> = Vec::new();
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match words.last_mut() {
            Some(last) if word == "WITH" || last.ends_with(" WITH") => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    let (allowed, rest) = any_of(&words);
    allowed && rest.is_empty()
}

/// `OR` binds weaker than `AND`.
fn any_of(words: &[String]) -> (bool, &[String]) {
    let (mut allowed, mut rest) = all_of(words);
    while rest.first().is_some_and(|word| word == "OR") {
        let (other, behind) = all_of(&rest[1..]);
        (allowed, rest) = (allowed || other, behind);
    }
    (allowed, rest)
}

fn all_of(words: &[String]) -> (bool, &[String]) {
    let (mut allowed, mut rest) = one(words);
    while rest.first().is_some_and(|word| word == "AND") {
        let (other, behind) = one(&rest[1..]);
        (allowed, rest) = (allowed && other, behind);
    }
    (allowed, rest)
}

fn one(words: &[String]) -> (bool, &[String]) {
    match words.split_first() {
        Some((open, inner)) if open == "(" => {
            let (allowed, rest) = any_of(inner);
            match rest.split_first() {
                Some((close, behind)) if close == ")" => (allowed, behind),
                _ => (false, &[]),
            }
        }
        Some((name, rest)) => (LICENCES.contains(&name.as_str()), rest),
        None => (false, &[]),
    }
}

#[test]
fn a_licence_is_allowed_when_a_choice_of_it_is() {
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0-only OR MIT",
        "(MIT OR GPL-3.0-only) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
        "GPL-3.0-only AND ISC OR MIT",
    ] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "(MIT OR ISC", "AGPL-3.0-only OR (MIT AND SSPL-1.0)"] {
        assert!(!is_allowed(refused), "{refused}");
    }
}

#[test]
fn foreign_sources_banned_crates_and_second_versions_are_found() {
    let package = |name: &str, version: &str, source: &str| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        licence: Some("MIT".to_owned()),
        source: Some(source.to_owned()),
    };
    let git = "git+https://example.org/tokio";
    assert_eq!(violations(&[package("tokio", "1.0.0", DEFAULT_REGISTRY)]), [""; 0]);
    assert_eq!(violations(&[package("tokio", "1.0.0", git)]).len(), 1);
    assert_eq!(violations(&[package("ring", "0.17.0", DEFAULT_REGISTRY)]).len(), 1);
    let two = [package("hyper", "0.14.0", DEFAULT_REGISTRY), package("hyper", "1.0.0", DEFAULT_REGISTRY)];
    assert_eq!(violations(&two).len(), 1);
    let nameless = Package { licence: None, ..package("serde", "1.0.0", DEFAULT_REGISTRY) };
    assert_eq!(violations(&[nameless]).len(), 1);
}
