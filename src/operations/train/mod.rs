//! Trains a local model from labelled texts, measures it on texts it has not seen, and installs it.
//!
//! ```text
//! options ---> table ---> Lesson ---> [Learner] ---> weights at `out`, whole or not at all
//!              CSV, distrusted         adapter  `--> Report: how good, and how honest about it
//! ```
//!
//! What is learnt is the learner's business ([`Learner`] is a port, `adapters::local_model` implements it); where the
//! texts come from is this module's. Nothing here is asynchronous: a caller on a runtime uses a blocking thread.

mod evaluate;
mod limit;
mod report;
mod table;

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::clock::Timestamp;

pub use evaluate::{EvaluateOptions, Examination, ExaminedLabel, Examiner, evaluate};
pub use report::{Confident, LabelReport, Report};

/// What is to be trained.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// CSV with a header line. A column `split` (`train`, or `test`, `validation`, ...) decides what is held out; without
    /// one, a fifth is.
    pub file: PathBuf,
    /// The column that holds the text.
    pub text_column: String,
    /// The column that holds the label; labels should be the taxonomy's, others become abstentions.
    pub label_column: String,
    /// Where the weights go.
    pub out: PathBuf,
    /// Named in every decision: `[A-Za-z0-9._-]`, at most 64 of them.
    pub name: String,
    /// The same seed and the same rows make the same weights.
    pub seed: u64,
    /// Learn from at most this many rows; the rest is held out.
    pub limit: Option<usize>,
    /// ISO 639-1 codes of the languages the texts are in; the model abstains on others.
    pub languages: Vec<String>,
    /// Goes into the weights.
    pub trained_at: Timestamp,
}

/// Labelled texts and what to make of them.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// See [`TrainOptions::name`].
    pub name: String,
    /// See [`TrainOptions::seed`].
    pub seed: u64,
    /// See [`TrainOptions::languages`].
    pub languages: Vec<String>,
    /// See [`TrainOptions::trained_at`].
    pub trained_at: Timestamp,
    /// The texts.
    pub rows: Vec<Row>,
    /// Rows that had no text or no label, for the report.
    pub skipped: usize,
}

/// A text and its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Not empty.
    pub text: String,
    /// Not empty.
    pub label: String,
    /// Which part the data says it belongs to; `None`: the learner decides.
    pub part: Option<Part>,
}

/// What a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// To learn from.
    Train,
    /// To measure on; never learnt from.
    HeldOut,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Of `total`.
    pub done: u64,
    /// In the step's own unit: bytes, rows.
    pub total: u64,
}

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Bytes of the file.
    Reading,
    /// Rows times rounds.
    Learning,
    /// Held-out rows.
    Measuring,
}

/// PORT: something that learns labels from texts.
pub trait Learner {
    /// Learns, measures on what was held out, and installs the result at `out`: whole, or not at all.
    ///
    /// # Errors
    /// The lesson cannot be learnt, or the result not be written.
    fn learn(&self, lesson: &Lesson, out: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Report, LearnError>;
}

/// Why a lesson was not learnt.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Nothing to choose from.
    #[error("at least two labels are needed, found {found}")]
    TooFewLabels {
        /// Labels in the rows.
        found: usize,
    },
    /// More than the weights format holds; usually the wrong column.
    #[error("{found} labels are too many (at most {at_most}); is the label column right?")]
    TooManyLabels {
        /// Labels in the rows.
        found: usize,
        /// The limit.
        at_most: usize,
    },
    /// No label of a taxonomy; usually the wrong column.
    #[error("a label of {bytes} bytes is too long (at most {at_most}); is the label column right?")]
    LongLabel {
        /// Its length.
        bytes: usize,
        /// The limit.
        at_most: usize,
    },
    /// Something else stands where the weights are to go.
    #[error("{} is {what}, and weights would take its place: name another file", path.display())]
    Occupied {
        /// Where to.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
    },
    /// A label nobody could learn.
    #[error("label {label:?} has {rows} rows to learn from, at least {at_least} are needed: add rows or leave it out")]
    TooFewRows {
        /// Which.
        label: String,
        /// Rows to learn from.
        rows: usize,
        /// The limit.
        at_least: usize,
    },
    /// A model that was not measured is not installed.
    #[error(
        "no row is held out, so the model could not be measured: add rows, or mark some as `test` in column `split`"
    )]
    NothingHeldOut,
    /// The weights could not be written.
    #[error("{}: {source}", path.display())]
    Save {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Why nothing was trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The name would not be safe in decisions and metrics.
    #[error("name {0:?} is not 1 to 64 of A-Z a-z 0-9 . _ -")]
    Name(String),
    /// No ISO 639-1 code, or none at all.
    #[error("language {0:?} is not a two-letter ISO 639-1 code such as \"en\"")]
    Language(String),
    /// The weights would take the place of what they are learnt from.
    #[error("{} holds the rows to learn from, and the weights would take their place: name another file", .0.display())]
    OutIsInput(PathBuf),
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// More than is read into memory.
    #[error("{}: {found} {unit} are too many (at most {at_most})", file.display())]
    TooBig {
        /// Which.
        file: PathBuf,
        /// How much there is.
        found: u64,
        /// The limit.
        at_most: u64,
        /// Bytes or rows.
        unit: &'static str,
    },
    /// A column that the options name is not there.
    #[error("{}: no column {column:?} in the header; there are {found}", file.display())]
    MissingColumn {
        /// Which.
        file: PathBuf,
        /// The missing one.
        column: String,
        /// The ones that are there.
        found: String,
    },
    /// The line is no record of this table.
    #[error("{}: line {line}: {detail}", file.display())]
    BrokenLine {
        /// Which.
        file: PathBuf,
        /// From 1; the header is line 1.
        line: u64,
        /// What is wrong.
        detail: String,
    },
    /// A field is not text.
    #[error("{}: line {line}: field {field:?} is not UTF-8", file.display())]
    NotUtf8 {
        /// Which.
        file: PathBuf,
        /// From 1; the header is line 1.
        line: u64,
        /// The column.
        field: String,
    },
    /// A value of column `split` that says neither.
    #[error("{}: line {line}: field \"split\" is {value:?}; known are train, test, validation, valid, val, dev, held_out",
        file.display())]
    UnknownPart {
        /// Which.
        file: PathBuf,
        /// From 1; the header is line 1.
        line: u64,
        /// What stands there.
        value: String,
    },
    /// All rows were learnt from, or there are none.
    #[error("{}: no row to measure on (rows marked `train` are left out)", .0.display())]
    NothingToMeasure(PathBuf),
    /// The weights to measure are unfit.
    #[error("{0}")]
    Weights(String),
    /// The rows were read, but not learnt.
    #[error(transparent)]
    Learn(#[from] LearnError),
}

/// Trains and installs.
///
/// # Errors
/// Options, file or lesson are unfit; the message names file, line and field. Nothing was installed.
pub fn run(
    options: &TrainOptions,
    learner: &dyn Learner,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, TrainError> {
    check(options)?;
    let mut table = table::read(&options.file, &options.text_column, &options.label_column, progress)?;
    if let Some(limit) = options.limit {
        limit::apply(&mut table.rows, limit, options.seed);
    }
    let lesson = Lesson {
        name: options.name.clone(),
        seed: options.seed,
        languages: options.languages.clone(),
        trained_at: options.trained_at,
        rows: table.rows,
        skipped: table.skipped,
    };
    Ok(learner.learn(&lesson, &options.out, progress)?)
}

fn check(options: &TrainOptions) -> Result<(), TrainError> {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=64).contains(&options.name.len()) || !options.name.bytes().all(in_name) {
        return Err(TrainError::Name(options.name.clone()));
    }
    if is_same_file(&options.file, &options.out) {
        return Err(TrainError::OutIsInput(options.out.clone()));
    }
    let is_code = |code: &str| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase());
    match options.languages.iter().find(|code| !is_code(code)) {
        Some(code) => Err(TrainError::Language(code.clone())),
        None if options.languages.is_empty() => Err(TrainError::Language(String::new())),
        None => Ok(()),
    }
}

/// However the two are written.
fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
