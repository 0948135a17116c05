//! Flags of the commands that change what processors do while they run.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

/// Flags of `tenants`.
#[derive(Debug, Clone, Args)]
pub struct TenantsArgs {
    /// What to do; without it: list.
    #[command(subcommand)]
    pub command: Option<TenantsCommand>,
    /// A table or JSON.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Output,
}

/// What to do with tenants.
#[derive(Debug, Clone, Subcommand)]
pub enum TenantsCommand {
    /// Every tenant that has a policy of its own: where it stands, its version and limits.
    List,
    /// A tenant's policy, as it was given.
    Show {
        /// The tenant.
        id: String,
        /// As it was set at this revision, instead of as it is in force.
        #[arg(long)]
        revision: Option<u64>,
    },
    /// Name every mistake in a policy, or what it would change; exit code 78 if there is a mistake.
    Check {
        /// A TOML file with one tenant.
        file: PathBuf,
    },
    /// Put a policy into the database, where it wins over the file of the same tenant.
    Set {
        /// A TOML file with one tenant.
        file: PathBuf,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
    /// Take a tenant's policy out of the database: its file counts again, if there is one.
    Remove {
        /// The tenant.
        id: String,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
    /// Every policy that a tenant had in the database, newest first.
    History {
        /// The tenant.
        id: String,
    },
}

/// Who changes something, and why.
#[derive(Debug, Clone, Args)]
pub struct ByArgs {
    /// Why, for whoever reads the trail.
    #[arg(long)]
    pub note: Option<String>,
    /// Who, if not the user who runs this.
    #[arg(long, env = "GATEKEEPER_ACTOR")]
    pub actor: Option<String>,
}

/// Flags of `breaker`.
#[derive(Debug, Clone, Args)]
pub struct BreakerArgs {
    /// What to do; without it: list.
    #[command(subcommand)]
    pub command: Option<BreakerCommand>,
    /// A table or JSON.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Output,
}

/// What to do with breakers.
#[derive(Debug, Clone, Subcommand)]
pub enum BreakerCommand {
    /// How the breakers of every instance are, and since when.
    List,
    /// Nobody asks this model, in any instance; the chain goes on without it.
    Open {
        /// Its name in the settings.
        model: String,
        /// For how long, such as 10m; then it has to prove itself. Without: until it is reset.
        #[arg(long = "for", value_name = "DURATION")]
        lasts: Option<humantime_serde::re::humantime::Duration>,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
    /// Close this model's breaker in every instance, whatever it is: open, forced open or stopped.
    #[command(visible_aliases = ["close", "release"])]
    Reset {
        /// Its name in the settings.
        model: String,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
}

/// Flags of `redrive`.
#[derive(Debug, Clone, Args)]
pub struct RedriveArgs {
    /// With this reason code; may repeat.
    #[arg(long = "reason", value_name = "CODE")]
    pub reasons: Vec<String>,
    /// The dead letter of this id (topic-partition-offset of its first failure); may repeat.
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<String>,
    /// Of this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Of this ticket.
    #[arg(long)]
    pub ticket: Option<String>,
    /// That failed last within this time (2h, 7d), or since this one (2026-11-30T08:00:00Z).
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// That failed last before this.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Of those that are ready the first so many.
    #[arg(long)]
    pub limit: Option<u64>,
    /// None that was sent again so often already: it would be a loop.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_redrives: u32,
    /// Also those of which neither ledger nor feedback knows any more whether they were decided since: they would be decided
    /// twice.
    #[arg(long)]
    pub forgotten: bool,
    /// Each dead letter, instead of how many; with JSON whole, as JSON lines.
    #[arg(long, conflicts_with = "send")]
    pub list: bool,
    /// Send them again. Without it nothing is changed.
    #[arg(long)]
    pub send: bool,
    /// At most this many a second.
    #[arg(long, default_value_t = 100.0)]
    pub rate: f64,
    /// Who and why.
    #[command(flatten)]
    pub by: ByArgs,
    /// A table or JSON.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Flags of `flags`.
#[derive(Debug, Clone, Args)]
pub struct FlagsArgs {
    /// What to do; without it: list.
    #[command(subcommand)]
    pub command: Option<FlagsCommand>,
    /// A table or JSON.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Output,
}

/// What to do with flags.
#[derive(Debug, Clone, Subcommand)]
pub enum FlagsCommand {
    /// Every flag: for whom it is on, and where that stands.
    List,
    /// One flag, how its rule came about, and what it is for a ticket.
    Show {
        /// Its name.
        flag: String,
        /// For this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// For this ticket.
        #[arg(long, requires = "tenant")]
        ticket: Option<String>,
    },
    /// Put a rule into the database, where it wins over the same one in the settings.
    Set {
        /// Its name.
        flag: String,
        /// `on`, `off`, or a percentage of tickets such as 25%.
        share: String,
        /// For this tenant only.
        #[arg(long)]
        tenant: Option<String>,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
    /// Take a rule out of the database: the one in the settings counts again, if there is one.
    Remove {
        /// Its name.
        flag: String,
        /// The rule for this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
}

/// Flags of `trail`.
#[derive(Debug, Clone, Args)]
pub struct TrailArgs {
    /// Only changes of this tenant, model or flag (a flag's rule for a tenant is FLAG/TENANT).
    #[arg(long)]
    pub subject: Option<String>,
    /// The newest so many.
    #[arg(long, default_value_t = 100)]
    pub limit: u32,
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}
