//! Opens the file: settings of the connection, read back; migrations; the leases of a dead predecessor.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqlitePool};

use crate::failpoints;
use crate::sabotage::{self, Sabotage};
use crate::settings::ledger::Ledger as Settings;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// `find` is rare (operators, and a row that changed under a waiting record), so a few will do.
const READERS: u32 = 2;

/// A finished row is about 2.4 KB, so it stands alone on a page of the default size, 4096. 100,000 events took 275 MB of
/// file instead of 415 MB with this size.
const PAGE_BYTES: u32 = 8192;

/// Pages in the write-ahead log before it is folded back: 16 MiB. The default would fold in every second commit.
const CHECKPOINT_PAGES: &str = "2048";

/// What the embedded log writes into the head of its file.
const APPLICATION_ID_OF_LOG: i64 = 0x474B_4C47;

/// Why the ledger cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The setting does not name a file.
    #[error("ledger.url = {url:?}: expected sqlite:PATH with the path of a file")]
    Url {
        /// As it was set.
        url: String,
    },
    /// Nobody worked with it yet, or it lies elsewhere.
    #[error("there is no ledger at {path:?}: `gatekeeper migrate` creates it, and so does `gatekeeper serve`")]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It is of an older build, or was never finished.
    #[error("the ledger {path:?} has {applied} of {known} migrations: run `gatekeeper migrate`")]
    Behind {
        /// The file.
        path: PathBuf,
        /// How many it has.
        applied: usize,
        /// How many there are.
        known: usize,
    },
    /// Its folder is not there and cannot be made.
    #[error("the ledger's folder {folder:?} cannot be created: {error}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        error: Arc<std::io::Error>,
    },
    /// What is saved would not survive power loss.
    #[error("the ledger is not durable: PRAGMA {pragma} is {found} instead of {wanted}")]
    NotDurable {
        /// The setting of SQLite.
        pragma: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What was read back.
        found: String,
    },
    /// A migration that was applied is not the one in this build.
    #[error("the ledger was created by another text of migration {version}: released migrations are never edited")]
    MigrationEdited {
        /// Its number.
        version: i64,
    },
    /// The file knows migrations that this build does not.
    #[error(
        "the ledger was written by a newer build: it has migration {version}, which this build does not know; run that build, \
         or a copy of the ledger from before it"
    )]
    Newer {
        /// Its number.
        version: i64,
    },
    /// A migration was not finished.
    #[error("the ledger cannot be migrated: {0}")]
    Migration(String),
    /// Somebody gave both the same file.
    #[error("{path:?} is a log (log.embedded.path), not a ledger: give ledger.url a file of its own")]
    IsALog {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be used.
    #[error("the ledger {path:?} cannot be opened: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
}

/// The one writer and the readers.
pub(super) struct Pools {
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    /// The deadline for a connection.
    pub(super) acquire_timeout: Duration,
    pub(super) path: PathBuf,
    /// Which file that was.
    opened: Option<(u64, u64)>,
}

impl Pools {
    /// Whether the file that was opened is not the one at the path any more. What the system does not want to say is none.
    pub(super) fn was_replaced(&self) -> bool {
        match std::fs::metadata(&self.path) {
            Ok(now) => self.opened.is_some_and(|opened| opened != (now.dev(), now.ino())),
            Err(error) => self.opened.is_some() && error.kind() == std::io::ErrorKind::NotFound,
        }
    }
}

/// What may be done to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tables {
    /// It is created and brought up to date: somebody works with it.
    Migrated,
    /// It is there and as this build wants it, or is refused.
    AsTheyAre,
}

/// Open the file at `settings.url`.
pub(super) async fn open(settings: &Settings, tables: Tables) -> Result<Pools, OpenError> {
    let path = path_of(&settings.url)?;
    match tables {
        Tables::Migrated => {
            create_folder_of(&path)?;
            create_private(&path);
        }
        Tables::AsTheyAre => check_there(&path)?,
    }
    let options = options(&path, settings.busy_timeout).create_if_missing(tables == Tables::Migrated);
    // A batch waits for another process's lock at most this long, so a connection is free again soon after.
    let acquire_timeout = settings.busy_timeout + settings.slow_error;
    let writer = pool(1, options.clone(), acquire_timeout).await.map_err(|error| refused(&path, error))?;
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&writer).await.map_err(|error| refused(&path, error))?;
    if application == APPLICATION_ID_OF_LOG {
        return Err(OpenError::IsALog { path });
    }
    if tables == Tables::AsTheyAre {
        check_migrated(&path, &writer).await?;
    }
    // Where none is missing the texts are compared.
    migrate(&writer).await.map_err(|error| not_migrated(&path, error))?;
    let reading = options.pragma("query_only", "ON");
    let readers = pool(READERS, reading, acquire_timeout).await.map_err(|error| refused(&path, error))?;
    let opened = std::fs::metadata(&path).ok().map(|file| (file.dev(), file.ino()));
    Ok(Pools { writer, readers, acquire_timeout, path, opened })
}

fn check_there(path: &Path) -> Result<(), OpenError> {
    if path.try_exists().unwrap_or(true) {
        return Ok(());
    }
    Err(OpenError::Missing { path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) })
}

async fn check_migrated(path: &Path, writer: &SqlitePool) -> Result<(), OpenError> {
    let applied = applied(writer).await.map_err(|error| refused(path, error))?;
    let known = MIGRATIONS.iter().count();
    if applied < known { Err(OpenError::Behind { path: path.to_owned(), applied, known }) } else { Ok(()) }
}

/// One transaction around all of it: a crash leaves the old layout or the new one, and two processes that start at once
/// do not migrate twice. Where nothing is to be done the texts are compared without the write lock: commands that only
/// look do not wait for a processor's.
async fn migrate(writer: &SqlitePool) -> Result<(), MigrateError> {
    let is_migrated = applied(writer).await.is_ok_and(|applied| applied == MIGRATIONS.iter().count());
    let begin = if is_migrated { "BEGIN" } else { "BEGIN IMMEDIATE" };
    let mut transaction = writer.begin_with(begin).await?;
    MIGRATIONS.run_direct(None, &mut *transaction, false).await?;
    failpoints::hit("migration_half_done");
    Ok(transaction.commit().await?)
}

/// How many migrations were applied; a new file has no list of them.
async fn applied(writer: &SqlitePool) -> Result<usize, sqlx::Error> {
    let listed = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'");
    let listed: i64 = listed.fetch_one(writer).await?;
    if listed == 0 {
        return Ok(0);
    }
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(writer).await?;
    Ok(usize::try_from(applied).unwrap_or_default())
}

fn path_of(url: &str) -> Result<PathBuf, OpenError> {
    let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some(path) if !path.is_empty() && path != ":memory:" => Ok(PathBuf::from(path)),
        _ => Err(OpenError::Url { url: url.to_owned() }),
    }
}

fn create_folder_of(path: &Path) -> Result<(), OpenError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)
        .map_err(|error| OpenError::Folder { folder: folder.to_owned(), error: Arc::new(error) })
}

/// A file that is not there yet, for nobody else to read: answers stand in it, with what customers wrote. SQLite's other files
/// take after it, and why it cannot be made SQLite says.
fn create_private(path: &Path) {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).ok();
}

fn options(path: &Path, busy_timeout: Duration) -> SqliteConnectOptions {
    let durable = !sabotage::on(Sabotage::LedgerNotDurable);
    SqliteConnectOptions::new()
        .filename(path)
        .page_size(PAGE_BYTES)
        .busy_timeout(busy_timeout)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(if durable { SqliteSynchronous::Full } else { SqliteSynchronous::Off })
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .disable_statement_logging()
}

/// Connections live as long as the process, and each is refused unless it is durable. The first is made without the
/// pool, which would try again until its deadline and then not say why.
async fn pool(size: u32, options: SqliteConnectOptions, acquire_timeout: Duration) -> Result<SqlitePool, sqlx::Error> {
    let mut first = options.connect().await?;
    check_durable(&mut first).await?;
    first.close().await?;
    SqlitePoolOptions::new()
        .max_connections(size)
        .acquire_timeout(acquire_timeout)
        .max_lifetime(None)
        .idle_timeout(None)
        .test_before_acquire(false)
        .after_connect(|connection, _| -> BoxFuture<'_, Result<(), sqlx::Error>> {
            Box::pin(check_durable(connection))
        })
        .connect_with(options)
        .await
}

async fn check_durable(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
    let journal_mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
    let settings = [("synchronous", "2", synchronous.to_string()), ("journal_mode", "wal", journal_mode)];
    match settings.into_iter().find(|(_, wanted, found)| wanted != found) {
        Some((pragma, wanted, found)) => {
            Err(sqlx::Error::Configuration(Box::new(OpenError::NotDurable { pragma, wanted, found })))
        }
        None => Ok(()),
    }
}

/// What an error means to whoever wants to open the file.
pub(super) fn refused(path: &Path, error: sqlx::Error) -> OpenError {
    let reason = error.to_string();
    match error {
        sqlx::Error::Configuration(error) if error.is::<OpenError>() => {
            *error.downcast().expect("its type was asked a line above")
        }
        _ => OpenError::File { path: path.to_owned(), reason },
    }
}

fn not_migrated(path: &Path, error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMismatch(version) => OpenError::MigrationEdited { version },
        MigrateError::VersionMissing(version) => OpenError::Newer { version },
        MigrateError::Execute(error) => refused(path, error),
        other => OpenError::Migration(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{LoadOptions, load};

    fn settings(path: &Path) -> Settings {
        let defaults = load(&LoadOptions::default()).expect("the defaults are right").settings.ledger;
        let second = Duration::from_secs(1);
        let (url, busy_timeout) = (format!("sqlite:{}", path.display()), Duration::from_millis(10));
        Settings { url, busy_timeout, slow_error: second, ..defaults }
    }

    async fn refusal(settings: &Settings) -> OpenError {
        open(settings, Tables::Migrated).await.err().expect("it is refused")
    }

    #[tokio::test]
    async fn a_file_that_is_up_to_date_is_opened_while_somebody_else_writes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = settings(&folder.path().join("ledger.db"));
        let first = open(&settings, Tables::Migrated).await.expect("a new file");
        let _writing = first.writer.begin_with("BEGIN IMMEDIATE").await.expect("nobody else writes");
        open(&settings, Tables::Migrated).await.expect("nothing is to be written");
    }

    #[tokio::test]
    async fn who_only_looks_makes_no_file_and_no_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("state/ledger.db");
        let error = open(&settings(&path), Tables::AsTheyAre).await.err().expect("there is nothing to look at");
        assert!(matches!(&error, OpenError::Missing { path: missing } if *missing == path), "{error}");
        assert!(error.to_string().contains("gatekeeper migrate"), "{error}");
        assert!(!folder.path().join("state").exists());
    }

    #[tokio::test]
    async fn who_only_looks_migrates_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = settings(&folder.path().join("ledger.db"));
        let pools = open(&settings, Tables::Migrated).await.expect("a new file");
        let pools_to_look = open(&settings, Tables::AsTheyAre).await.expect("it is up to date");
        pools_to_look.writer.close().await;
        let behind = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
        sqlx::query(behind).execute(&pools.writer).await.expect("the table is there");
        let error = open(&settings, Tables::AsTheyAre).await.err().expect("it is refused");
        let known = MIGRATIONS.iter().count();
        assert!(matches!(error, OpenError::Behind { applied, .. } if applied + 1 == known), "{error}");
        assert!(error.to_string().contains("gatekeeper migrate"), "{error}");
        assert_eq!(applied(&pools.writer).await.expect("it is readable"), known - 1);
        std::fs::write(folder.path().join("empty.db"), "").expect("written");
        let empty = Settings { url: format!("sqlite:{}", folder.path().join("empty.db").display()), ..settings };
        let error = open(&empty, Tables::AsTheyAre).await.err().expect("it is refused");
        assert!(matches!(error, OpenError::Behind { applied: 0, .. }), "{error}");
    }

    #[tokio::test]
    async fn an_edited_migration_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = settings(&folder.path().join("ledger.db"));
        let pools = open(&settings, Tables::Migrated).await.expect("a new file");
        let edit = "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1";
        sqlx::query(edit).execute(&pools.writer).await.expect("the table is there");
        assert!(matches!(refusal(&settings).await, OpenError::MigrationEdited { version: 1 }));
    }

    #[tokio::test]
    async fn a_file_of_a_newer_build_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = settings(&folder.path().join("ledger.db"));
        let pools = open(&settings, Tables::Migrated).await.expect("a new file");
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (999, 'from the future', 1, x'00', 0)";
        sqlx::query(newer).execute(&pools.writer).await.expect("the table is there");
        assert!(matches!(refusal(&settings).await, OpenError::Newer { version: 999 }));
        assert!(matches!(open(&settings, Tables::AsTheyAre).await.err(), Some(OpenError::Newer { version: 999 })));
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused_with_its_path() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ledger.db");
        std::fs::write(&path, "a letter to the ledger, long enough to be taken for a header".repeat(9))
            .expect("written");
        let error = refusal(&settings(&path)).await;
        assert!(matches!(error, OpenError::File { .. }), "{error}");
        assert!(error.to_string().contains("ledger.db"));
    }

    #[tokio::test]
    async fn a_log_is_not_taken_for_a_ledger() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.db");
        let mut log = options(&path, Duration::ZERO).create_if_missing(true).connect().await.expect("a new file");
        let layout = include_str!("../../../migrations/embedded_log/0001_log.sql");
        sqlx::raw_sql(layout).execute(&mut log).await.expect("the layout of a log");
        log.close().await.expect("nobody else has it");
        for tables in [Tables::Migrated, Tables::AsTheyAre] {
            let error = open(&settings(&path), tables).await.err().expect("it is refused").to_string();
            assert!(error.contains("log.db") && error.contains("is a log"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("state"), "a file").expect("written");
        let error = refusal(&settings(&folder.path().join("state/deeper/ledger.db"))).await;
        assert!(matches!(&error, OpenError::Folder { folder, .. } if folder.ends_with("state/deeper")), "{error}");
    }

    #[tokio::test]
    async fn a_connection_that_would_lose_answers_with_the_power_is_refused() {
        const PATIENCE: Duration = Duration::from_secs(5);
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A refused connection closes in its own time and holds its file until then: each case has one of its own.
        let path = |name: &str| folder.path().join(name);
        for (synchronous, path) in
            [(SqliteSynchronous::Off, path("off.db")), (SqliteSynchronous::Normal, path("normal.db"))]
        {
            let weak = options(&path, PATIENCE).create_if_missing(true).synchronous(synchronous);
            let error = refused(&path, pool(1, weak, Duration::from_secs(1)).await.expect_err("it is refused"));
            assert!(matches!(error, OpenError::NotDurable { pragma: "synchronous", .. }), "{error}");
        }
        let path = path("memory.db");
        let rollback = options(&path, PATIENCE).create_if_missing(true).journal_mode(SqliteJournalMode::Memory);
        let error = refused(&path, pool(1, rollback, Duration::from_secs(1)).await.expect_err("it is refused"));
        assert!(matches!(error, OpenError::NotDurable { pragma: "journal_mode", .. }), "{error}");
    }

    #[cfg(feature = "sabotage")]
    #[tokio::test]
    async fn the_sabotage_of_durability_is_caught_at_start() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        sabotage::choose(Some(Sabotage::LedgerNotDurable));
        let error = refusal(&settings(&folder.path().join("ledger.db"))).await;
        sabotage::choose(None);
        assert!(matches!(error, OpenError::NotDurable { pragma: "synchronous", wanted: "2", .. }), "{error}");
    }

    #[test]
    fn a_url_names_a_file_with_or_without_slashes() {
        for (url, path) in [
            ("sqlite:state/ledger.db", "state/ledger.db"),
            ("sqlite://state/ledger.db", "state/ledger.db"),
            ("sqlite:/var/lib/gk/ledger.db", "/var/lib/gk/ledger.db"),
            ("sqlite:///var/lib/gk/ledger.db", "/var/lib/gk/ledger.db"),
        ] {
            assert_eq!(path_of(url).expect("a file"), Path::new(path));
        }
    }

    #[test]
    fn a_url_without_a_file_is_refused_with_its_text() {
        for url in ["", "sqlite:", "sqlite://", "sqlite::memory:", "postgres://localhost/gk", "ledger.db"] {
            let error = path_of(url).expect_err("no file is named");
            assert!(error.to_string().contains(&format!("{url:?}")), "{error}");
        }
    }
}
