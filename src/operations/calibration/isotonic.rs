//! Isotonic regression: the rising steps that come closest to what was seen (pool adjacent violators).
//!
//! Each step is a stretch of confidences and how often predictions in it were right. Pooling alone makes steps of a single
//! review where confidences happen to fall well, at the ends above all, where it would cost most: three of three right
//! would be worth 1.0. So steps that rest on too few reviews are pooled on, downwards first.
//!
//! Invariants: worth rises from step to step and lies in 0 to 1; each review is in one step, so the mean worth over all
//! reviews is the share that was right; fitting what was fitted changes nothing.

/// A step rests on at least so many reviews: thirty right of thirty say, with 95 % certainty, no more than nine right of
/// ten (the rule of three), which is what the default threshold of APPLY asks for.
pub const MIN_STEP: u32 = 30;

/// Of how many parts one is held out at a time to measure what was made of the others.
const FOLDS: usize = 5;

/// A prediction that a person judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// How sure the model was.
    pub confidence: f64,
    /// Whether it was right.
    pub right: bool,
}

/// A stretch of confidences that are worth the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The lowest confidence in it that was seen.
    pub from: f64,
    /// The highest.
    pub to: f64,
    /// How many reviews.
    pub reviews: u32,
    /// How many of them said that it was right.
    pub right: u32,
}

impl Step {
    /// Share that was right.
    #[must_use]
    pub fn worth(&self) -> f64 {
        f64::from(self.right) / f64::from(self.reviews)
    }

    fn pooled(self, above: Self) -> Self {
        Self { from: self.from, to: above.to, reviews: self.reviews + above.reviews, right: self.right + above.right }
    }

    /// Whether this one is worth less than `above`; compared in whole numbers.
    fn is_below(&self, above: &Self) -> bool {
        u64::from(self.right) * u64::from(above.reviews) < u64::from(above.right) * u64::from(self.reviews)
    }
}

/// The steps, rising, each of at least `min_step` reviews as far as there are so many.
#[must_use]
pub fn fit(judged: &[Judged], min_step: u32) -> Vec<Step> {
    let steps = pooled(tied(judged));
    large_enough(steps, min_step)
}

/// One step a confidence, in their order.
fn tied(judged: &[Judged]) -> Vec<Step> {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|one, other| one.confidence.total_cmp(&other.confidence));
    let mut steps: Vec<Step> = Vec::new();
    for Judged { confidence, right } in sorted {
        let step = Step { from: confidence, to: confidence, reviews: 1, right: right.into() };
        match steps.last_mut() {
            Some(last) if last.to == confidence => *last = last.pooled(step),
            _ => steps.push(step),
        }
    }
    steps
}

/// Neighbours that do not rise become one, until all do.
fn pooled(steps: Vec<Step>) -> Vec<Step> {
    let mut rising: Vec<Step> = Vec::new();
    for mut step in steps {
        while let Some(last) = rising.pop_if(|last| !last.is_below(&step)) {
            step = last.pooled(step);
        }
        rising.push(step);
    }
    rising
}

/// From the top down: a step that is too small joins the one below; the lowest, if it is, the one above.
fn large_enough(rising: Vec<Step>, min_step: u32) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for below in rising.into_iter().rev() {
        match steps.last_mut() {
            Some(above) if above.reviews < min_step => *above = below.pooled(*above),
            _ => steps.push(below),
        }
    }
    if let Some(lowest) = steps.pop_if(|lowest| lowest.reviews < min_step) {
        match steps.last_mut() {
            Some(above) => *above = lowest.pooled(*above),
            None => steps.push(lowest),
        }
    }
    steps.reverse();
    steps
}

/// The steps as points of a table: both ends of each. Worth is cut to four digits, never rounded up over a threshold.
#[must_use]
pub fn points(steps: &[Step]) -> Vec<[f64; 2]> {
    let of = |step: &Step| {
        let worth = (u64::from(step.right) * 10_000 / u64::from(step.reviews)) as f64 / 10_000.0;
        let end = (step.to > step.from).then_some([step.to, worth]);
        std::iter::once([step.from, worth]).chain(end)
    };
    steps.iter().flat_map(of).collect()
}

/// What tables are worth on reviews that they were not made of: each part judged by the table of the others. `group` keeps
/// together what must not be on both sides.
#[must_use]
pub fn held_out(judged: &[(u64, Judged)], min_step: u32) -> Vec<Judged> {
    let part = |group: u64| usize::try_from(group % FOLDS as u64).unwrap_or_default();
    let mut all = Vec::with_capacity(judged.len());
    for held in 0..FOLDS {
        let others: Vec<_> = judged.iter().filter(|(group, _)| part(*group) != held).map(|(_, one)| *one).collect();
        let points = points(&fit(&others, min_step));
        let own = judged.iter().filter(|(group, _)| part(*group) == held).map(|(_, one)| *one);
        let worth = |confidence| crate::domain::calibration::worth(&points, confidence);
        all.extend(own.map(|one| Judged { confidence: worth(one.confidence), ..one }));
    }
    all
}

#[cfg(test)]
mod tests;
