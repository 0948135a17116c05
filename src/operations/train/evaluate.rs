//! Measures weights on labelled tickets without learning anything: what a model is worth *here*.
//!
//! `train`'s report speaks of the rows that it held out of its own file. This one is for any weights and any file, the
//! generic weights and a company's history above all. Rows that the file marks as `train` are left out, because the
//! weights may have learnt from them. The model is asked as the road asks it, abstentions included, and nothing is
//! fitted to these rows.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::report::share;
use super::{Confident, Part, Progress, Row, TrainError, table};

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct EvaluateOptions {
    /// As for training.
    pub file: PathBuf,
    /// The column that holds the text.
    pub text_column: String,
    /// The column that holds the label.
    pub label_column: String,
    /// The weights; `None`: the generic ones.
    pub weights: Option<PathBuf>,
    /// At most so many rows, by the same chance each time.
    pub limit: Option<usize>,
    /// Of that chance.
    pub seed: u64,
}

/// PORT: something that can be asked for labels and knows how to be measured.
pub trait Examiner {
    /// Asks for each row.
    ///
    /// # Errors
    /// The weights cannot be read; in words that name the file.
    fn examine(
        &self,
        weights: Option<&Path>,
        rows: &[Row],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Examination, String>;
}

/// What came of it. Shares are of all measured rows unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Examination {
    /// The model's name and version.
    pub model: String,
    /// Rows measured on.
    pub rows: usize,
    /// Share of rows that got an answer; the others were abstained on.
    pub answered: f64,
    /// Share of rows that got their label: an abstention is not right.
    pub accuracy: f64,
    /// Share of answers that are right; `None`: no answer.
    pub accuracy_of_answers: Option<f64>,
    /// Mean F1 of the labels that the rows have.
    pub macro_f1: f64,
    /// Expected calibration error over answers.
    pub calibration_error: Option<f64>,
    /// What applying at the default threshold would do.
    pub confident: Confident,
    /// One a label, by name.
    pub labels: Vec<ExaminedLabel>,
}

/// One label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExaminedLabel {
    /// Its name.
    pub label: String,
    /// Rows of it.
    pub rows: usize,
    /// Whether the model can answer it at all.
    pub known: bool,
    /// Right among the answers.
    pub precision: Option<f64>,
    /// Found among the rows.
    pub recall: Option<f64>,
    /// Both in one.
    pub f1: Option<f64>,
}

/// Reads, picks, and measures.
///
/// # Errors
/// File or weights are unfit; the message names file, line and field.
pub fn evaluate(
    options: &EvaluateOptions,
    examiner: &dyn Examiner,
    progress: &mut dyn FnMut(Progress),
) -> Result<Examination, TrainError> {
    let table = table::read(&options.file, &options.text_column, &options.label_column, progress)?;
    let mut rows: Vec<Row> = table.rows.into_iter().filter(|row| row.part != Some(Part::Train)).collect();
    if let Some(limit) = options.limit {
        rows.iter_mut().for_each(|row| row.part = None);
        super::limit::apply(&mut rows, limit, options.seed);
        rows.retain(|row| row.part != Some(Part::HeldOut));
    }
    if rows.is_empty() {
        return Err(TrainError::NothingToMeasure(options.file.clone()));
    }
    examiner.examine(options.weights.as_deref(), &rows, progress).map_err(TrainError::Weights)
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Confident { at_least, coverage, accuracy } = self.confident;
        writeln!(f, "{}, nothing learnt, nothing fitted", self.model)?;
        writeln!(f, "rows         {}, {:.3} of them answered", self.rows, self.answered)?;
        let of_answers = share(self.accuracy_of_answers);
        writeln!(f, "accuracy     {:.3}, of answers {of_answers}, macro-F1 {:.3}", self.accuracy, self.macro_f1)?;
        writeln!(f, "confidence   off by {}", share(self.calibration_error))?;
        writeln!(f, "at >= {at_least:.2}   {coverage:.3} of the rows, {} of them right", share(accuracy))?;
        writeln!(f)?;
        let width = self.labels.iter().map(|label| label.label.chars().count()).max().unwrap_or(0).max("label".len());
        writeln!(f, "{:width$}  measured  precision  recall     F1", "label")?;
        for ExaminedLabel { label, rows, known, precision, recall, f1 } in &self.labels {
            write!(f, "{label:width$}  {rows:>8}  {:>9}  {:>6}  {:>5}", share(*precision), share(*recall), share(*f1))?;
            writeln!(f, "{}", if *known { "" } else { "  unknown to the model" })?;
        }
        Ok(())
    }
}
