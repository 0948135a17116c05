//! The file: recognising it, creating it, connecting to it.
//!
//! Readers connect read-only and beside everybody else (WAL). Whoever writes connects here too, so that every commit is
//! synced: `synchronous = FULL` is what "committed" means after a power cut.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::error::{Error, Trouble};
use crate::settings::log::EmbeddedLog as Settings;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/embedded_log");

/// As the first migration sets it.
const APPLICATION_ID: i64 = 0x474B_4C47;

/// A log file that is there and was recognised.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    path: PathBuf,
    busy_timeout: Duration,
}

impl LogFile {
    /// The file, created and brought up to date if need be.
    pub(super) async fn prepare(settings: &Settings) -> Result<Self, Error> {
        let file = Self::named(settings)?;
        if let Some(folder) = file.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| Error::Folder { path: folder.into(), source })?;
        }
        // Tickets stand in it, for nobody else to read; SQLite's other files take after it, and why it cannot be made SQLite says.
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file.path).ok();
        let mut connection = file.connect(file.options().create_if_missing(true)).await?;
        let prepared = file.bring_up_to_date(&mut connection).await;
        close(connection).await;
        prepared.map(|()| file)
    }

    /// The file as it is; it must be there and have this build's layout.
    pub(super) async fn existing(settings: &Settings) -> Result<Self, Error> {
        let file = Self::named(settings)?;
        // A folder that nobody may look into says nothing of what is in it: SQLite is asked then.
        if !file.path.try_exists().unwrap_or(true) {
            return Err(Error::Missing { path: file.path });
        }
        let mut connection = file.reader().await?;
        let checked = file.check(&mut connection).await;
        close(connection).await;
        checked.map(|()| file)
    }

    /// Whether the file that was opened is not the one at the path any more.
    pub(super) fn was_replaced(&self, opened: Option<Identity>) -> bool {
        matches!((opened, self.identity()), (Some(opened), Some(now)) if opened != now)
    }

    /// Which file stands at the path now. What the system does not want to say is none: SQLite's own words come soon enough.
    pub(super) fn identity(&self) -> Option<Identity> {
        match std::fs::metadata(&self.path) {
            Ok(about) => Some(Identity::Is { device: about.dev(), inode: about.ino() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Identity::Gone),
            Err(_) => None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn reader(&self) -> Result<SqliteConnection, Error> {
        self.connect(self.reading()).await
    }

    pub(super) async fn writer(&self) -> Result<SqliteConnection, Error> {
        self.connect(self.options()).await
    }

    /// How readers connect.
    pub(super) fn reading(&self) -> SqliteConnectOptions {
        self.options().read_only(true)
    }

    fn named(settings: &Settings) -> Result<Self, Error> {
        let path = settings.path.clone();
        // SQLite keeps the first two in memory, and takes the third for a URI.
        let named =
            path.to_str().is_some_and(|path| !path.is_empty() && path != ":memory:" && !path.starts_with("file:"));
        if !named {
            return Err(Error::NotAFile { path });
        }
        Ok(Self { path, busy_timeout: settings.busy_timeout })
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(self.busy_timeout)
            .synchronous(SqliteSynchronous::Full)
    }

    async fn bring_up_to_date(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        // Before the first write: somebody else's database stays as it is.
        self.recognise(connection).await?;
        sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *connection).await?;
        // One transaction around all of it: two processes that start at once do not migrate twice.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        MIGRATIONS.run_direct(None, &mut *transaction, false).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => error.into(),
            error => Error::Migration(Box::new(error)),
        })?;
        Ok(transaction.commit().await?)
    }

    async fn check(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let expected = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        let found = match self.recognise(connection).await? {
            Found::Empty => 0,
            Found::Log => {
                sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
                    .fetch_one(connection)
                    .await?
            }
        };
        if found != expected {
            return Err(Error::Layout { path: self.path.clone(), found, expected });
        }
        Ok(())
    }

    async fn recognise(&self, connection: &mut SqliteConnection) -> Result<Found, Error> {
        let id = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection);
        let id: i64 = id.await.map_err(|error| self.explain(error))?;
        let objects: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(connection).await?;
        match (id, objects) {
            (APPLICATION_ID, _) => Ok(Found::Log),
            (0, 0) => Ok(Found::Empty),
            _ => Err(Error::NotALog { path: self.path.clone(), found: "a database of something else" }),
        }
    }

    async fn connect(&self, options: SqliteConnectOptions) -> Result<SqliteConnection, Error> {
        options.connect().await.map_err(|error| self.explain(error))
    }

    /// An error of the first words with a file, which may be any file.
    fn explain(&self, error: sqlx::Error) -> Error {
        match error.into() {
            Error::Storage { trouble: Trouble::NotADatabase, .. } => {
                Error::NotALog { path: self.path.clone(), found: "not a database" }
            }
            Error::Storage { trouble: Trouble::CannotOpen, source } => {
                Error::CannotOpen { path: self.path.clone(), source }
            }
            error => error,
        }
    }
}

/// Which file stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Gone,
    Is { device: u64, inode: u64 },
}

enum Found {
    Empty,
    Log,
}

/// Close for sure, which rolls back what was begun; nothing can be done about an error here, the handle is gone.
pub(super) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a connection to the log did not close cleanly");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::{LoadOptions, load};

    #[tokio::test]
    async fn a_log_that_cannot_be_opened_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("state"), "a file, where a folder should be").expect("written");
        let path = folder.path().join("state/log.db");
        let sets = vec![format!("log.embedded.path={}", path.display())];
        let settings = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("settings of a test").settings;
        let error = LogFile::existing(&settings.log.embedded).await.expect_err("there is no such folder");
        assert!(matches!(error, Error::CannotOpen { .. }) && error.is_retryable(), "{error}");
        let said = error.to_string();
        assert!(said.contains(&path.display().to_string()) && said.contains("check the rights"), "{said}");
    }
}
