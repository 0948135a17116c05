//! Learning from some of the rows only: the rest measures.

use rand::SeedableRng as _;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::{Part, Row};

/// Leaves at most `limit` rows to learn from, chosen by chance, because files are often sorted by label. Rows that the
/// data itself holds out stay held out.
pub(super) fn apply(rows: &mut [Row], limit: usize, seed: u64) {
    let mut candidates: Vec<&mut Row> = rows.iter_mut().filter(|row| row.part != Some(Part::HeldOut)).collect();
    if candidates.len() <= limit {
        return;
    }
    let chosen = index::sample(&mut ChaCha8Rng::seed_from_u64(seed), candidates.len(), limit);
    candidates.iter_mut().for_each(|row| row.part = Some(Part::HeldOut));
    for index in chosen {
        candidates[index].part = Some(Part::Train);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(parts: &[Option<Part>]) -> Vec<Row> {
        parts.iter().map(|part| Row { text: "x".into(), label: "y".into(), part: *part }).collect()
    }

    fn learnt_from(rows: &[Row]) -> Vec<usize> {
        (0..rows.len()).filter(|index| rows[*index].part == Some(Part::Train)).collect()
    }

    #[test]
    fn the_limit_is_kept_by_chance_that_can_be_repeated() {
        let choice = |seed| {
            let mut rows = rows(&[None; 100]);
            apply(&mut rows, 30, seed);
            learnt_from(&rows)
        };
        assert_eq!((choice(1).len(), choice(1)), (30, choice(1)));
        assert_ne!(choice(1), choice(2));
        assert_ne!(choice(1), (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn what_the_data_holds_out_is_never_learnt_from_and_a_wide_limit_changes_nothing() {
        let mut parts = [Some(Part::HeldOut); 10];
        parts[..4].fill(Some(Part::Train));
        let mut some = rows(&parts);
        apply(&mut some, 2, 1);
        assert!(learnt_from(&some).len() == 2 && learnt_from(&some).iter().all(|index| *index < 4));
        let mut all = rows(&[None, Some(Part::Train)]);
        let before = all.clone();
        apply(&mut all, 2, 1);
        assert_eq!(all, before);
    }
}
