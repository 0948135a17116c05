//! Whose turn it is among tenants that wait and may go: deficit round robin, with the rounds counted instead of walked.
//!
//! In every round each tenant earns its weight in tokens. One that has no debt goes, once, and owes what its call costs;
//! it has its next turn in the round in which that is earned back. The round of a tenant's next turn is therefore known
//! the moment it goes, and rounds in which nobody has a turn need not be walked: one decision costs the logarithm of the
//! number of tenants, whatever calls cost. Nobody saves up by being away, and nobody escapes a debt by it.
//!
//! So between two tenants that both wait all the time, tokens divided by weight never differ by more than their two
//! longest calls; and a tenant that was quiet has its turn before anybody has a second one.

use super::agenda::Agenda;

/// Rounds in which a tenant of weight one earns one token: large, so that a heavy tenant's cheap call is not rounded up.
const ROUNDS_PER_TOKEN: u128 = 1_000_000;

/// Within a round whoever came first.
type Turn = (u128, u64);

/// Tenants, as small numbers.
#[derive(Debug, Clone, Default)]
pub struct FairQueue {
    /// The round of the latest turn; never goes back.
    round: u128,
    /// How often somebody has joined.
    joined: u64,
    /// By tenant: the round from which it has no debt.
    free_from: Vec<u128>,
    turns: Agenda<Turn>,
}

impl FairQueue {
    /// This tenant waits, and may go. Does nothing if it waits already.
    pub fn join(&mut self, tenant: usize) {
        if self.has(tenant) {
            return;
        }
        if self.free_from.len() <= tenant {
            self.free_from.resize(tenant + 1, 0);
        }
        self.joined += 1;
        self.turns.set(tenant, (self.round.max(self.free_from[tenant]), self.joined));
    }

    /// This tenant does not wait, or may not go. Its debt stays.
    pub fn leave(&mut self, tenant: usize) {
        self.turns.remove(tenant);
    }

    /// Whether this tenant waits for its turn.
    #[must_use]
    pub fn has(&self, tenant: usize) -> bool {
        self.turns.contains(tenant)
    }

    /// Whose turn it is.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.turns.first().map(|(_, tenant)| tenant)
    }

    /// This tenant, which waited, goes with a call of so many tokens; it joins again if it has more.
    pub fn go(&mut self, tenant: usize, tokens: u32, weight: u32) {
        let Some((round, _)) = self.turns.remove(tenant) else { return };
        self.round = self.round.max(round);
        let cost = u128::from(tokens.max(1)) * ROUNDS_PER_TOKEN;
        self.free_from[tenant] = round + cost.div_ceil(u128::from(weight.max(1)));
    }

    /// The number will stand for another tenant, without debt.
    pub fn forget(&mut self, tenant: usize) {
        self.leave(tenant);
        if let Some(free_from) = self.free_from.get_mut(tenant) {
            *free_from = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The first one goes, and joins again.
    fn turn(queue: &mut FairQueue, cost: impl Fn(usize) -> u32, weight: impl Fn(usize) -> u32) -> usize {
        let tenant = queue.first().expect("somebody waits");
        queue.go(tenant, cost(tenant), weight(tenant));
        queue.join(tenant);
        tenant
    }

    #[test]
    fn equals_take_turns() {
        let mut queue = FairQueue::default();
        (0..3).for_each(|tenant| queue.join(tenant));
        let turns: Vec<usize> = (0..9).map(|_| turn(&mut queue, |_| 100, |_| 1)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn long_texts_get_fewer_turns_and_the_same_tokens() {
        let mut queue = FairQueue::default();
        (0..2).for_each(|tenant| queue.join(tenant));
        let turns: Vec<usize> = (0..102).map(|_| turn(&mut queue, |tenant| [50, 1][tenant], |_| 1)).collect();
        assert_eq!(turns.iter().filter(|tenant| **tenant == 0).count(), 2);
    }

    #[test]
    fn one_who_was_quiet_goes_before_anybody_goes_twice_and_has_saved_nothing_up() {
        let mut queue = FairQueue::default();
        (0..10).for_each(|tenant| queue.join(tenant));
        for _ in 0..1_000 {
            turn(&mut queue, |_| 100, |_| 1);
        }
        queue.join(10);
        let turns: Vec<usize> = (0..33).map(|_| turn(&mut queue, |_| 100, |_| 1)).collect();
        assert!(turns[..11].contains(&10), "{turns:?}");
        assert_eq!(turns.iter().filter(|tenant| **tenant == 10).count(), 3);
    }

    #[test]
    fn a_debt_is_not_escaped_by_leaving() {
        let mut queue = FairQueue::default();
        queue.join(0);
        queue.join(1);
        queue.go(0, 1_000, 1);
        queue.leave(0);
        queue.join(0);
        let turns: Vec<usize> = (0..10).map(|_| turn(&mut queue, |_| 100, |_| 1)).collect();
        assert_eq!(turns, [1; 10]);
        queue.forget(0);
        queue.join(0);
        assert_eq!(turn(&mut queue, |_| 100, |_| 1), 0, "another tenant under that number owes nothing");
    }

    #[test]
    fn a_lone_tenant_always_has_its_turn() {
        let mut queue = FairQueue::default();
        queue.join(7);
        for _ in 0..100 {
            assert_eq!(turn(&mut queue, |_| u32::MAX, |_| 1), 7);
        }
        queue.go(7, 1, 1);
        assert_eq!(queue.first(), None);
    }

    proptest! {
        #[test]
        fn tokens_by_weight_never_differ_by_more_than_the_longest_calls(
            tenants in proptest::collection::vec((1u32..=1_000, 1u32..5_000), 2..20),
            turns in 50usize..2_000,
        ) {
            let mut queue = FairQueue::default();
            (0..tenants.len()).for_each(|tenant| queue.join(tenant));
            let mut served = vec![0u64; tenants.len()];
            for _ in 0..turns {
                let tenant = turn(&mut queue, |tenant| tenants[tenant].1, |tenant| tenants[tenant].0);
                served[tenant] += u64::from(tenants[tenant].1);
            }
            let share = |tenant: usize| served[tenant] as f64 / f64::from(tenants[tenant].0);
            let longest = |tenant: usize| f64::from(tenants[tenant].1) / f64::from(tenants[tenant].0);
            for one in 0..tenants.len() {
                for other in 0..tenants.len() {
                    let allowed = longest(one) + longest(other) + 0.01;
                    prop_assert!((share(one) - share(other)).abs() <= allowed, "{one} {other} {served:?} {tenants:?}");
                }
            }
        }
    }
}
