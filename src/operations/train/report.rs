//! How good a model is, measured on texts it has not learnt from, and how far its confidence can be believed.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// The whole report: a table for people (`Display`), the same figures for programs (`Serialize`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The model's name.
    pub name: String,
    /// Of these very weights.
    pub version: String,
    /// Where they are.
    pub out: PathBuf,
    /// Rows learnt from.
    pub trained_rows: usize,
    /// Rows measured on.
    pub held_out_rows: usize,
    /// Held-out rows that were not measured on, because the same text was learnt from.
    pub leaked_rows: usize,
    /// Rows of the data without a text or a label.
    pub skipped_rows: usize,
    /// Share of held-out rows that got their label.
    pub accuracy: f64,
    /// Mean F1 of the labels, each counting the same.
    pub macro_f1: f64,
    /// Expected calibration error: how far confidence and accuracy are apart, in the mean over rows.
    pub calibration_error: f64,
    /// What the scores are divided by to make confidence honest; 1: nothing to mend, or too few rows to tell.
    pub temperature: f64,
    /// What acting on confident answers only would give.
    pub confident: Confident,
    /// One a label, by name.
    pub labels: Vec<LabelReport>,
}

/// Answers at or above a confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Confident {
    /// The confidence.
    pub at_least: f64,
    /// Share of held-out rows that reach it.
    pub coverage: f64,
    /// Share of those that are right; `None`: none reaches it.
    pub accuracy: Option<f64>,
}

/// One label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelReport {
    /// Its name.
    pub label: String,
    /// Rows learnt from.
    pub trained_rows: usize,
    /// Rows measured on.
    pub held_out_rows: usize,
    /// Share of the answers with this label that are right; `None`: there was no such answer.
    pub precision: Option<f64>,
    /// Share of the rows of this label that were found; `None`: there was no such row.
    pub recall: Option<f64>,
    /// Harmonic mean of both; `None`: neither row nor answer.
    pub f1: Option<f64>,
    /// As [`Report::calibration_error`], over the answers with this label.
    pub calibration_error: Option<f64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Confident { at_least, coverage, accuracy } = self.confident;
        writeln!(f, "{} {} written to {}", self.name, self.version, self.out.display())?;
        writeln!(f, "rows         {} learnt from, {} measured on", self.trained_rows, self.held_out_rows)?;
        if self.leaked_rows > 0 {
            writeln!(f, "             {} more held out, but their text was learnt from", self.leaked_rows)?;
        }
        if self.skipped_rows > 0 {
            writeln!(f, "             {} without a text or a label", self.skipped_rows)?;
        }
        writeln!(f, "accuracy     {:.3}, macro-F1 {:.3}", self.accuracy, self.macro_f1)?;
        writeln!(f, "confidence   off by {:.3}, temperature {:.2}", self.calibration_error, self.temperature)?;
        writeln!(f, "at >= {at_least:.2}   {coverage:.3} of the rows, {} of them right", share(accuracy))?;
        writeln!(f)?;
        let width = self.labels.iter().map(|label| label.label.chars().count()).max().unwrap_or(0).max("label".len());
        writeln!(f, "{:width$}  learnt  measured  precision  recall     F1  off by", "label")?;
        for label in &self.labels {
            let LabelReport { trained_rows, held_out_rows, precision, recall, f1, calibration_error, .. } = label;
            write!(f, "{:width$}  {trained_rows:>6}  {held_out_rows:>8}  ", label.label)?;
            write!(f, "{:>9}  {:>6}  {:>5}  ", share(*precision), share(*recall), share(*f1))?;
            writeln!(f, "{:>6}", share(*calibration_error))?;
        }
        Ok(())
    }
}

pub(super) fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}
