//! What a reader may expect of every file, tests included.

use super::tree::Tree;

/// Past this, ask what the second idea is called.
const MAX_LINES: usize = 400;

/// How the attribute of a test ends that waits for a service: `tests/run` starts it and runs the test.
const NEEDS_SERVICE: &str = ": tests/run starts it\"]";

/// Tests that do not run by themselves: file and name, and who runs them.
const IGNORED: &[(&str, &str)] = &[
    // Measurements, run by hand; their figures depend on the machine.
    ("tests/it/log_contract/speed.rs", "speed"),
    ("tests/it/ledger_contract/speed.rs", "speed_of_sqlite"),
    ("tests/it/ledger_contract/speed.rs", "speed_of_postgres"),
];

/// Production code: its length.
pub fn of_production(tree: &Tree) -> Vec<String> {
    let too_long = tree.sources.iter().filter(|source| source.lines > MAX_LINES);
    too_long.map(|source| format!("{}: {} lines of code, {MAX_LINES} at most", source.path, source.lines)).collect()
}

/// Every file: a text of its own at its head, no notes to oneself, nothing switched off.
pub fn of_every_file(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(format!("{path}: begins without saying what it is (//!)"));
    }
    // In two parts, so that this file does not find itself.
    let notes = ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(one, other)| format!("{one}{other}"));
    let notes: Vec<_> = notes.collect();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let words = || line.split(|c: char| !c.is_alphanumeric());
        if let Some(note) = notes.iter().find(|note| words().any(|word| word == **note)) {
            found.push(format!("{path}:{}: {note}: do it, or file it", index + 1));
        }
        let ignored = line.trim_start().strip_prefix("#[ignore");
        if ignored.is_some_and(|rest| !(rest.starts_with(" = \"needs ") && rest.ends_with(NEEDS_SERVICE))) {
            let name = lines.peek().map_or("", |(_, next)| *next);
            if !IGNORED.iter().any(|(file, test)| *file == path && name.contains(&format!("fn {test}("))) {
                found.push(format!("{path}:{}: a test that nobody runs", index + 1));
            }
        }
    }
    found
}
