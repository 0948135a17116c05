//! Measuring: how often a model is right, and whether its confidence says so. Pure.
//!
//! Training on balanced labels and averaging leave a model a little too sure or too shy. One number mends most of it: the
//! temperature that makes the held-out labels likeliest. It is measured honestly by crossing over: either half of the
//! held-out rows is judged at the temperature fitted on the other. The weights then carry the one fitted on all.
//!
//! The expected calibration error sorts answers into 15 bins by confidence and takes the mean of
//! |confidence - accuracy| over rows.

use super::weights::softmax;

/// At this confidence a policy may act by default.
pub const CONFIDENT: f64 = 0.90;

const BINS: usize = 15;
/// Below this, a temperature says more about the rows than about the model.
const ROWS_TO_FIT_TEMPERATURE: usize = 100;
/// Held-out rows that all come out right would ask for a temperature of 0.
const TEMPERATURES: std::ops::RangeInclusive<f64> = 0.5..=5.0;

/// A held-out row, scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Its label.
    pub truth: usize,
    /// A score a label.
    pub scores: Vec<f32>,
}

/// A row, answered.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Answered {
    truth: usize,
    answer: usize,
    confidence: f64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The temperature that fits all rows.
    pub temperature: f64,
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean F1 of the labels that have one.
    pub macro_f1: f64,
    /// Over all rows.
    pub calibration_error: f64,
    /// Share of rows at [`CONFIDENT`] or above.
    pub coverage: f64,
    /// Share of right answers among those.
    pub confident_accuracy: Option<f64>,
    /// One a label.
    pub labels: Vec<Label>,
}

/// One label. `None` where nothing was there to divide by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// Rows of this label.
    pub rows: usize,
    /// Right among the answers.
    pub precision: Option<f64>,
    /// Found among the rows.
    pub recall: Option<f64>,
    /// Both in one.
    pub f1: Option<f64>,
    /// Over the answers with this label.
    pub calibration_error: Option<f64>,
}

/// Measures; `rows` are not empty.
#[must_use]
pub fn evaluate(rows: &[Scored], labels: usize) -> Evaluation {
    let (even, odd): (Vec<_>, Vec<_>) = rows.iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let [even, odd] = [even, odd].map(|half| half.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
    let answered: Vec<Answered> = [(&even, fit_temperature(&odd)), (&odd, fit_temperature(&even))]
        .into_iter()
        .flat_map(|(half, temperature)| half.iter().map(move |row| answer(row, temperature)))
        .collect();
    let labels: Vec<Label> = (0..labels).map(|label| judge(&answered, label)).collect();
    let confident: Vec<Answered> = answered.iter().copied().filter(|row| row.confidence >= CONFIDENT).collect();
    Evaluation {
        temperature: fit_temperature(&rows.iter().collect::<Vec<_>>()),
        accuracy: accuracy(&answered).unwrap_or_default(),
        macro_f1: mean(labels.iter().filter_map(|label| label.f1)).unwrap_or_default(),
        calibration_error: calibration_error(&answered).unwrap_or_default(),
        coverage: share(confident.len(), answered.len()).unwrap_or_default(),
        confident_accuracy: accuracy(&confident),
        labels,
    }
}

/// The temperature at which the true labels are likeliest; 1 if there are too few rows to tell.
///
/// The loss is convex in 1/temperature, so the valley is found by cutting off thirds: 40 cuts leave a ten-millionth.
fn fit_temperature(rows: &[&Scored]) -> f64 {
    if rows.len() < ROWS_TO_FIT_TEMPERATURE {
        return 1.0;
    }
    let (mut low, mut high) = (1.0 / TEMPERATURES.end(), 1.0 / TEMPERATURES.start());
    for _ in 0..40 {
        let third = (high - low) / 3.0;
        if loss(rows, 1.0 / (low + third)) < loss(rows, 1.0 / (high - third)) {
            high -= third;
        } else {
            low += third;
        }
    }
    2.0 / (low + high)
}

fn loss(rows: &[&Scored], temperature: f64) -> f64 {
    // A probability that rounds to 0 must not make every temperature infinitely bad.
    rows.iter().map(|row| -softmax(&row.scores, temperature)[row.truth].max(1e-12).ln()).sum()
}

fn answer(row: &Scored, temperature: f64) -> Answered {
    let best = (0..row.scores.len()).max_by(|a, b| row.scores[*a].total_cmp(&row.scores[*b])).unwrap_or_default();
    Answered { truth: row.truth, answer: best, confidence: softmax(&row.scores, temperature)[best] }
}

fn judge(answered: &[Answered], label: usize) -> Label {
    let answers: Vec<Answered> = answered.iter().copied().filter(|row| row.answer == label).collect();
    let rows = answered.iter().filter(|row| row.truth == label).count();
    let right = answers.iter().filter(|row| row.truth == label).count();
    Label {
        rows,
        precision: share(right, answers.len()),
        recall: share(right, rows),
        f1: share(2 * right, answers.len() + rows),
        calibration_error: calibration_error(&answers),
    }
}

fn calibration_error(answered: &[Answered]) -> Option<f64> {
    let mut gaps = [0.0_f64; BINS];
    for row in answered {
        let bin = ((row.confidence * BINS as f64) as usize).min(BINS - 1);
        gaps[bin] += row.confidence - f64::from(u8::from(row.answer == row.truth));
    }
    let gap: f64 = gaps.iter().map(|gap| gap.abs()).sum();
    (!answered.is_empty()).then(|| gap / answered.len() as f64)
}

fn accuracy(answered: &[Answered]) -> Option<f64> {
    share(answered.iter().filter(|row| row.answer == row.truth).count(), answered.len())
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Answers of a model that is not being fitted, and may abstain.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Label, and answer with its confidence.
    rows: Vec<(String, Option<(String, f64)>)>,
}

impl Tally {
    /// One more row.
    pub fn count(&mut self, label: &str, answer: Option<(&str, f64)>) {
        self.rows.push((label.to_owned(), answer.map(|(answer, confidence)| (answer.to_owned(), confidence))));
    }

    /// Share of rows with an answer.
    #[must_use]
    pub fn answered(&self) -> f64 {
        share(self.answers().count(), self.rows.len()).unwrap_or_default()
    }

    /// Share of rows with the right answer.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        share(self.answers().filter(|(right, _)| *right).count(), self.rows.len()).unwrap_or_default()
    }

    /// Share of right answers.
    #[must_use]
    pub fn accuracy_of_answers(&self) -> Option<f64> {
        share(self.answers().filter(|(right, _)| *right).count(), self.answers().count())
    }

    /// Share of rows with an answer of at least this confidence, and how many of those are right.
    #[must_use]
    pub fn at_least(&self, least: f64) -> (f64, Option<f64>) {
        let confident: Vec<bool> =
            self.answers().filter(|(_, confidence)| *confidence >= least).map(|(right, _)| right).collect();
        let coverage = share(confident.len(), self.rows.len()).unwrap_or_default();
        (coverage, share(confident.iter().filter(|right| **right).count(), confident.len()))
    }

    /// Over all answers.
    #[must_use]
    pub fn calibration_error(&self) -> Option<f64> {
        let answered: Vec<Answered> = self
            .answers()
            .map(|(right, confidence)| Answered { truth: 0, answer: usize::from(!right), confidence })
            .collect();
        calibration_error(&answered)
    }

    /// Rows with this label.
    #[must_use]
    pub fn rows_of(&self, label: &str) -> usize {
        self.rows.iter().filter(|(truth, _)| truth == label).count()
    }

    /// Precision, recall and F1 of a label.
    #[must_use]
    pub fn label(&self, label: &str) -> (Option<f64>, Option<f64>, Option<f64>) {
        let answers = self.rows.iter().filter(|(_, answer)| answer.as_ref().is_some_and(|(it, _)| it == label));
        let (answers, right) =
            answers.fold((0, 0), |(all, right), (truth, _)| (all + 1, right + usize::from(truth == label)));
        let rows = self.rows_of(label);
        (share(right, answers), share(right, rows), share(2 * right, answers + rows))
    }

    fn answers(&self) -> impl Iterator<Item = (bool, f64)> + '_ {
        self.rows
            .iter()
            .filter_map(|(truth, answer)| answer.as_ref().map(|(label, confidence)| (label == truth, *confidence)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` rows of two labels, scored `score` for label 0, of which `right` are label 0.
    fn rows(count: usize, right: usize, score: f32) -> Vec<Scored> {
        // Spread evenly, so that both halves of the crossing have the same share.
        let truth = |index: usize| usize::from(index * right / count == (index + 1) * right / count);
        (0..count).map(|index| Scored { truth: truth(index), scores: vec![score, 0.0] }).collect()
    }

    #[test]
    fn a_model_that_is_too_sure_gets_the_temperature_that_makes_it_honest() {
        // Right in 4 of 5 and 0.998 sure: the odds 4:1 need a score of ln 4, so the temperature is 6 / ln 4 = 4.3.
        let measured = evaluate(&rows(1_000, 800, 6.0), 2);
        assert!((measured.temperature - 6.0 / 4.0_f64.ln()).abs() < 0.05, "{}", measured.temperature);
        assert!(measured.calibration_error < 0.01, "{}", measured.calibration_error);
        assert_eq!(measured.coverage, 0.0, "nobody is 0.90 sure any more");
        assert_eq!(measured.confident_accuracy, None);
    }

    #[test]
    fn rows_that_all_come_out_right_do_not_make_it_infinitely_sure() {
        let measured = evaluate(&rows(1_000, 1_000, 1.0), 2);
        assert!((measured.temperature - 0.5).abs() < 1e-6, "{}", measured.temperature);
        assert_eq!((measured.accuracy, measured.macro_f1), (1.0, 1.0));
    }

    #[test]
    fn too_few_rows_leave_the_temperature_alone() {
        assert_eq!(evaluate(&rows(99, 50, 6.0), 2).temperature, 1.0);
    }

    #[test]
    fn confidence_that_is_off_is_told() {
        let measured = evaluate(&rows(50, 25, 6.0), 2);
        assert!((measured.calibration_error - 0.4975).abs() < 0.001, "{}", measured.calibration_error);
        assert_eq!((measured.coverage, measured.confident_accuracy), (1.0, Some(0.5)));
    }

    #[test]
    fn precision_recall_and_f1_are_those_of_the_books() {
        let row = |truth, answer: usize| {
            let mut scores = vec![0.0; 4];
            scores[answer] = 1.0;
            Scored { truth, scores }
        };
        let measured = evaluate(&[row(0, 0), row(0, 0), row(0, 1), row(1, 1), row(2, 0)], 4);
        let label = |label: usize| {
            let Label { rows, precision, recall, f1, .. } = measured.labels[label];
            (rows, precision, recall, f1)
        };
        assert_eq!(label(0), (3, Some(2.0 / 3.0), Some(2.0 / 3.0), Some(2.0 / 3.0)));
        assert_eq!(label(1), (1, Some(0.5), Some(1.0), Some(2.0 / 3.0)));
        assert_eq!(label(2), (1, None, Some(0.0), Some(0.0)));
        assert_eq!(label(3), (0, None, None, None));
        assert_eq!(measured.accuracy, 0.6);
        assert!((measured.macro_f1 - 4.0 / 9.0).abs() < 1e-12, "a label without rows and answers does not count");
    }
}
