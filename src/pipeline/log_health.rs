//! Whether the log can be worked with, put together from what is seen of it.
//!
//! It is down while it does not answer, while bursts find no end, or when part of it is stopped until a person has looked.
//! Pure: what was seen is told, the state is asked for.

use std::time::Duration;

use tokio::time::Instant;

/// A burst may be aborted and sent again; when none was committed for this long, nothing gets out.
const NOTHING_GETS_OUT: Duration = Duration::from_secs(10);

/// What was seen.
#[derive(Debug, Default)]
pub struct LogHealth {
    silent: Option<String>,
    stopped: Option<String>,
    unread: Option<String>,
    waiting: bool,
    latency: Option<Duration>,
}

/// Bursts that were sent and are not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpublished {
    /// When the first of them was sent.
    pub since: Instant,
    /// Why the last one is not, if the log has said so.
    pub why: Option<String>,
}

impl LogHealth {
    /// It answered so fast, or does not for this reason.
    pub fn heard(&mut self, answer: Result<Duration, String>) {
        match answer {
            Ok(latency) => (self.silent, self.latency) = (None, Some(latency)),
            Err(error) => self.silent = Some(error),
        }
    }

    /// Why part of what is ours is not read, if that is so. Whether that is news.
    pub fn stopped(&mut self, complaint: Option<String>) -> bool {
        let is_news = self.stopped != complaint;
        self.stopped = complaint;
        is_news
    }

    /// Why part of what is to be ours is not even ours yet, if that is so. `waiting`: another part waits for its turn, which is
    /// no trouble.
    pub fn unread(&mut self, why: Option<String>, waiting: bool) {
        (self.unread, self.waiting) = (why, waiting);
    }

    /// Whether there is something that is not read yet.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.unread.is_some() || self.waiting
    }

    /// How it is.
    ///
    /// # Errors
    /// Why it is down.
    pub fn state(&self, unpublished: Option<Unpublished>, now: Instant) -> Result<Option<Duration>, String> {
        if let Some(error) = &self.silent {
            return Err(error.clone());
        }
        if let Some(Unpublished { since, why }) = unpublished
            && now - since >= NOTHING_GETS_OUT
        {
            let why = why.unwrap_or_else(|| "a burst has no outcome".to_owned());
            return Err(format!("nothing was committed for {} s: {why}", (now - since).as_secs()));
        }
        let partly: Vec<&str> = [&self.stopped, &self.unread].into_iter().flatten().map(String::as_str).collect();
        if partly.is_empty() { Ok(self.latency) } else { Err(partly.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_down_while_it_does_not_answer_and_up_when_it_does() {
        let (mut health, now) = (LogHealth::default(), Instant::now());
        assert_eq!(health.state(None, now), Ok(None));
        health.heard(Err("connection refused".to_owned()));
        assert_eq!(health.state(None, now), Err("connection refused".to_owned()));
        let latency = Duration::from_millis(3);
        health.heard(Ok(latency));
        assert_eq!(health.state(None, now), Ok(Some(latency)));
    }

    #[test]
    fn bursts_may_fail_for_a_while_but_not_for_long() {
        let (mut health, since) = (LogHealth::default(), Instant::now());
        health.heard(Ok(Duration::ZERO));
        let aborted = || Some(Unpublished { since, why: Some("no coordinator".to_owned()) });
        let short = since + NOTHING_GETS_OUT - Duration::from_millis(1);
        assert!(health.state(aborted(), short).is_ok());
        let why = health.state(aborted(), since + NOTHING_GETS_OUT).expect_err("too long");
        assert_eq!(why, "nothing was committed for 10 s: no coordinator");
        let hanging = health.state(Some(Unpublished { since, why: None }), since + NOTHING_GETS_OUT * 2);
        assert_eq!(hanging, Err("nothing was committed for 20 s: a burst has no outcome".to_owned()));
    }

    #[test]
    fn what_is_stopped_stays_so_whatever_answers_until_somebody_else_has_it() {
        let mut health = LogHealth::default();
        let gone = || Some("events/0 is stopped: gone".to_owned());
        assert!(!health.stopped(None) && health.stopped(gone()) && !health.stopped(gone()), "told once");
        health.heard(Ok(Duration::ZERO));
        let why = health.state(None, Instant::now()).expect_err("a person has to look");
        assert_eq!(why, "events/0 is stopped: gone");
        health.unread(Some("not read: events/1".to_owned()), false);
        let both = health.state(None, Instant::now()).expect_err("two of them");
        assert_eq!(both, "events/0 is stopped: gone; not read: events/1");
        health.unread(None, true);
        assert!(health.stopped(None), "it is not ours any more");
        assert_eq!(health.state(None, Instant::now()), Ok(Some(Duration::ZERO)));
        assert!(health.is_unread(), "added partitions wait for their turn: no trouble, and not the end");
        health.unread(None, false);
        assert!(!health.is_unread());
    }
}
