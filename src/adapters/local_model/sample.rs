//! A training set of the project's own, for tests: sentences put together from parts, three labels.

use super::features::text_hash;
use super::train::{Corpus, Vocabulary};
use super::{features::Extractor, train};
use crate::domain::clock::Timestamp;
use crate::operations::train::{Lesson, Row};

const OPENINGS: [&str; 6] =
    ["hello", "good morning", "dear team", "it is urgent", "as I said last week", "please help"];
const CLOSINGS: [&str; 5] =
    ["thank you", "regards", "what should I do now", "can somebody look at it", "please answer soon"];
const MIDDLES: [(&str, [&str; 6]); 3] = [
    (
        "access",
        [
            "I cannot log in to the portal",
            "my password has expired",
            "the account is locked",
            "the second factor asks for a code I never get",
            "a new colleague needs a user name",
            "the reset link does not open",
        ],
    ),
    (
        "billing",
        [
            "the invoice shows a wrong amount",
            "we paid twice for the same month",
            "our card was charged although we cancelled",
            "please send the receipt for last year",
            "the discount is missing on the bill",
            "the tax number on the invoice is wrong",
        ],
    ),
    (
        "delivery",
        [
            "the parcel has not arrived",
            "the driver left the box with a neighbour",
            "two chairs came with broken legs",
            "the tracking page stands still",
            "please ship to our new address",
            "half of the order is missing from the parcel",
        ],
    ),
];

/// 540 sentences.
pub(super) fn lesson() -> Lesson {
    let mut rows = Vec::new();
    for (label, middles) in MIDDLES {
        for middle in middles {
            for opening in OPENINGS {
                rows.extend(CLOSINGS.map(|closing| row(&format!("{opening}, {middle}, {closing}"), label)));
            }
        }
    }
    Lesson {
        name: "sample".to_owned(),
        seed: 7,
        languages: vec!["en".to_owned()],
        trained_at: Timestamp(1_000),
        rows,
        skipped: 0,
    }
}

pub(super) fn row(text: &str, label: &str) -> Row {
    Row { text: text.to_owned(), label: label.to_owned(), part: None }
}

/// Sentences that belong to two labels at once, where a model is in doubt and rounding could matter.
pub(super) fn doubtful() -> Vec<String> {
    let all: Vec<&str> = MIDDLES.iter().flat_map(|(_, middles)| middles).copied().collect();
    let pairs = all.iter().flat_map(|left| all.iter().map(move |right| (left, right)));
    pairs.filter(|(left, right)| left != right).map(|(left, right)| format!("{left} and {right}")).collect()
}

/// The lesson learnt without a held-out part and without rounding.
pub(super) fn linear() -> (train::Linear, Vec<u32>) {
    let (mut extractor, mut corpus, mut vocabulary) = (Extractor::default(), Corpus::default(), Vocabulary::default());
    for row in lesson().rows {
        extractor.read(&row.text);
        let label = MIDDLES.iter().position(|(label, _)| *label == row.label).expect("a label of the sample");
        corpus.push(&extractor, label);
        vocabulary.push(extractor.words());
    }
    (train::fit(&corpus, MIDDLES.len(), 7, &mut |_, _| ()), vocabulary.known())
}

/// Texts that the learner holds out, by the rule of its documentation.
pub(super) fn held_out(lesson: &Lesson) -> usize {
    lesson.rows.iter().filter(|row| text_hash(&row.text).is_multiple_of(5)).count()
}
