//! Whether this instance is outside of its group, and why. Pure.
//!
//! librdkafka tries again for ever, and of some reasons it says nothing at all; meanwhile nothing is read.

use std::time::{Duration, Instant};

/// A group settles sooner, unless one of its members does not answer.
const SETTLING: Duration = Duration::from_secs(30);

/// Outlives consumers: a refusal may end one, and the next one hears it again.
#[derive(Debug)]
pub struct Outside {
    since: Option<Instant>,
    refused: Option<String>,
}

impl Outside {
    /// From the beginning.
    pub fn since(now: Instant) -> Self {
        Self { since: Some(now), refused: None }
    }

    /// What was ours is not, and whether anything will be is open.
    pub(super) fn left(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The group has said what is ours.
    pub(super) fn entered(&mut self) {
        *self = Self { since: None, refused: None };
    }

    /// The group does not let us in, for this reason. It may be said once only, and before it bars us from anything.
    pub(super) fn refused(&mut self, why: String) {
        self.refused = Some(why);
    }

    /// Why nothing is read.
    pub(super) fn complaint(&self, now: Instant) -> Option<String> {
        let since = self.since?;
        self.refused.clone().or_else(|| {
            (now - since >= SETTLING).then(|| {
                let seconds = SETTLING.as_secs();
                format!("nothing is read: the group has not let this instance in for more than {seconds} s")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_at_once_and_until_the_group_lets_us_in() {
        let now = Instant::now();
        let mut outside = Outside::since(now);
        assert_eq!(outside.complaint(now), None, "it has just begun");
        outside.refused("no".to_owned());
        outside.left(now);
        assert_eq!(outside.complaint(now).as_deref(), Some("no"), "another consumer tries, and the reason stands");
        outside.entered();
        outside.left(now);
        assert_eq!(outside.complaint(now), None, "a rebalance is no refusal");
    }

    #[test]
    fn who_is_in_is_refused_nothing_until_it_is_outside() {
        let now = Instant::now();
        let mut outside = Outside::since(now);
        outside.entered();
        outside.refused("no".to_owned());
        assert_eq!(outside.complaint(now + 2 * SETTLING), None);
        outside.left(now);
        assert_eq!(outside.complaint(now).as_deref(), Some("no"));
    }

    #[test]
    fn a_group_that_says_nothing_is_complained_of_after_a_while() {
        let now = Instant::now();
        let mut outside = Outside::since(now);
        outside.left(now + SETTLING);
        assert_eq!(outside.complaint(now + SETTLING - Duration::from_millis(1)), None);
        let why = outside.complaint(now + SETTLING).expect("too long");
        assert_eq!(why, "nothing is read: the group has not let this instance in for more than 30 s");
        assert_eq!(outside.complaint(now + 2 * SETTLING), Some(why), "told once");
    }
}
