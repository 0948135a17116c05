//! How many calls at once a model is good for, found out by asking it. Pure: time comes from outside.
//!
//! ```text
//!            every call answered, others had to wait             429, or a tenth of the calls not in time,
//!            ------------------------------------>              or the median twice its usual length
//!   min ... limit ............................. max             ----> limit x 0.8, once for all that ran
//!            half as many more each round trip, until the first cut;
//!            then one more for ten seconds after a cut, later a tenth more
//! ```
//!
//! A cut counts once: a call that was begun before the last one says nothing about the limit after it. What is looked
//! at is a median, so neither one slow call nor a long tail moves it, and the limit grows only while it is what holds
//! calls back: an idle hour proves nothing.
//!
//! Medians are chance as well, and there are many of them: a provider that answers thousands of calls a second has one that
//! is far off every few minutes. So a window is a whole round trip, the usual length goes up with them as well as down, and
//! a cut that had no reason is made good within seconds, long before there is another.
//!
//! Invariant: 1 <= min <= limit <= max.

use std::time::Duration;

use tokio::time::Instant;

use super::model::Range;

/// What a cut leaves.
const CUT: f64 = 0.8;

/// What each answer adds before the first cut: from 32 to 256 in six round trips. Doubling would be faster by two, and
/// would have every second call refused where the provider's limit happens to be passed.
const START: f64 = 0.5;

/// So long after a cut the limit grows by one a round trip only; a provider that said "too much" is believed so long.
const WARY: Duration = Duration::from_secs(10);

/// Then by this share a round trip: from one call to 256 in 43 round trips, which keeps "full rate a minute after
/// healing" for calls of a second, and never overshoots by more than a tenth.
const GROWTH: f64 = 0.1;

/// Calls of a window, at least; otherwise as many as may run at once, which is a round trip. Of calls with a long tail (p99
/// ten times p50) the median of 100 is twice the true one less than once in ten million times.
const FEWEST: usize = 100;
/// And at most: a model may be good for more calls than anybody makes.
const MOST: usize = 10_000;

/// The provider queues our calls when their median is more than this many times its usual length
const SLOWER: u32 = 2;

/// and by at least this much longer: below it, it is noise of the network or of this machine.
const NOTICEABLE: Duration = Duration::from_millis(100);

/// So many cuts in a row, which leave half of the calls, have to make them shorter by a quarter at least. Not one alone: what
/// it looks at began before the limit last grew.
const TRIES: u32 = 3;
const HELPS: f64 = 0.75;

/// Calls that end within so many median lengths after a cut are not looked at: until then mostly the short ones of those that
/// were begun after it have ended. Nor does the limit grow until a window says whether it helped, if they were too slow.
const SETTLES: u32 = 3;

/// The usual length follows each window by one part in so many, both ways. One that only fell would in time be the shortest
/// of all medians that there were, and what is usual would look slow. A limit that grows by a tenth each round trip and makes
/// calls longer by as much is still noticed: it is then ahead of what follows by more than [`SLOWER`].
const FOLLOWS: u32 = 16;

/// But not for so long after calls were too slow or did not end, in time and in median lengths: the provider queues still, if
/// less, and that is not usual.
const QUEUES_STILL: (Duration, u32) = (Duration::from_secs(60), 20);

/// How a call ended, as far as the limit is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With a reply, after this long.
    Answered(Duration),
    /// 429: too many.
    RateLimited,
    /// Not within its limit of time.
    TimedOut,
}

/// Why the limit was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// 429.
    RateLimited,
    /// Calls did not end in time.
    TimedOut,
    /// Calls took much longer than they used to.
    Slower,
}

/// The limit of one model.
#[derive(Debug)]
pub struct Concurrency {
    range: Range,
    limit: f64,
    /// Counts cuts.
    epoch: u64,
    last_cut: Option<Instant>,
    /// When calls were last too slow, or not in time.
    last_slow: Option<Instant>,
    /// Calls that end before say nothing about how long calls take.
    settled_at: Option<Instant>,
    /// Latencies of the window that is being filled.
    window: Vec<Duration>,
    timeouts: usize,
    /// Answers beside them.
    answers: usize,
    /// The median of the last window.
    latest: Duration,
    /// The median that is usual for this model.
    usual: Option<Duration>,
    /// The longest median for which the limit was cut, and how many times.
    slow: Option<(Duration, u32)>,
}

impl Concurrency {
    /// The initial limit.
    #[must_use]
    pub fn new(range: Range) -> Self {
        let min = range.min.max(1);
        let max = range.max.max(min);
        let range = Range { min, initial: range.initial.clamp(min, max), max };
        Self {
            limit: range.initial.into(),
            range,
            epoch: 0,
            last_cut: None,
            last_slow: None,
            settled_at: None,
            window: Vec::new(),
            timeouts: 0,
            answers: 0,
            latest: Duration::ZERO,
            usual: None,
            slow: None,
        }
    }

    /// Calls that may run at once.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between two u32")]
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Most it can be.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.range.max
    }

    /// A call that begins now belongs to this epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A call of this epoch has ended. `held_back`: while it ran, another one had to wait because of the limit.
    pub fn ended(&mut self, now: Instant, epoch: u64, how: Ended, held_back: bool) -> Option<Cut> {
        if epoch != self.epoch {
            return None;
        }
        match how {
            Ended::RateLimited => self.cut(now, Cut::RateLimited),
            Ended::TimedOut => {
                self.timeouts += 1;
                // Of a whole window: five of the first fifty are chance where every twentieth call is late.
                let many = self.timeouts * 10 >= self.window_size().max(self.answers + self.timeouts);
                many.then(|| self.cut(now, Cut::TimedOut)).flatten()
            }
            Ended::Answered(latency) => {
                self.answers += 1;
                if self.settled_at.is_none_or(|at| now >= at) {
                    self.window.push(latency);
                }
                if self.window.len() >= self.window_size() && self.is_slower(now) {
                    return self.cut(now, Cut::Slower);
                }
                if held_back && self.slow.is_none() {
                    self.grow(now);
                }
                None
            }
        }
    }

    /// The provider wants to be left alone: one call at a time from now on, until it answers again.
    pub fn collapse(&mut self, now: Instant) {
        self.cut(now, Cut::RateLimited);
        self.limit = self.range.min.into();
    }

    fn cut(&mut self, now: Instant, why: Cut) -> Option<Cut> {
        let before = self.limit();
        self.limit = (self.limit * CUT).floor().max(self.range.min.into());
        self.epoch += 1;
        self.last_cut = Some(now);
        if why != Cut::RateLimited {
            self.last_slow = Some(now);
        }
        self.settled_at = Some(now + self.latest * SETTLES);
        self.clear();
        (self.limit() < before).then_some(why)
    }

    fn grow(&mut self, now: Instant) {
        let step = match self.last_cut {
            None => START,
            Some(cut) if now.saturating_duration_since(cut) < WARY => 1.0 / self.limit,
            Some(_) => (1.0 / self.limit).max(GROWTH),
        };
        self.limit = (self.limit + step).min(self.range.max.into());
    }

    fn window_size(&self) -> usize {
        (self.limit() as usize).clamp(FEWEST, MOST)
    }

    fn clear(&mut self) {
        self.window.clear();
        (self.timeouts, self.answers) = (0, 0);
    }

    /// Close the window: whether its median is far above the usual one, and asking less is still worth a try. If cuts have not
    /// helped, then we are not the reason: the provider has become slower for everybody, holding back would win nothing, and
    /// that is usual from now on.
    fn is_slower(&mut self, now: Instant) -> bool {
        let middle = self.window.len() / 2;
        let (_, median, _) = self.window.select_nth_unstable(middle);
        let median = *median;
        self.latest = median;
        self.clear();
        let usual = *self.usual.get_or_insert(median);
        let before = self.slow.take();
        if median <= usual * SLOWER || median <= usual + NOTICEABLE {
            let queues_still = QUEUES_STILL.0.max(median * QUEUES_STILL.1);
            if self.last_slow.is_none_or(|at| now.saturating_duration_since(at) >= queues_still) {
                self.usual = Some((usual * (FOLLOWS - 1) + median) / FOLLOWS);
            }
            return false;
        }
        // Calls get longer for a while after the limit was passed: what cuts are held against is the worst of it.
        let (first, cuts) = before.map_or((median, 0), |(first, cuts)| (first.max(median), cuts));
        if cuts < TRIES {
            self.slow = Some((first, cuts + 1));
            return true;
        }
        if median > first.mul_f64(HELPS) {
            self.usual = Some(median);
            return false;
        }
        self.slow = Some((median, 1));
        true
    }
}

#[cfg(test)]
mod providers;
#[cfg(test)]
mod tests;
