//! Asks the cluster every few seconds whether it is there, on a client of its own: an idle processor must notice as well as
//! a busy one that there is nobody to read from, and say why. And whether our topics are still the ones we know: a topic that
//! was deleted, created and filled between two answers to the consumer would be read on in its middle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::mpsc::WeakSender;
use tokio::sync::mpsc::error::TrySendError;

use super::clients;
use super::complaints::{self, Complaints};
use super::hung::{self, Life};
use super::login::{Client, Login};
use super::orders::Orders;
use super::raw;
use super::restore::CannotRestore;
use crate::pipeline::log::Happening;

/// Between two questions.
const EVERY: Duration = Duration::from_secs(2);

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// So many questions to the cluster for one about its topics.
const TOPICS_EVERY: u32 = 3;

/// One question may be lost with its broker; so many in a row mean that nobody is there. Told after 14 s at the latest.
const MISSES: u32 = 2;

/// The thread's own.
pub struct Pulse {
    /// The cluster.
    pub kafka: Login,
    /// The topics that are read, by name.
    pub topic_ids: BTreeMap<String, String>,
    /// Whether everything ends.
    pub orders: Arc<Orders>,
    /// To the road, as long as somebody else has something to tell it.
    pub happenings: WeakSender<Happening>,
    /// That the thread is there.
    pub life: Life,
}

impl Pulse {
    /// Until everything ends.
    pub fn run(self) {
        let (mut client, mut missed, mut asked) = (None::<Client<BaseConsumer<Complaints>>>, 0, 0u32);
        while !self.orders.pause(EVERY) {
            self.life.sign();
            let answer = match &client {
                Some(asking) => self.ask(asking),
                None => self.opened().and_then(|opened| self.ask(client.insert(opened))),
            };
            let was_told = missed >= MISSES;
            missed = if answer.is_ok() { 0 } else { missed + 1 };
            let is_news = was_told != (missed >= MISSES);
            if (answer.is_ok() || missed >= MISSES) && !self.tell(answer, is_news) {
                return;
            }
            asked = asked.wrapping_add(1);
            if missed > 0 && missed.is_multiple_of(MISSES) {
                // It may have no broker left to ask (`raw/brokers.rs`); the next one begins with those of the settings.
                client = None;
            }
            if missed == 0
                && asked.is_multiple_of(TOPICS_EVERY)
                && let Some(reason) = client.as_ref().and_then(|asking| self.recreated(asking))
            {
                // A road that is gone needs no reason.
                self.happenings.upgrade().map(|to_road| to_road.blocking_send(Happening::Failed { reason }));
                return;
            }
        }
    }

    fn opened(&self) -> Result<Client<BaseConsumer<Complaints>>, String> {
        let opened = self.kafka.open_with(&clients::base(&self.kafka), Complaints::default());
        opened.map_err(|why| format!("the cluster at {} cannot be asked: {why}", self.kafka.bootstrap_servers))
    }

    /// Which topic is another than the one we knew. One that is missing is for whoever reads it to notice.
    fn recreated(&self, client: &BaseConsumer<Complaints>) -> Option<String> {
        let names: Vec<String> = self.topic_ids.keys().cloned().collect();
        let described = raw::describe_topics(client.client().native_ptr(), &names, ANSWER).ok()?;
        described.iter().find_map(|found| {
            let known = self.topic_ids.get(&found.name).filter(|known| **known != found.id)?;
            Some(CannotRestore::recreated(&found.name, known, &found.id).reason())
        })
    }

    fn ask(&self, client: &BaseConsumer<Complaints>) -> Result<Duration, String> {
        let asked = Instant::now();
        let answer = client.fetch_metadata(self.topic_ids.keys().next().map(String::as_str), ANSWER);
        let why = complaints::heard(client);
        match answer {
            Ok(_) => Ok(asked.elapsed()),
            Err(silence) => {
                let why = why.map_or_else(|| silence.to_string(), |why| why.to_string());
                Err(format!("the cluster at {} does not answer: {why}", self.kafka.bootstrap_servers))
            }
        }
    }

    /// News may have to wait for the road, the same again need not be told. Says whether the road is still there.
    fn tell(&self, answer: Result<Duration, String>, is_news: bool) -> bool {
        let Some(happenings) = self.happenings.upgrade() else { return false };
        let heard = Happening::Heard { answer };
        if is_news {
            return hung::tell(&happenings, heard, || self.life.sign());
        }
        !matches!(happenings.try_send(heard), Err(TrySendError::Closed(_)))
    }
}
