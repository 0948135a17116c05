//! How much the redactor finds, and how often it cries wolf: the corpus of `tests/fixtures/personal_data`.
//!
//! `cargo test --lib redact::corpus -- --nocapture` prints the tables. The bounds are the promise: below them the test
//! fails. Nothing here may be loosened to let a pattern pass; a row that is missed stays in the corpus.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use super::Redactor;
use crate::domain::text::legible;

const POSITIVES: &str = include_str!("../../../../tests/fixtures/personal_data/positives.jsonl");
const NEGATIVES: &str = include_str!("../../../../tests/fixtures/personal_data/negatives.jsonl");

#[derive(Deserialize)]
struct Row {
    text: String,
    /// Of a negative: what it is.
    #[serde(default)]
    what: String,
}

/// Found, of how many.
type Share = (usize, usize);

fn rows(lines: &str) -> Vec<Row> {
    lines.lines().map(|line| serde_json::from_str(line).expect("a row of the corpus")).collect()
}

fn redacted(text: &str) -> String {
    Redactor::default().redact(&legible(text)).expect("nothing is left")
}

/// The text as a customer would send it, and as it should leave.
fn marked(text: &str) -> (String, String, Vec<String>) {
    static SPAN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)⟦([A-Z_]+):(.*?)⟧").expect("a pattern"));
    let sent = SPAN.replace_all(text, "$2").replace('·', "");
    let mut counts = BTreeMap::new();
    let mut kinds = Vec::new();
    let left = SPAN.replace_all(text, |span: &regex::Captures<'_>| {
        let kind = span[1].to_owned();
        let number = counts.entry(kind.clone()).and_modify(|count| *count += 1).or_insert(1);
        let placeholder = format!("[{kind}_{number}]");
        kinds.push(kind);
        placeholder
    });
    (sent, legible(&left), kinds)
}

fn print(title: &str, shares: &BTreeMap<String, Share>) {
    println!("{title}");
    for (name, (found, all)) in shares {
        println!("  {name:<15} {found:>4} of {all:>4}  {:>6.1} %", 100.0 * *found as f64 / *all as f64);
    }
}

fn total(shares: &BTreeMap<String, Share>) -> Share {
    shares.values().fold((0, 0), |(found, all), (more, of)| (found + more, all + of))
}

#[test]
fn what_is_personal_is_found_whole_and_by_its_kind() {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for row in rows(POSITIVES) {
        let (sent, left, kinds) = marked(&row.text);
        let out = redacted(&sent);
        if out != left {
            println!("missed: {left:?}\n    is: {out:?}");
        }
        for kind in kinds {
            let share = shares.entry(kind).or_default();
            *share = (share.0 + usize::from(out == left), share.1 + 1);
        }
    }
    print("recall", &shares);
    assert!(total(&shares).1 >= 300, "{} spans", total(&shares).1);
    for (kind, (found, all)) in &shares {
        // A password has no form of its own; what stands before it does not say where it ends.
        let least = if kind == "PASSWORD" { 90 } else { 95 };
        assert!(found * 100 >= least * all, "{kind}: {found} of {all}");
    }
}

/// What may stand right beside a piece: quotation marks, bullets, pictures, and words of a script without spaces.
const AROUND: [(&str, &str); 8] =
    [("“", "”"), ("„", "“"), ("«", "»"), ("‹", "›"), ("•", "•"), ("🙂", "👍🏽"), ("→", "€"), ("我的", "谢谢")];

#[test]
fn whatever_stands_right_beside_a_piece_it_is_found() {
    let mut missed = Vec::new();
    for row in rows(POSITIVES) {
        let (sent, left, kinds) = marked(&row.text);
        // A password is known by what stands right before it.
        if redacted(&sent) != left || kinds.iter().any(|kind| kind == "PASSWORD") {
            continue;
        }
        for (before, after) in AROUND {
            let between = row.text.replace('⟦', &format!("{before}⟦")).replace('⟧', &format!("⟧{after}"));
            let (sent, left, _) = marked(&between);
            let out = redacted(&sent);
            // Letters of any script may belong to a mail address, and all that follows to a key that was cut off: they go along.
            let is_gone = |kind: &String| out.contains(&format!("[{kind}_1]"));
            let goes_along = kinds.iter().all(|kind| matches!(kind.as_str(), "EMAIL" | "API_KEY") && is_gone(kind));
            if out != left && !goes_along {
                missed.push(format!("{left:?} is {out:?}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn what_only_looks_personal_stays() {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for row in rows(NEGATIVES) {
        let out = redacted(&row.text);
        let alarm = out != legible(&row.text);
        if alarm {
            println!("false alarm, {}: {:?} is {out:?}", row.what, row.text);
        }
        let share = shares.entry(row.what).or_default();
        *share = (share.0 + usize::from(alarm), share.1 + 1);
    }
    print("false alarms", &shares);
    let (alarms, all) = total(&shares);
    assert!(all >= 300, "{all} rows");
    assert!(alarms * 100 <= 2 * all, "{alarms} of {all}");
    for (what, (alarms, all)) in &shares {
        assert!(alarms * 100 <= 8 * all, "{what}: {alarms} of {all}");
    }
}
