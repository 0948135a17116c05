//! Trips for shared limits, beside the loop: at most one is on its way, and the next one collects meanwhile.
//!
//! One that fails, or takes too long, is over: the road goes on with its last share, says so once, and asks again a
//! second later. What the database did with it nobody knows; both ends count on the worse.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::admit::shares::{Ask, LimitShares, Reply, SharesError};
use crate::settings::limits::Limits as Settings;
use crate::telemetry::happenings::{SharesAvailable, SharesAway, SharesTripMade};

/// Where limits are shared, and how.
#[derive(Clone)]
pub struct SharedLimits {
    /// What instances have in common.
    pub shares: Arc<dyn LimitShares>,
    /// How often it is asked, and how long it is waited for.
    pub settings: Settings,
}

/// What a trip came to, by tenant.
pub(super) enum Tripped {
    Answered(Vec<(Arc<str>, Reply)>),
    Failed(Vec<Arc<str>>),
}

/// The trips of one instance.
pub(super) struct Trips {
    shared: Option<SharedLimits>,
    tenants: Vec<Arc<str>>,
    task: JoinSet<(Result<Vec<Reply>, SharesError>, Duration)>,
    away_since: Option<Instant>,
}

impl Trips {
    pub fn new(shared: Option<SharedLimits>) -> Self {
        Self { shared, tenants: Vec::new(), task: JoinSet::new(), away_since: None }
    }

    /// How far apart the trips of a tenant are, if limits are shared.
    pub fn every(&self) -> Option<Duration> {
        self.shared.as_ref().map(|shared| shared.settings.trip_interval)
    }

    /// Whether a trip can begin.
    pub fn is_free(&self) -> bool {
        self.task.is_empty()
    }

    /// This is to be said.
    pub fn start(&mut self, asks: Vec<Ask>) {
        let Some(shared) = self.shared.clone().filter(|_| !asks.is_empty()) else { return };
        self.tenants = asks.iter().map(|ask| ask.tenant.clone()).collect();
        self.task.spawn(async move {
            let began = Instant::now();
            (make(&shared, asks).await, began.elapsed())
        });
    }

    /// The trip that is on its way ends. None while there is none.
    pub async fn next(&mut self) -> Option<Tripped> {
        let done = self.task.join_next().await?;
        let tenants = std::mem::take(&mut self.tenants);
        let (answer, took) = done.unwrap_or_else(|error| {
            tracing::error!(%error, "a trip for shared limits broke down");
            (Err(SharesError("the trip broke down".to_owned())), Duration::ZERO)
        });
        SharesTripMade { tenants: tenants.len(), took, is_answered: answer.is_ok() }.record();
        let now = Instant::now();
        Some(match answer {
            Ok(replies) => {
                if let Some(since) = self.away_since.take() {
                    SharesAvailable { alone_for: now - since }.record();
                }
                Tripped::Answered(tenants.into_iter().zip(replies).collect())
            }
            Err(error) => {
                let is_news = self.away_since.is_none();
                let since = *self.away_since.get_or_insert(now);
                SharesAway { error: &error.to_string(), alone_for: now - since, is_news }.record();
                Tripped::Failed(tenants)
            }
        })
    }

    /// The last word of an instance that ends. Without it what it holds is lost to the others until its minute is over.
    pub async fn farewell(&mut self, asks: Vec<Ask>) {
        let Some(shared) = self.shared.clone().filter(|_| !asks.is_empty()) else { return };
        if let Err(error) = make(&shared, asks).await {
            tracing::info!(%error, "what was held of shared limits was not given back");
        }
    }
}

async fn make(shared: &SharedLimits, asks: Vec<Ask>) -> Result<Vec<Reply>, SharesError> {
    let patience = shared.settings.patience;
    let wanted = asks.len();
    let replies = timeout(patience, shared.shares.trip(asks, shared.settings.lease)).await;
    let replies = replies.unwrap_or_else(|_| Err(SharesError(format!("no answer within {patience:?}"))))?;
    if replies.len() != wanted {
        return Err(SharesError(format!("{} answers to {wanted} questions", replies.len())));
    }
    Ok(replies)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::domain::tenant::Limits;
    use crate::pipeline::admit::shares::Amount;
    use crate::settings::load::{LoadOptions, load};

    type Answer = Result<Vec<Reply>, SharesError>;

    /// Answers what it is told to, or never.
    #[derive(Default)]
    struct Scripted(Mutex<Vec<Option<Answer>>>);

    impl LimitShares for Scripted {
        fn trip(&self, _: Vec<Ask>, _: Duration) -> BoxFuture<'_, Answer> {
            let next = self.0.lock().expect("nobody panics with it").remove(0);
            Box::pin(async move {
                match next {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            })
        }
    }

    fn ask() -> Ask {
        let (held, least) = (Amount::default(), Amount { requests: 1, tokens: 0 });
        let limits = Limits { requests_per_minute: Some(60), ..Limits::default() };
        Ask { tenant: "acme".into(), limits, held, least, demand: least, renews: false }
    }

    #[tokio::test(start_paused = true)]
    async fn a_trip_that_fails_says_nothing_or_answers_something_else_is_over_in_time_and_the_next_one_may_do_better() {
        let reply = Reply { change: Amount::default(), left: Amount::default(), sharers: 1, opens_in: Duration::ZERO };
        let script = vec![
            Some(Err(SharesError("the server is away".to_owned()))),
            None,
            Some(Ok(vec![reply, reply])),
            Some(Ok(vec![reply])),
        ];
        let settings = load(&LoadOptions::default()).expect("the defaults are right").settings.limits;
        let shares = Arc::new(Scripted(Mutex::new(script)));
        let mut trips = Trips::new(Some(SharedLimits { shares, settings: settings.clone() }));
        let began = Instant::now();
        for _ in 0..3 {
            trips.start(vec![ask()]);
            assert!(!trips.is_free());
            let Some(Tripped::Failed(tenants)) = trips.next().await else { panic!("it failed") };
            assert_eq!(tenants, [ask().tenant]);
            assert!(trips.is_free() && trips.away_since.is_some());
        }
        assert_eq!(began.elapsed(), settings.patience);
        trips.start(vec![ask()]);
        let Some(Tripped::Answered(answers)) = trips.next().await else { panic!("it is there again") };
        assert_eq!(answers, [(ask().tenant, reply)]);
        assert_eq!(trips.away_since, None);
    }
}
