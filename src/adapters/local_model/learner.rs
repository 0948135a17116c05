//! The [`Learner`]: a lesson in, measured weights on disk out.
//!
//! What is measured is what is installed: the held-out rows are scored with the rounded weights, and the model is not
//! trained once more on them, so the report speaks of these very bytes.
//!
//! Without a word from the data, a fifth of the texts is held out, chosen by a hash of the text: the same text is on the
//! same side in every run, however many rows come to it, and a text that occurs twice is never on both.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::evaluation::{CONFIDENT, Evaluation, Scored, evaluate};
use super::features::{Extractor, text_hash};
use super::file::{self, MAX_LABEL_BYTES, MAX_LABELS};
use super::train::{Corpus, Vocabulary, fit};
use super::weights::{About, Weights};
use crate::operations::train::{
    Confident, LabelReport, LearnError, Learner, Lesson, Part, Progress, Report, Row, Step,
};

const ONE_IN_HELD_OUT: u64 = 5;
/// Fewer are noise: their recall could only be measured in halves.
const ROWS_PER_LABEL: usize = 8;
/// Often enough for a smooth bar.
const ROWS_PER_PROGRESS: u64 = 1_000;

/// Learns linear weights.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinearLearner;

/// What came of a lesson.
pub(super) struct Learnt {
    pub(super) weights: Weights,
    pub(super) evaluation: Evaluation,
    /// Rows learnt from, a label.
    pub(super) trained_rows: Vec<usize>,
    /// Held-out rows whose text was learnt from.
    pub(super) leaked_rows: usize,
}

impl Learner for LinearLearner {
    fn learn(&self, lesson: &Lesson, out: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Report, LearnError> {
        let unwritten = |source| LearnError::Save { path: out.to_owned(), source };
        // Before anything is learnt: nobody waits for that in vain.
        if let Some(what) = file::occupied(out).map_err(unwritten)? {
            return Err(LearnError::Occupied { path: out.to_owned(), what });
        }
        let learnt = learn(lesson, progress)?;
        let version = file::save(&learnt.weights, out).map_err(unwritten)?;
        Ok(report(lesson, learnt, version, out))
    }
}

/// Pure: the same lesson is learnt the same way.
pub(super) fn learn(lesson: &Lesson, progress: &mut dyn FnMut(Progress)) -> Result<Learnt, LearnError> {
    let (train, held_out): (Vec<&Row>, Vec<&Row>) = lesson.rows.iter().partition(|row| part(row) == Part::Train);
    let texts: HashSet<&str> = train.iter().map(|row| row.text.as_str()).collect();
    let (leaked, held_out): (Vec<&Row>, Vec<&Row>) = held_out.into_iter().partition(|row| texts.contains(&*row.text));
    let labels = labels(lesson, &train)?;
    if held_out.is_empty() {
        return Err(LearnError::NothingHeldOut);
    }
    let mut extractor = Extractor::default();
    let mut corpus = Corpus::default();
    let mut vocabulary = Vocabulary::default();
    let mut trained_rows = vec![0; labels.len()];
    for row in &train {
        extractor.read(&row.text);
        corpus.push(&extractor, labels[&*row.label]);
        vocabulary.push(extractor.words());
        trained_rows[labels[&*row.label]] += 1;
    }
    let linear = fit(&corpus, labels.len(), lesson.seed, &mut |done, total| {
        progress(Progress { step: Step::Learning, done, total });
    });
    let about = About {
        name: lesson.name.clone(),
        trained_at: lesson.trained_at,
        trained_rows: train.len(),
        held_out_rows: held_out.len(),
        accuracy: 0.0,
        languages: lesson.languages.clone(),
        calibrated: false,
        labels: labels.keys().map(|label| (*label).to_owned()).collect(),
    };
    let mut weights = Weights::round(about, &linear, &vocabulary.known());
    let total = held_out.len() as u64;
    let mut scored = Vec::with_capacity(held_out.len());
    for (done, row) in (1_u64..).zip(&held_out) {
        extractor.read(&row.text);
        scored.push(Scored { truth: labels[&*row.label], scores: weights.scores(extractor.features()) });
        if done.is_multiple_of(ROWS_PER_PROGRESS) || done == total {
            progress(Progress { step: Step::Measuring, done, total });
        }
    }
    let evaluation = evaluate(&scored, labels.len());
    weights.temperature = evaluation.temperature as f32;
    weights.about.accuracy = evaluation.accuracy;
    Ok(Learnt { weights, evaluation, trained_rows, leaked_rows: leaked.len() })
}

fn part(row: &Row) -> Part {
    row.part.unwrap_or(match text_hash(&row.text) % ONE_IN_HELD_OUT {
        0 => Part::HeldOut,
        _ => Part::Train,
    })
}

/// Every label of the lesson and its number, in the order of their names.
fn labels<'a>(lesson: &'a Lesson, train: &[&'a Row]) -> Result<BTreeMap<&'a str, usize>, LearnError> {
    let mut rows: BTreeMap<&str, usize> = lesson.rows.iter().map(|row| (&*row.label, 0)).collect();
    for row in train {
        rows.entry(&row.label).and_modify(|rows| *rows += 1);
    }
    match rows.len() {
        0 | 1 => return Err(LearnError::TooFewLabels { found: rows.len() }),
        found if found > MAX_LABELS => return Err(LearnError::TooManyLabels { found, at_most: MAX_LABELS }),
        _ => (),
    }
    if let Some(label) = rows.keys().find(|label| label.len() > MAX_LABEL_BYTES) {
        return Err(LearnError::LongLabel { bytes: label.len(), at_most: MAX_LABEL_BYTES });
    }
    if let Some((label, rows)) = rows.iter().find(|(_, rows)| **rows < ROWS_PER_LABEL) {
        return Err(LearnError::TooFewRows { label: (*label).to_owned(), rows: *rows, at_least: ROWS_PER_LABEL });
    }
    Ok(rows.into_keys().zip(0..).collect())
}

fn report(lesson: &Lesson, learnt: Learnt, version: String, out: &Path) -> Report {
    let Learnt { weights, evaluation, trained_rows, leaked_rows, .. } = learnt;
    let label = |((label, trained_rows), measured): ((String, usize), super::evaluation::Label)| LabelReport {
        label,
        trained_rows,
        held_out_rows: measured.rows,
        precision: measured.precision,
        recall: measured.recall,
        f1: measured.f1,
        calibration_error: measured.calibration_error,
    };
    Report {
        name: lesson.name.clone(),
        version,
        out: out.to_owned(),
        trained_rows: weights.about.trained_rows,
        held_out_rows: weights.about.held_out_rows,
        leaked_rows,
        skipped_rows: lesson.skipped,
        accuracy: evaluation.accuracy,
        macro_f1: evaluation.macro_f1,
        calibration_error: evaluation.calibration_error,
        temperature: evaluation.temperature,
        confident: Confident {
            at_least: CONFIDENT,
            coverage: evaluation.coverage,
            accuracy: evaluation.confident_accuracy,
        },
        labels: weights.about.labels.into_iter().zip(trained_rows).zip(evaluation.labels).map(label).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, row};
    use super::*;

    fn learnt(lesson: &Lesson) -> Learnt {
        learn(lesson, &mut |_| ()).expect("the lesson is learnt")
    }

    fn refusal(change: impl FnOnce(&mut Lesson)) -> String {
        let mut lesson = sample::lesson();
        change(&mut lesson);
        learn(&lesson, &mut |_| ()).map(|_| ()).expect_err("the lesson is refused").to_string()
    }

    #[test]
    fn the_same_seed_makes_the_same_bytes_and_another_seed_does_not() {
        let bytes = |seed| file::encode(&learnt(&Lesson { seed, ..sample::lesson() }).weights).expect("encoded");
        assert!(bytes(1) == bytes(1));
        assert!(bytes(1) != bytes(2));
    }

    #[test]
    fn a_small_lesson_is_learnt() {
        let learnt = learnt(&sample::lesson());
        assert!(learnt.evaluation.accuracy > 0.95, "{}", learnt.evaluation.accuracy);
        assert_eq!(learnt.weights.about.labels, ["access", "billing", "delivery"]);
        assert!(!learnt.weights.about.calibrated, "held-out rows are no feedback of an installation");
    }

    #[test]
    fn about_a_fifth_is_held_out_and_the_choice_survives_new_rows() {
        let mut lesson = sample::lesson();
        let before = learnt(&lesson).weights.about.held_out_rows;
        assert_eq!(before, sample::held_out(&lesson));
        assert!((80..=140).contains(&before), "{before} of 540");
        lesson
            .rows
            .extend((0..50).map(|number| Row { part: Some(Part::Train), ..row(&format!("new {number}"), "billing") }));
        assert_eq!(learnt(&lesson).weights.about.held_out_rows, before);
    }

    #[test]
    fn the_datas_own_split_is_obeyed_and_a_text_on_both_sides_is_not_measured() {
        let mut lesson = sample::lesson();
        lesson.rows.iter_mut().for_each(|row| row.part = Some(Part::Train));
        let seen = Row { part: Some(Part::HeldOut), ..lesson.rows[0].clone() };
        let unseen = Row { part: Some(Part::HeldOut), ..row("the portal says the password is wrong", "access") };
        lesson.rows.extend([seen, unseen]);
        let learnt = learnt(&lesson);
        let about = &learnt.weights.about;
        assert_eq!((about.trained_rows, about.held_out_rows, learnt.leaked_rows), (540, 1, 1));
    }

    #[test]
    fn lessons_that_teach_nothing_are_refused_with_what_to_do() {
        let only = |label: &'static str| move |lesson: &mut Lesson| lesson.rows.retain(|row| row.label == label);
        assert_eq!(refusal(|lesson| lesson.rows.clear()), "at least two labels are needed, found 0");
        assert_eq!(refusal(only("access")), "at least two labels are needed, found 1");
        assert_eq!(
            refusal(|lesson| lesson.rows.push(Row { part: Some(Part::Train), ..row("once", "rare") })),
            "label \"rare\" has 1 rows to learn from, at least 8 are needed: add rows or leave it out"
        );
        assert_eq!(
            refusal(|lesson| lesson.rows.extend((0..300).map(|number| row("text", &number.to_string())))),
            "303 labels are too many (at most 256); is the label column right?"
        );
        assert_eq!(
            refusal(|lesson| lesson.rows.push(row("text", &"long".repeat(100)))),
            "a label of 400 bytes is too long (at most 128); is the label column right?"
        );
        let all_train = |lesson: &mut Lesson| lesson.rows.iter_mut().for_each(|row| row.part = Some(Part::Train));
        assert!(refusal(all_train).starts_with("no row is held out"));
    }

    #[test]
    fn progress_goes_forward_through_the_steps_and_ends_each() {
        let mut told: Vec<Progress> = Vec::new();
        learn(&sample::lesson(), &mut |progress| told.push(progress)).expect("learnt");
        for step in [Step::Learning, Step::Measuring] {
            let done: Vec<_> = told.iter().filter(|progress| progress.step == step).collect();
            assert!(done.is_sorted_by_key(|progress| progress.done));
            assert!(done.last().is_some_and(|last| last.done == last.total), "{step:?}");
        }
    }

    #[test]
    fn what_cannot_be_saved_is_told_with_its_path() {
        let out = Path::new("/nowhere/a.gkw");
        let error = LinearLearner.learn(&sample::lesson(), out, &mut |_| ()).expect_err("no such folder");
        assert!(error.to_string().starts_with("/nowhere/a.gkw: "), "{error}");
    }

    #[test]
    fn the_report_says_for_people_what_it_says_for_programs() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("sample.gkw");
        let report = LinearLearner.learn(&sample::lesson(), &out, &mut |_| ()).expect("learnt and saved");
        assert_eq!(report.version, file::load(&out).expect("loaded").version);
        let table = report.to_string();
        assert!(table.starts_with(&format!("sample {} written to {}\n", report.version, out.display())), "{table}");
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["labels"][2]["label"], "delivery");
        assert_eq!(table.lines().last().and_then(|line| line.split_whitespace().next()), Some("delivery"));
    }
}
