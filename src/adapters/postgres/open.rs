//! Opens the ledger: a connection that can be relied upon, then the tables.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::migrate::{Migrate as _, MigrateError, Migration, Migrator};
use sqlx::postgres::PgConnection;

use super::connect::{self, Refused};
use super::pool::Pool;
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::settings::ledger::Ledger as Settings;

/// Run under an advisory lock, which the migrator takes: instances that start together wait for each other.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Why the ledger cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The setting does not name a server.
    #[error("ledger.url: expected postgres://USER@HOST/DATABASE")]
    Url,
    /// There is no connection that can be relied upon.
    #[error("the ledger's server cannot be used: {0}")]
    Server(Arc<sqlx::Error>),
    /// What is saved would not survive power loss.
    #[error("the ledger is not durable: {setting} is off on its server; answers that were paid for would be lost")]
    NotDurable {
        /// The setting of the server.
        setting: &'static str,
    },
    /// What people write would not fit.
    #[error(
        "the ledger's database is encoded in {encoding}: it cannot hold every character of a ticket; create it with UTF8"
    )]
    Encoding {
        /// As the server names it.
        encoding: String,
    },
    /// A standby.
    #[error("the ledger's server is read-only: it is a standby (in recovery), or default_transaction_read_only is on")]
    ReadOnly,
    /// A migration that was applied is not the one in this build.
    #[error("the ledger was created by another text of migration {version}: released migrations are never edited")]
    MigrationEdited {
        /// Its number.
        version: i64,
    },
    /// The database knows migrations that this build does not.
    #[error(
        "the ledger was written by a newer build: it has migration {version}, which this build does not know; run that build, \
         or a copy of the ledger from before it"
    )]
    Newer {
        /// Its number.
        version: i64,
    },
    /// Nobody worked with it yet, or it is of an older build.
    #[error("the ledger has {applied} of {known} migrations: run `gatekeeper migrate`")]
    Behind {
        /// How many it has.
        applied: usize,
        /// How many there are.
        known: usize,
    },
    /// A migration failed; those before it are done, this one left nothing behind.
    #[error("the ledger cannot be migrated: {0}")]
    Migration(Arc<MigrateError>),
    /// The instance could not be entered.
    #[error("the ledger cannot be entered: {0}")]
    Enter(Arc<LedgerError>),
}

/// Classes and codes of SQLSTATE that pass while somebody waits: a connection that broke, a server that starts, stops, is
/// full or was told to end us, a lock or a conflict with another instance's migration. Wrong credentials (28) and a
/// database that does not exist (3D) do not.
const PASSING: &[&str] = &["08", "40", "53", "55", "57"];

impl OpenError {
    /// Whether waiting may help: the server is away, or busy with something that passes.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Server(error) => passes(error),
            Self::Migration(error) => match error.as_ref() {
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => passes(error),
                _ => false,
            },
            // After a failover the address leads to the new primary soon.
            Self::ReadOnly => true,
            Self::Enter(error) => error.is_retryable(),
            Self::Url
            | Self::NotDurable { .. }
            | Self::Encoding { .. }
            | Self::MigrationEdited { .. }
            | Self::Newer { .. }
            | Self::Behind { .. } => false,
        }
    }
}

fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(refusal) => {
            refusal.code().is_some_and(|code| PASSING.iter().any(|passing| code.starts_with(passing)))
        }
        _ => false,
    }
}

/// What may be done to the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tables {
    /// They are created and brought up to date: somebody works with them.
    Migrated,
    /// They are as this build wants them, or are refused.
    AsTheyAre,
}

/// Connect, and migrate or see that nothing is to be migrated.
pub(super) async fn open(settings: &Settings, instance: &str, tables: Tables) -> Result<Pool, OpenError> {
    let server = connect::server(settings, instance).ok_or(OpenError::Url)?;
    let patience = settings.postgres.acquire_timeout;
    let options = connect::for_batches(&server, settings);
    let options = if tables == Tables::AsTheyAre { connect::to_look(options) } else { options };
    let first = if tables == Tables::AsTheyAre { options.clone() } else { connect::for_migrations(&server) };
    let mut connection = connect::connect(&first, patience).await.map_err(refused)?;
    match tables {
        // Who may not create tables can work with those that are there.
        Tables::Migrated if compare(&applied(&mut connection).await.map_err(refused)?).is_ok() => {}
        Tables::Migrated => migrate(&mut connection, settings).await.map_err(not_migrated)?,
        Tables::AsTheyAre => compare(&applied(&mut connection).await.map_err(refused)?)?,
    }
    // It would not have been used again; the server notices anyway.
    connection.close().await.ok();
    Ok(Pool::new(options, &settings.postgres))
}

/// What is missing; the texts of what is there are compared.
async fn migrate(connection: &mut PgConnection, settings: &Settings) -> Result<(), MigrateError> {
    // The migrator takes this lock once more, which costs nothing. It goes with the connection.
    connection.lock().await?;
    connect::keep_nobody_waiting(connection, settings).await?;
    MIGRATIONS.run(connection).await
}

/// The migrations that were applied, each with the checksum of its text; a new database has no list of them.
async fn applied(connection: &mut PgConnection) -> Result<HashMap<i64, Vec<u8>>, sqlx::Error> {
    let listed = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    let listed: bool = listed.fetch_one(&mut *connection).await?;
    if !listed {
        return Ok(HashMap::new());
    }
    let applied = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations").fetch_all(connection).await?;
    Ok(applied.into_iter().collect())
}

/// As the migrator compares them, who would write for that, and take a lock: whoever looks may be unable to.
fn compare(applied: &HashMap<i64, Vec<u8>>) -> Result<(), OpenError> {
    if let Some(version) = applied.keys().copied().filter(|version| !MIGRATIONS.version_exists(*version)).min() {
        return Err(OpenError::Newer { version });
    }
    let is_edited = |known: &&Migration| applied.get(&known.version).is_some_and(|sum| **sum != *known.checksum);
    if let Some(Migration { version, .. }) = MIGRATIONS.iter().find(is_edited) {
        return Err(OpenError::MigrationEdited { version: *version });
    }
    let (applied, known) = (applied.len(), MIGRATIONS.iter().count());
    if applied < known { Err(OpenError::Behind { applied, known }) } else { Ok(()) }
}

fn refused(error: sqlx::Error) -> OpenError {
    if let sqlx::Error::Configuration(cause) = &error
        && let Some(cause) = cause.downcast_ref()
    {
        return match cause {
            Refused::NotDurable { setting } => OpenError::NotDurable { setting },
            Refused::Encoding { encoding } => OpenError::Encoding { encoding: encoding.clone() },
            Refused::ReadOnly => OpenError::ReadOnly,
        };
    }
    OpenError::Server(Arc::new(error))
}

fn not_migrated(error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMismatch(version) => OpenError::MigrationEdited { version },
        MigrateError::VersionMissing(version) => OpenError::Newer { version },
        other => OpenError::Migration(Arc::new(other)),
    }
}
