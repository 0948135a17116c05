//! THE ONLY PLACE THAT KNOWS EVERYTHING: one file a command, and the wiring they share.

mod audit;
mod bench;
mod breaker;
mod calibration;
mod check_config;
mod demo;
mod explain;
mod flags;
mod follow;
mod given;
mod held;
mod ledger;
mod log_memory;
mod migrate;
mod open_files;
mod opening;
mod out;
mod publish;
mod redrive;
mod schemas;
mod serve;
mod shutdown;
pub mod simulator;
mod tenants;
mod topics;
mod trail;
mod train;
mod watch;
mod wiring;

use std::process::ExitCode;
use std::time::Duration;

use self::wiring::{Misconfigured, over};
use crate::cli::{Cli, Command};
use crate::settings::problem::SettingsError;

/// `EX_CONFIG` of sysexits.h: the settings are wrong, trying again does not help.
const EXIT_CONFIG: u8 = 78;

/// How long what nobody waits for any more may take to end.
const ABANDONED: Duration = Duration::from_secs(1);

/// Run one command.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    open_files::raise();
    // One TLS provider for everything; a second installation would only mean that it is there already.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            out::complain!("gatekeeper: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(cli));
    // A question to a server that does not answer may still block a thread, and nobody waits for its answer any more.
    runtime.shutdown_timeout(ABANDONED);
    match ended {
        Ok(code) if out::all_was_said() => code,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            out::last_words(format!("gatekeeper: {}", told(&error)));
            let is_settings = error.is::<Misconfigured>() || error.chain().any(|cause| cause.is::<SettingsError>());
            if is_settings { ExitCode::from(EXIT_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

/// An error and what caused it, each thing once: many of them tell their cause by themselves.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let settings = &cli.settings;
    match cli.command {
        Command::Demo(args) => demo::run(settings, args).await,
        Command::Serve(args) => serve::run(settings, args).await,
        Command::Publish(args) => over(settings, |parts| publish::run(parts, args)).await,
        Command::Redrive(args) => over(settings, |parts| redrive::run(parts, args)).await,
        Command::Watch(args) => over(settings, |parts| watch::run(parts, args)).await,
        Command::Audit(args) => over(settings, |parts| audit::run(parts, args)).await,
        Command::Explain(args) => over(settings, |parts| explain::run(parts, args)).await,
        Command::CheckConfig(args) => check_config::run(settings, args),
        Command::Train(args) => train::run(settings, args),
        Command::Calibration(args) => over(settings, |parts| calibration::run(parts, args)).await,
        Command::Bench(args) => bench::run(settings, args).await,
        Command::Topics(args) => over(settings, |parts| topics::run(parts, args)).await,
        Command::Ledger(args) => over(settings, |parts| ledger::run(parts, args)).await,
        Command::Schemas(args) => schemas::run(settings, args).await,
        Command::Tenants(args) => over(settings, |parts| tenants::run(parts, args)).await,
        Command::Breaker(args) => over(settings, |parts| breaker::run(parts, args)).await,
        Command::Flags(args) => over(settings, |parts| flags::run(parts, args)).await,
        Command::Trail(args) => over(settings, |parts| trail::run(parts, args)).await,
        Command::Migrate => over(settings, migrate::run).await,
        Command::SimulateProvider(args) => simulator::run(args).await,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    use super::*;
    use crate::http::ServeError;

    #[test]
    fn a_cause_is_told_once() {
        let source = io::Error::other("no such file");
        let unreadable = SettingsError::Unreadable { path: "a.toml".into(), source };
        let error = Err::<(), _>(unreadable).context("it cannot start").expect_err("it is one");
        assert_eq!(told(&error), "it cannot start: cannot read the settings in a.toml: no such file");
        let address = "127.0.0.1:9464".parse().expect("an address");
        let taken = ServeError::Bind { address, source: io::Error::from_raw_os_error(98) };
        let said = told(&taken.into());
        assert!(said.matches("os error 98").count() == 1 && said.contains("another processor"), "{said}");
    }
}
