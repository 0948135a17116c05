//! Asks the cluster every few seconds whether it is there, on a client of its own: an idle processor must notice as well as
//! a busy one that there is nobody to read from, and say why.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::mpsc::WeakSender;
use tokio::sync::mpsc::error::TrySendError;

use super::clients;
use super::complaints::{self, Complaints};
use super::login::{Client, Login};
use super::orders::Orders;
use crate::pipeline::log::Happening;

/// Between two questions.
const EVERY: Duration = Duration::from_secs(2);

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// One question may be lost with its broker; so many in a row mean that nobody is there. Told after 14 s at the latest.
const MISSES: u32 = 2;

/// The thread's own.
pub struct Pulse {
    /// The cluster.
    pub kafka: Login,
    /// A topic that it has.
    pub topic: String,
    /// Whether everything ends.
    pub orders: Arc<Orders>,
    /// To the road, as long as somebody else has something to tell it.
    pub happenings: WeakSender<Happening>,
}

impl Pulse {
    /// Until everything ends.
    pub fn run(self) {
        let (mut client, mut missed) = (None::<Client<BaseConsumer<Complaints>>>, 0);
        while !self.orders.pause(EVERY) {
            if client.is_none() {
                client = self.kafka.open_with(&clients::base(&self.kafka), Complaints::default()).ok();
            }
            let Some(client) = &client else { continue };
            let answer = self.ask(client);
            let was_told = missed >= MISSES;
            missed = if answer.is_ok() { 0 } else { missed + 1 };
            let is_news = was_told != (missed >= MISSES);
            if (answer.is_ok() || missed >= MISSES) && !self.tell(answer, is_news) {
                return;
            }
        }
    }

    fn ask(&self, client: &BaseConsumer<Complaints>) -> Result<Duration, String> {
        let asked = Instant::now();
        let answer = client.fetch_metadata(Some(&self.topic), ANSWER);
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
            return happenings.blocking_send(heard).is_ok();
        }
        !matches!(happenings.try_send(heard), Err(TrySendError::Closed(_)))
    }
}
