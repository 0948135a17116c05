//! How many files the system lets this process have open: each call in flight is a connection.
//!
//! A process that runs out of them cannot connect, and would hold that against the provider. So the soft limit, which many
//! systems set at 1,024, is raised to the hard one, and a hard one that is too low ends the start instead of the calls.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::settings::Settings;
use crate::settings::models::Model;

/// Connections to the log and the database, files, and requests for metrics and health: more than they ever are.
const OTHERS: u64 = 256;

/// Take what the system allows. Where it does not let us, what there is has to do.
pub fn raise() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok();
    }
}

/// The calls that may be in flight have the connections that they need.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "pipeline.max_in_flight = {in_flight} needs {wanted} open files, and the system allows {allowed} (`ulimit -n`, \
     LimitNOFILE= of systemd): allow more, or set pipeline.max_in_flight to {fitting}"
)]
pub struct TooFew {
    in_flight: u64,
    wanted: u64,
    allowed: u64,
    fitting: u64,
}

/// # Errors
/// They have not.
pub fn enough_for(settings: &Settings) -> Result<(), TooFew> {
    // What cannot be asked about is not refused.
    let allowed = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    enough(settings, allowed)
}

fn enough(settings: &Settings, allowed: u64) -> Result<(), TooFew> {
    let is_remote =
        |name: &String| matches!(settings.models.get(name), Some(Model::Openai(model)) if model.api_key.is_some());
    if !settings.triage.chain.iter().any(is_remote) {
        return Ok(());
    }
    let in_flight = settings.pipeline.max_in_flight as u64;
    let wanted = in_flight.saturating_add(OTHERS);
    if wanted <= allowed {
        return Ok(());
    }
    Err(TooFew { in_flight, wanted, allowed, fitting: allowed.saturating_sub(OTHERS).max(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{LoadOptions, load};

    #[test]
    fn each_remote_call_needs_a_connection_and_local_ones_need_none() {
        let with = |sets: &[&str]| {
            let sets = sets.iter().map(|set| (*set).to_owned()).collect();
            load(&LoadOptions { sets, ..LoadOptions::default() }).expect("settings").settings
        };
        let remote = with(&["models.openai.api_key=sk-simulated-0f6b1c", "pipeline.max_in_flight=1000"]);
        assert_eq!(enough(&remote, 1_256), Ok(()));
        let why = enough(&remote, 1_024).expect_err("too few");
        assert_eq!(why, TooFew { in_flight: 1_000, wanted: 1_256, allowed: 1_024, fitting: 768 });
        assert!(why.to_string().contains("pipeline.max_in_flight to 768"), "{why}");
        assert_eq!(enough(&with(&["pipeline.max_in_flight=1000"]), 10), Ok(()), "openai has no key");
    }
}
