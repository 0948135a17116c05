//! Opens what the processor stands on, and waits while it is away.
//!
//! A server that is not there yet, or not at this moment, is asked again, ever more seldom, until it answers or patience
//! ends; `/health` says meanwhile what is missing and why. What waiting does not mend (credentials, a database that does
//! not exist, a migration that is refused) ends the start at once. Whoever asks the process to stop is not kept waiting.

use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::adapters::kafka::CannotOpen;
use crate::adapters::postgres::OpenError;
use crate::http::{Health, State};
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::pipeline::run_loop::Stop;
use crate::telemetry::happenings::{DependencyAwaited, DependencyThere};

/// Between attempts: this, then twice as long each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// At most, from the first attempt on.
    pub lasts: Duration,
    /// The setting that says so.
    pub setting: &'static str,
}

/// Opens one thing after the other.
pub struct Opening {
    /// Told how each of them is.
    pub health: Health,
    /// Told when nothing needs to be opened any more.
    pub stop: watch::Receiver<Stop>,
}

impl Opening {
    /// What `open` gives once it gives something; nothing if the process was asked to stop before that.
    ///
    /// # Errors
    /// What waiting does not mend, or the last failure when patience ends.
    pub async fn of<T, F>(
        &mut self,
        dependency: &'static str,
        patience: Patience,
        mut open: impl FnMut() -> F,
    ) -> anyhow::Result<Option<T>>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let (begun, mut pause, mut missing) = (Instant::now(), FIRST_PAUSE, None);
        loop {
            let asked = Instant::now();
            let opened = tokio::select! {
                biased;
                () = asked_to_stop(&mut self.stop) => return Ok(given_up(dependency, missing.as_deref())),
                opened = open() => opened,
            };
            let error = match opened {
                Ok(opened) => {
                    self.health.set(dependency, State::Up { latency: Some(asked.elapsed()) });
                    if missing.is_some() {
                        DependencyThere { dependency, waited: begun.elapsed() }.record();
                    }
                    return Ok(Some(opened));
                }
                Err(error) => error,
            };
            let text = format!("{error:#}");
            self.health.set(dependency, State::Down { error: text.clone() });
            if !waiting_helps(&error) {
                return Err(error);
            }
            if begun.elapsed() + pause > patience.lasts {
                let Patience { lasts, setting } = patience;
                return Err(error).with_context(|| format!("the {dependency} was waited for ({setting} = {lasts:?})"));
            }
            if missing.is_none() {
                DependencyAwaited { dependency, error: &text, patience: patience.lasts }.record();
            }
            missing = Some(text);
            tokio::select! {
                biased;
                () = asked_to_stop(&mut self.stop) => return Ok(given_up(dependency, missing.as_deref())),
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }
}

fn waiting_helps(error: &anyhow::Error) -> bool {
    error.downcast_ref::<CannotOpen>().is_some_and(CannotOpen::is_retryable)
        || error.downcast_ref::<OpenError>().is_some_and(OpenError::is_retryable)
        || error.downcast_ref::<LedgerError>().is_some_and(LedgerError::is_retryable)
}

async fn asked_to_stop(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop != Stop::No).await.is_err() {
        // Nobody is left who could ask.
        std::future::pending::<()>().await;
    }
}

fn given_up<T>(dependency: &str, missing: Option<&str>) -> Option<T> {
    tracing::info!(dependency, missing = missing.unwrap_or("no answer yet"), "asked to stop before this was there");
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::adapters::postgres::OpenError;

    const PATIENCE: Patience = Patience { lasts: Duration::from_secs(60), setting: "ledger.start_patience" };

    fn opening() -> (Opening, watch::Sender<Stop>) {
        let (tell, stop) = watch::channel(Stop::No);
        let health = Health::new();
        health.expect("database", true);
        (Opening { health, stop }, tell)
    }

    fn refused() -> anyhow::Error {
        let away = sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into());
        anyhow::Error::new(OpenError::Server(Arc::new(away))).context("the ledger cannot be opened")
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_away_is_asked_for_ever_more_seldom_until_it_is_there() {
        let (mut opening, _tell) = opening();
        let (health, mut asked) = (opening.health.clone(), Vec::new());
        let begun = Instant::now();
        let opened = opening
            .of("database", PATIENCE, || {
                asked.push(begun.elapsed().as_millis());
                let there = asked.len() == 8;
                if asked.len() > 1 {
                    assert!(!health.is_ready());
                    let report = health.report().dependencies.remove(0);
                    assert!(report.state == "down" && report.last_error.is_some_and(|why| why.contains("refused")));
                }
                async move { if there { Ok("it") } else { Err(refused()) } }
            })
            .await;
        assert_eq!(opened.expect("no failure"), Some("it"));
        assert_eq!(asked, [0, 250, 750, 1_750, 3_750, 7_750, 12_750, 17_750]);
        assert!(opening.health.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_with_the_last_failure_and_the_setting() {
        let (mut opening, _tell) = opening();
        let begun = Instant::now();
        let opened = opening.of("database", PATIENCE, || async { Err::<(), _>(refused()) }).await;
        let said = format!("{:#}", opened.expect_err("it never comes"));
        assert!(said.contains("ledger.start_patience") && said.contains("refused"), "{said}");
        assert!((55..=60).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_mend_is_told_at_once() {
        let (mut opening, _tell) = opening();
        let begun = Instant::now();
        let edited = || async { Err::<(), _>(anyhow::Error::new(OpenError::MigrationEdited { version: 1 })) };
        assert!(opening.of("database", PATIENCE, edited).await.is_err());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_it_to_stop_is_not_kept_waiting() {
        let (mut opening, tell) = opening();
        let begun = Instant::now();
        tokio::spawn(async move {
            sleep(Duration::from_secs(9)).await;
            tell.send(Stop::Drain).expect("it listens");
            std::future::pending::<()>().await;
        });
        let opened = opening.of("database", PATIENCE, || async { Err::<(), _>(refused()) }).await;
        assert_eq!((opened.expect("no failure"), begun.elapsed().as_secs()), (None, 9));
        // While an attempt hangs as well.
        let hanging = opening.of("database", PATIENCE, std::future::pending::<anyhow::Result<()>>).await;
        assert_eq!(hanging.expect("no failure"), None);
    }
}
