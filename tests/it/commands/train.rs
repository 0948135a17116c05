//! `train`, and what is trained, on the real binary.

use super::place::{Place, event, fixture};

/// The fixture to learn from, and a variation of every eighth ticket to measure on.
fn table() -> String {
    let tickets = std::fs::read_to_string(fixture("tickets.csv")).expect("the fixture");
    let mut table = String::from("text,category,split\n");
    for (index, line) in tickets.lines().skip(1).enumerate() {
        table += &format!("{line},train\n");
        if index % 8 == 0 {
            table += &format!("Hello! {line},test\n");
        }
    }
    table
}

#[test]
fn trained_weights_decide_and_name_themselves() {
    let place = Place::new();
    let (file, weights) =
        (place.write("labelled.csv", table().as_bytes()), place.path("acme.gkw").display().to_string());
    let report = place.json(&["train", &file, "--label", "category", "--out", &weights, "--name", "acme-own"]);
    assert_eq!((&report["trained_rows"], &report["held_out_rows"]), (&64.into(), &8.into()), "{report}");

    place.run(&["publish", "-"], &event("acme", "1", "I forgot my password and the reset mail never comes"));
    let set = format!("models.local.weights={weights}");
    place.good(&["serve", "--until-idle", "--set", &set]);
    let seen = place.watched(&[]);
    let model = seen[0]["decision"]["model"]["request_model"].as_str().expect("a model decided");
    assert!(model.contains("acme-own"), "{}", seen[0]);
}

#[test]
fn a_file_that_cannot_be_learnt_from_is_refused_and_nothing_is_installed() {
    let place = Place::new();
    let weights = place.path("acme.gkw");
    let train = |name: &str| {
        let args = ["train", &fixture(name), "--label", "category", "--out", &weights.display().to_string()];
        let ended = place.run(&args, "");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        ended.stderr
    };
    assert!(train("bad/missing_column.csv").contains("no column \"category\""));
    assert!(train("bad/broken_line.csv").contains("line 4"));
    assert!(train("tickets.csv").contains("rows"), "too few to hold some out");
    assert!(!weights.exists());
}

#[test]
fn weights_are_measured_on_a_file_without_learning_from_it() {
    let place = Place::new();
    let file = fixture("tickets.csv");
    let measured = place.json(&["train", &file, "--label", "category", "--evaluate", "generic"]);
    assert_eq!(measured["rows"], 64, "{measured}");
    assert_eq!(measured["labels"].as_array().map(Vec::len), Some(8), "{measured}");
    assert!(measured["accuracy"].as_f64() > Some(0.5), "{measured}");
    // The rows that were learnt from say nothing of what the weights are worth.
    let (marked, own) = (place.write("labelled.csv", table().as_bytes()), place.path("acme.gkw").display().to_string());
    place.json(&["train", &marked, "--label", "category", "--out", &own, "--name", "acme-own"]);
    let measured = place.json(&["train", &marked, "--label", "category", "--evaluate", &own]);
    assert_eq!(measured["rows"], 8, "{measured}");
    let refused = place.run(&["train", &file, "--label", "category", "--evaluate", "/nowhere/a.gkw"], "");
    assert!(refused.code == Some(1) && refused.stderr.contains("/nowhere/a.gkw"), "{refused:?}");
}

#[test]
fn weights_do_not_take_the_place_of_what_they_are_learnt_from_or_of_anything_else() {
    let place = Place::new();
    let file = place.write("labelled.csv", table().as_bytes());
    let other = place.write("other.csv", b"text,label\n");
    let indirectly = format!("{}/../{}/labelled.csv", place.path("").display(), place.name());
    for (out, says) in [
        (file.as_str(), "holds the rows to learn from"),
        (&indirectly, "holds the rows to learn from"),
        (&other, "is a file of something else"),
        ("/dev/null", "is no regular file"),
    ] {
        let ended = place.run(&["train", &file, "--label", "category", "--out", out], "");
        assert!(ended.code == Some(1) && ended.stderr.contains(says), "{out}: {ended:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), table());
    assert_eq!(std::fs::read_to_string(&other).expect("it is there"), "text,label\n");
}

#[test]
fn weights_are_measured_as_the_settings_would_have_them_asked_and_unknown_settings_are_refused() {
    let place = Place::new();
    let file = fixture("tickets.csv");
    let args = ["train", &file, "--label", "category", "--evaluate", "generic"];
    let answered = |share: &str| {
        let set = format!("models.local.min_known_share={share}");
        place.json(&[&args[..], &["--set", &set]].concat())["answered"].clone()
    };
    assert_ne!(answered("0.0"), answered("1.0"));
    let refused = place.run(&[&args[..], &["--set", "models.local.min_share=1"]].concat(), "");
    assert!(refused.code == Some(78) && refused.stderr.contains("models.local.min_share"), "{refused:?}");
}
