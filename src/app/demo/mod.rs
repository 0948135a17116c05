//! `demo`: the whole product on the embedded log, in one command and about half a minute.
//!
//! ```text
//!  this process                      child processes of the same binary
//!  publishes, follows, judges        simulate-provider   writes its own ledger of calls
//!        |                           serve               reads the log, asks the provider; killed half way through
//!        +---- one folder: log, ledger, call ledger, settings, tenants ----+
//! ```
//!
//! What is told is what was read: decisions and feedback from the log, calls from the provider's own ledger. The exit code
//! is 0 only if every act came to its end and the audit is green.
//!
//! All waiting is for a condition, with a deadline. No child outlives this process: each is killed when its handle goes
//! away, which an error, a panic and a signal all bring about.

mod acts;
mod folder;
mod follower;
mod narrator;
mod outcome;
mod processes;
mod provider;
mod script;
mod stage;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use self::folder::Folder;
use self::narrator::Narrator;
use self::stage::Stage;
use crate::app::out::complain;
use crate::cli::{DemoArgs, SettingsArgs};

/// What a shell expects of a command that was interrupted.
const EXIT_INTERRUPTED: u8 = 130;

pub async fn run(settings: &SettingsArgs, args: DemoArgs) -> anyhow::Result<ExitCode> {
    refuse(settings)?;
    let narrator = Narrator::new();
    let folder = Folder::new(args.keep.as_deref())?;
    let ended = tokio::select! {
        played = play(&folder, narrator) => played,
        interrupted = interrupted() => interrupted.map(|()| ExitCode::from(EXIT_INTERRUPTED)),
    };
    if ended.is_err() {
        folder.keep();
        complain!("gatekeeper: what happened can be seen in {}", folder.root().display());
    }
    ended
}

/// Whoever gives settings expects them to be taken. A profile in the environment is meant for the user's own installation,
/// as every variable of ours is.
fn refuse(settings: &SettingsArgs) -> anyhow::Result<()> {
    let SettingsArgs { config, profile, sets } = settings;
    let of_environment = std::env::var("GATEKEEPER_PROFILE").ok();
    anyhow::ensure!(
        config.is_none() && sets.is_empty() && (profile.is_none() || *profile == of_environment),
        "demo has settings of its own (`demo --keep DIR` leaves them in DIR/gatekeeper.toml) and takes no --config, --profile \
         or --set"
    );
    Ok(())
}

async fn play(folder: &Folder, narrator: Narrator) -> anyhow::Result<ExitCode> {
    let mut stage = Stage::set(folder, narrator).await?;
    acts::morning(&mut stage).await?;
    acts::noise(&mut stage).await?;
    acts::outage(&mut stage).await?;
    acts::crash(&mut stage).await?;
    acts::again(&mut stage).await?;
    acts::evening(&mut stage).await?;
    let judged = outcome::judge(&stage).await;
    // Waited for: whoever looks after us finds no process of ours.
    stage.provider.end().await?;
    judged
}

async fn interrupted() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    complain!("gatekeeper: interrupted");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_would_not_be_taken_are_refused() {
        let set = |set: &str| SettingsArgs { sets: vec![set.to_owned()], ..SettingsArgs::default() };
        let profile = SettingsArgs { profile: Some("of nobody's environment".to_owned()), ..SettingsArgs::default() };
        for given in [set("pipeline.max_in_flight=1"), profile] {
            let said = refuse(&given).expect_err("it takes none").to_string();
            assert!(said.contains("settings of its own"), "{said}");
        }
        assert!(refuse(&SettingsArgs::default()).is_ok());
    }
}
