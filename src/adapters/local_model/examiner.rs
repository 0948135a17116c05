//! The [`Examiner`]: weights asked as the road asks them, and counted.

use std::collections::BTreeSet;
use std::path::Path;

use super::evaluation::{CONFIDENT, Tally};
use super::reading::read;
use super::{GENERIC, file};
use crate::operations::train::{Confident, Examination, ExaminedLabel, Examiner, Progress, Row, Step};

/// Often enough for a smooth bar.
const ROWS_PER_PROGRESS: u64 = 1_000;

/// Asks linear weights.
#[derive(Debug, Clone, Copy)]
pub struct LinearExaminer {
    /// As `models.<name>.min_known_share`.
    pub min_known_share: f64,
}

impl Examiner for LinearExaminer {
    fn examine(
        &self,
        weights: Option<&Path>,
        rows: &[Row],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Examination, String> {
        let file::Versioned { weights, version } = match weights {
            Some(path) => file::load(path).map_err(|error| error.to_string())?,
            None => file::decode(GENERIC).expect("the shipped weights are part of this build, and a test reads them"),
        };
        let names: BTreeSet<&str> = rows.iter().map(|row| &*row.label).collect();
        let mut tally = Tally::default();
        let total = rows.len() as u64;
        for (done, row) in (1_u64..).zip(rows) {
            let answer = read(&weights, self.min_known_share, &row.text, None).answer.ok();
            let best = answer.as_ref().and_then(|ranked| ranked.first());
            tally.count(&row.label, best.map(|(label, confidence)| (label.as_str(), *confidence)));
            if done.is_multiple_of(ROWS_PER_PROGRESS) || done == total {
                progress(Progress { step: Step::Measuring, done, total });
            }
        }
        let label = |name: &str| {
            let (precision, recall, f1) = tally.label(name);
            let rows = tally.rows_of(name);
            let known = weights.about.labels.iter().any(|label| label == name);
            ExaminedLabel { label: name.to_owned(), rows, known, precision, recall, f1 }
        };
        let labels: Vec<ExaminedLabel> = names.into_iter().map(label).collect();
        let f1s: f64 = labels.iter().map(|label| label.f1.unwrap_or_default()).sum();
        let (coverage, accuracy) = tally.at_least(CONFIDENT);
        Ok(Examination {
            model: format!("{} {version}", weights.about.name),
            rows: rows.len(),
            answered: tally.answered(),
            accuracy: tally.accuracy(),
            accuracy_of_answers: tally.accuracy_of_answers(),
            macro_f1: f1s / labels.len() as f64,
            calibration_error: tally.calibration_error(),
            confident: Confident { at_least: CONFIDENT, coverage, accuracy },
            labels,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::row;
    use super::*;

    fn examined(rows: &[Row]) -> Examination {
        LinearExaminer { min_known_share: 0.5 }.examine(None, rows, &mut |_| ()).expect("the generic weights are there")
    }

    #[test]
    fn what_the_road_would_abstain_on_is_an_abstention_here() {
        let out = examined(&[
            row("I forgot my password and cannot log in to my account", "account_access"),
            row("zzkq wvvp xqj brrt", "account_access"),
            row(
                "Ich kann mich seit gestern nicht mehr in meinem Konto anmelden, bitte helfen Sie mir",
                "account_access",
            ),
        ]);
        assert_eq!((out.rows, out.answered, out.accuracy), (3, 1.0 / 3.0, 1.0 / 3.0));
        assert_eq!(out.accuracy_of_answers, Some(1.0));
        assert_eq!((out.labels[0].precision, out.labels[0].recall), (Some(1.0), Some(1.0 / 3.0)));
    }

    #[test]
    fn a_label_that_the_model_does_not_have_is_said_to_be_unknown_and_counts_against_it() {
        let out = examined(&[
            row("I forgot my password and cannot log in to my account", "account_access"),
            row("I forgot my password and cannot log in to my account", "Hardware"),
        ]);
        assert_eq!(out.labels.iter().map(|label| label.known).collect::<Vec<_>>(), [false, true]);
        assert_eq!((out.accuracy, out.macro_f1), (0.5, (2.0 / 3.0) / 2.0));
        assert!(out.to_string().contains("unknown to the model"), "{out}");
    }

    #[test]
    fn weights_that_are_not_there_are_told_with_their_path() {
        let error = LinearExaminer { min_known_share: 0.5 }
            .examine(Some(Path::new("/nowhere/a.gkw")), &[row("x", "y")], &mut |_| ())
            .expect_err("no such file");
        assert!(error.starts_with("weights /nowhere/a.gkw: "), "{error}");
    }
}
