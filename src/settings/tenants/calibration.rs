//! What tables of calibration must be to be taken.
//!
//! They are made by `gatekeeper calibration`, and like everything in a policy they may be written by hand: a table that
//! falls, or leaves 0 to 1, would turn thresholds upside down.

use std::collections::BTreeSet;

use crate::domain::calibration::Calibration;

/// Old models and prompts are left out long before; every event's policy is compared with what is known of it.
const MAX_TABLES: usize = 100;
/// Far more steps than reviews can tell apart.
const MAX_POINTS: usize = 1_000;
/// Of the name of a model, a prompt or a version.
const MAX_CHARS: usize = 200;

/// Every rule these tables break: key, and what is wrong. `fields`: those that have a confidence.
pub fn check(tables: &[Calibration], fields: &[&str]) -> Vec<(String, String)> {
    let mut broken = Vec::new();
    if tables.len() > MAX_TABLES {
        broken.push(("calibration".to_owned(), format!("has {} tables, at most {MAX_TABLES}", tables.len())));
    }
    let mut seen = BTreeSet::new();
    for (index, table) in tables.iter().enumerate() {
        let mut wrong = |key: &str, message| broken.push((format!("calibration[{index}].{key}"), message));
        if !fields.contains(&table.field.as_str()) {
            wrong("field", format!("there is no such field; there are {}", fields.join(", ")));
        }
        for (key, name) in [("model", &table.model), ("prompt", &table.prompt), ("version", &table.version)] {
            if name.trim().is_empty() || name.chars().count() > MAX_CHARS || name.chars().any(char::is_control) {
                wrong(key, format!("expected 1 to {MAX_CHARS} characters"));
            }
        }
        if !seen.insert((&table.field, &table.model, &table.prompt)) {
            wrong("field", "has a table for this model and prompt already".to_owned());
        }
        if table.reviews == 0 {
            wrong("reviews", "a table is made of reviews".to_owned());
        }
        if let Some(message) = of_points(&table.points) {
            wrong("points", message);
        }
    }
    broken
}

fn of_points(points: &[[f64; 2]]) -> Option<String> {
    if !(1..=MAX_POINTS).contains(&points.len()) {
        return Some(format!("expected 1 to {MAX_POINTS} points"));
    }
    if !points.iter().flatten().all(|value| (0.0..=1.0).contains(value)) {
        return Some("must be from 0 to 1".to_owned());
    }
    let rises = points.windows(2).all(|pair| pair[0][0] < pair[1][0] && pair[0][1] <= pair[1][1]);
    (!rises).then(|| "must rise: each raw confidence above the one before, its worth not below".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(field: &str, points: &[[f64; 2]]) -> Calibration {
        let [model, prompt, version] = ["small", "p1", "7"].map(str::to_owned);
        Calibration { field: field.to_owned(), model, prompt, version, reviews: 300, points: points.to_vec() }
    }

    fn broken(tables: &[Calibration]) -> Vec<String> {
        check(tables, &["category", "queue"]).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_table_that_falls_or_leaves_its_range_or_says_nothing_is_refused() {
        let right = table("category", &[[0.5, 0.4], [0.6, 0.4], [1.0, 1.0]]);
        assert_eq!(broken(&[right.clone(), table("queue", &[[0.0, 0.0]])]), [""; 0]);
        for points in [
            &[][..],
            &[[0.5, 0.4], [0.6, 0.3]],
            &[[0.5, 0.4], [0.5, 0.4]],
            &[[0.6, 0.4], [0.5, 0.4]],
            &[[0.5, 1.1]],
            &[[-0.1, 0.5]],
            &[[0.5, f64::NAN]],
            &[[0.5, 0.5]; 1_001],
        ] {
            assert_eq!(broken(&[table("category", points)]), ["calibration[0].points"], "{points:?}");
        }
        assert_eq!(broken(&[table("colour", &right.points)]), ["calibration[0].field"]);
        assert_eq!(broken(&[right.clone(), right.clone()]), ["calibration[1].field"]);
        assert_eq!(broken(&[Calibration { reviews: 0, ..right.clone() }]), ["calibration[0].reviews"]);
        assert_eq!(broken(&[Calibration { model: " ".to_owned(), ..right }]), ["calibration[0].model"]);
        let many: Vec<_> =
            (0..101).map(|n| Calibration { prompt: format!("p{n}"), ..table("category", &[[0.5, 0.5]]) }).collect();
        assert_eq!(broken(&many), ["calibration"]);
    }
}
