//! How many files the system lets this process have open: each call in flight is a connection.
//!
//! A process that runs out of them cannot connect, and would hold that against the provider. So the soft limit, which many
//! systems set at 1,024, is raised to the hard one, and a hard one that is too low ends the start instead of the calls.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::settings::Settings;
use crate::settings::models::Model;

/// Connections to the log, files, and requests for metrics and health: more than they ever are.
const OTHERS: u64 = 256;

/// Take what the system allows. Where it does not let us, what there is has to do.
pub fn raise() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok();
    }
}

/// The calls that may be in flight have not the connections that they need.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "pipeline.max_in_flight = {in_flight} with {models} remote models in triage.chain needs {wanted} open files, and the \
     system allows {allowed} (`ulimit -n`, LimitNOFILE= of systemd): allow more, or set pipeline.max_in_flight to {fitting}"
)]
pub struct TooFew {
    in_flight: u64,
    models: u64,
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
        |name: &&String| matches!(settings.models.get(*name), Some(Model::Openai(model)) if model.api_key.is_some());
    // Connections to the first one stay open for a while when the second is asked instead.
    let models = settings.triage.chain.iter().filter(is_remote).count() as u64;
    let in_flight = settings.pipeline.max_in_flight as u64;
    let others = OTHERS + u64::from(settings.ledger.postgres.max_connections);
    let wanted = in_flight.saturating_mul(models).saturating_add(others);
    if models == 0 || wanted <= allowed {
        return Ok(());
    }
    let fitting = (allowed.saturating_sub(others) / models).max(1);
    Err(TooFew { in_flight, models, wanted, allowed, fitting })
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
        assert_eq!(enough(&remote, 1_264), Ok(()), "and the database's");
        let why = enough(&remote, 1_024).expect_err("too few");
        assert_eq!(why, TooFew { in_flight: 1_000, models: 1, wanted: 1_264, allowed: 1_024, fitting: 760 });
        assert!(why.to_string().contains("pipeline.max_in_flight to 760"), "{why}");
        assert_eq!(enough(&with(&["pipeline.max_in_flight=1000"]), 10), Ok(()), "openai has no key");
    }
}
