//! Whether, and after how long, a failed call is made again. Pure: time and chance come from outside.
//!
//! This is the only retry loop there is; client libraries are built without theirs.

use std::time::Duration;

use rand::Rng;

use crate::settings::triage::Retry as Settings;

/// How long to wait before attempt number `made` + 1; `None`: that was the last one.
///
/// Full jitter: anything between nothing and the back-off's step, so that callers who failed together do not come back
/// together. The provider's own word (`Retry-After`) is a minimum; a longer one than we are ready to wait ends it.
#[must_use]
pub fn wait_before_next(
    settings: &Settings,
    made: u32,
    retry_after: Option<Duration>,
    chance: &mut impl Rng,
) -> Option<Duration> {
    let at_least = retry_after.unwrap_or_default();
    if made >= settings.max_attempts || at_least > settings.max_retry_after {
        return None;
    }
    let step = settings.base.saturating_mul(2u32.saturating_pow(made.saturating_sub(1))).min(settings.cap);
    Some(at_least + step.mul_f64(chance.random_range(0.0..1.0)))
}

/// Retries as a share of first attempts, so that a provider in trouble is not asked three times as often.
///
/// Counted in hundredths of a call: a first attempt earns `percent` of them, a retry spends a hundred.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u32,
    balance: u32,
}

impl RetryBudget {
    /// What a quiet installation may retry before it has earned anything, and the most that can be saved up.
    const RESERVE: u32 = 10 * Self::ONE_CALL;
    const ONE_CALL: u32 = 100;

    /// Full.
    #[must_use]
    pub fn new(percent: u32) -> Self {
        Self { percent, balance: Self::RESERVE }
    }

    /// A first attempt was made.
    pub fn earn(&mut self) {
        self.balance = self.balance.saturating_add(self.percent).min(Self::RESERVE);
    }

    /// Whether a retry may be made; if so it is paid for.
    #[must_use]
    pub fn spend(&mut self) -> bool {
        match self.balance.checked_sub(Self::ONE_CALL) {
            Some(rest) => {
                self.balance = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const SETTINGS: Settings = Settings {
        max_attempts: 3,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(10),
        max_retry_after: Duration::from_secs(60),
        budget_percent: 10,
    };

    proptest! {
        #[test]
        fn a_wait_lies_between_the_providers_word_and_one_step_more(
            seed: u64, made in 1u32..100, asked in 0u64..100, max_attempts in 1u32..200,
        ) {
            let settings = Settings { max_attempts, ..SETTINGS };
            let asked = Duration::from_secs(asked);
            let wait = wait_before_next(&settings, made, Some(asked), &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert_eq!(wait.is_none(), made >= max_attempts || asked > settings.max_retry_after);
            if let Some(wait) = wait {
                prop_assert!(wait >= asked && wait <= asked + settings.cap);
                prop_assert!(made > 1 || wait <= asked + settings.base);
            }
        }

        #[test]
        fn retries_never_exceed_their_share_and_the_reserve(percent in 0u32..=100, calls in 0u32..2_000) {
            let mut budget = RetryBudget::new(percent);
            let mut retries = 0;
            for _ in 0..calls {
                budget.earn();
                retries += u32::from(budget.spend());
            }
            prop_assert!(retries <= calls * percent / 100 + 10);
        }
    }

    #[test]
    fn a_day_ends_the_attempts_and_a_minute_does_not() {
        let mut chance = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(wait_before_next(&SETTINGS, 1, Some(Duration::from_secs(86_400)), &mut chance), None);
        let wait = wait_before_next(&SETTINGS, 1, Some(Duration::from_secs(60)), &mut chance);
        assert!(wait.is_some_and(|wait| wait >= Duration::from_secs(60)));
    }
}
