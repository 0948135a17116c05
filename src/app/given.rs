//! Settings as the command line and the environment give them.

use std::fmt;

use anyhow::Context as _;

use crate::cli::SettingsArgs;
use crate::settings::environment::environment;
use crate::settings::layers::KeyPath;
use crate::settings::load::{LoadOptions, Loaded, load};
use crate::settings::problem::{Problem, SettingsError};
use crate::telemetry::logging::{self, LoggingError};

/// All layers of settings, as the command line and the environment give them.
pub fn settings(args: &SettingsArgs) -> anyhow::Result<Loaded> {
    let options = LoadOptions {
        profile: args.profile.clone(),
        file: args.config.clone(),
        environment: environment(std::env::vars_os())?,
        sets: args.sets.clone(),
    };
    let loaded = load(&options)?;
    match logging::check(&loaded.settings.telemetry) {
        Err(LoggingError::Filter { filter, source }) => Err(bad_filter(&loaded, &filter, &source).into()),
        checked => checked.map(|()| loaded).context(Misconfigured),
    }
}

/// What a filter may say only the logs know; it is told as every other value is, with its layer.
fn bad_filter(loaded: &Loaded, filter: &str, why: &dyn fmt::Display) -> SettingsError {
    let key = "telemetry.log_filter";
    let layer = loaded.effective.iter().find(|value| value.key == key).map(|value| value.layer.clone());
    let (key, value) = (KeyPath::dotted(key), Some(format!("{filter:?}")));
    SettingsError::Invalid(vec![Problem { key, value, layer, message: why.to_string(), hint: None }])
}

/// Said of a failure that only other settings, or other files that they name, can mend.
#[derive(Debug, Clone, Copy)]
pub struct Misconfigured;

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings cannot be followed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_logs_that_cannot_be_read_names_its_layer() {
        let sets = vec!["telemetry.log_filter=gatekeeper=loud".to_owned()];
        let error = settings(&SettingsArgs { sets, ..SettingsArgs::default() }).expect_err("no such level");
        let said = error.to_string();
        assert!(said.starts_with("`telemetry.log_filter` = \"gatekeeper=loud\" from flag --set: "), "{said}");
        assert!(error.is::<SettingsError>(), "it ends with the exit code of settings");
    }
}
