//! How a connection is made, and what is asked of it before anything is written through it.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};

use super::statements;
use crate::sabotage::{self, Sabotage};
use crate::settings::ledger::Ledger as Settings;
use crate::settings::ledger_url::{Place, Tls, place};

/// How long a migration waits for another instance's migration.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);

/// A migration waits for a lock on a table no longer than this. While it waits, whatever else wants the table queues behind it:
/// instances that work, and give up after their own `lock_timeout`. Better it is tried again.
const TABLE_LOCK_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The server asks a silent client whether it is alive after so many seconds, then every so many, so many times: the locks
/// of a machine that lost its power are free within a minute.
const KEEPALIVE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "20"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")];

/// Every statement of the ledger takes a set of rows by an index, so it is planned once and for good: planning each one anew
/// costs the server a fifth of its time, and compiling one more than running it. Left to choose, the server would keep a plan
/// that it made while a table was small, and read all of it when it is large.
const PLANS: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// Whatever the database's default: each statement must see what others committed before it, also one that is a transaction
/// by itself.
const ISOLATION: [(&str, &str); 1] = [("default_transaction_isolation", "read committed")];

/// Says to [`check`], on the connection itself, that nothing need be written through it.
const ONLY_LOOKS: &str = "gatekeeper.only_looks";

/// Why a connection is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// What is saved would not survive power loss.
    #[error("it is not durable: {setting} is off on this connection")]
    NotDurable {
        /// The setting of the server.
        setting: &'static str,
    },
    /// A character outside of it would be refused again and again.
    #[error("its database is encoded in {encoding}, not in UTF8")]
    Encoding {
        /// As the server names it.
        encoding: String,
    },
    /// A standby: after a failover the address should lead to the new primary soon.
    #[error("it is read-only: this server is a standby (in recovery) or default_transaction_read_only is on")]
    ReadOnly,
}

/// Where the server is and who we are; `None`: the URL does not say.
pub(super) fn server(settings: &Settings, instance: &str) -> Option<PgConnectOptions> {
    let Ok(Place::Server(tls)) = place(&settings.url) else { return None };
    let mut options = PgConnectOptions::from_str(&settings.url).ok()?;
    if tls == Tls::Verified {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    if let Some(password) = &settings.postgres.password {
        options = options.password(password.expose());
    }
    if sabotage::on(Sabotage::LedgerNotDurable) {
        options = options.options([("synchronous_commit", "off")]);
    }
    Some(options.application_name(&format!("gatekeeper {instance}")).options(KEEPALIVE).disable_statement_logging())
}

/// For batches: whatever hangs is ended by the server.
pub(super) fn for_batches(server: &PgConnectOptions, settings: &Settings) -> PgConnectOptions {
    let postgres = &settings.postgres;
    let limits = [
        ("statement_timeout", millis(postgres.statement_timeout)),
        ("lock_timeout", millis(postgres.lock_timeout)),
        ("idle_in_transaction_session_timeout", millis(postgres.idle_in_transaction_timeout)),
    ];
    server.clone().options(limits).options(PLANS).options(ISOLATION)
}

/// For migrations, which may take long, and wait for their turn.
pub(super) fn for_migrations(server: &PgConnectOptions) -> PgConnectOptions {
    server.clone().options([("statement_timeout", "0".to_owned()), ("lock_timeout", millis(TURN_TIMEOUT))])
}

/// It is this one's turn: from here on nobody waits for long behind it.
pub(super) async fn keep_nobody_waiting(connection: &mut PgConnection, settings: &Settings) -> Result<(), sqlx::Error> {
    let lasts = TABLE_LOCK_TIMEOUT.min(settings.postgres.lock_timeout / 3);
    sqlx::query("SELECT set_config('lock_timeout', $1, false)").bind(millis(lasts)).execute(connection).await.map(drop)
}

/// For whoever only looks: a server that cannot be written to will do.
pub(super) fn to_look(options: PgConnectOptions) -> PgConnectOptions {
    options.options([(ONLY_LOOKS, "on")])
}

fn millis(duration: Duration) -> String {
    // 0 would switch it off.
    duration.as_millis().max(1).to_string()
}

/// A connection that passed [`check`], outside the pool, which would try again until its deadline and then not say why.
pub(super) async fn connect(options: &PgConnectOptions, patience: Duration) -> Result<PgConnection, sqlx::Error> {
    let connecting = async {
        let mut connection = options.connect().await?;
        check(&mut connection).await?;
        Ok(connection)
    };
    tokio::time::timeout(patience, connecting).await.unwrap_or_else(|_| Err(timed_out("no connection", patience)))
}

/// Why it cannot be connected to at this moment.
pub(super) async fn why_not(options: &PgConnectOptions, patience: Duration) -> String {
    match connect(options, patience).await {
        Ok(connection) => {
            // It is there again; the next batch will find it.
            connection.close().await.ok();
            "no connection could be made in time".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

/// Refuse a connection that would lose what is written, or cannot write though it should: read back, whatever was asked for.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let found: (String, String, bool, String, bool, String) =
        sqlx::query_as(statements::SESSION.sql).fetch_one(connection).await?;
    let (synchronous_commit, fsync, in_recovery, read_only, only_looks, encoding) = found;
    let refused = if (in_recovery || read_only != "off") && !only_looks {
        Refused::ReadOnly
    } else if synchronous_commit == "off" {
        Refused::NotDurable { setting: "synchronous_commit" }
    } else if fsync == "off" {
        Refused::NotDurable { setting: "fsync" }
    } else if !matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") {
        Refused::Encoding { encoding }
    } else {
        return Ok(());
    };
    Err(sqlx::Error::Configuration(Box::new(refused)))
}

/// What nobody answered.
pub(super) fn timed_out(what: &str, patience: Duration) -> sqlx::Error {
    let text = format!("{what} within {patience:?}");
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::secret::Secret;
    use crate::settings::{LoadOptions, load};

    fn options(url: &str) -> Option<PgConnectOptions> {
        let mut settings = load(&LoadOptions::default()).expect("the defaults are right").settings.ledger;
        settings.url = url.to_owned();
        settings.postgres.password = Some(Secret::new("not-to-be-shown"));
        server(&settings, "gk-1").map(|server| for_batches(&server, &settings))
    }

    #[test]
    fn a_server_elsewhere_is_verified_where_the_url_is_silent() {
        for (url, verified) in [
            ("postgres://me@db.example/gk", true),
            ("postgres://me@db.example/gk?sslmode=verify-full", true),
            ("postgres://me@db.example/gk?sslmode=require", false),
            ("postgres://me@127.0.0.1/gk?sslmode=disable", false),
        ] {
            let mode = options(url).expect("a server").get_ssl_mode();
            assert_eq!(matches!(mode, PgSslMode::VerifyFull), verified, "{url}: {mode:?}");
        }
        assert!(options("sqlite:ledger.db").is_none());
    }

    #[test]
    fn whatever_may_hang_has_a_limit_on_the_server() {
        let options = options("postgres://me@127.0.0.1/gk").expect("a server");
        let set = options.get_options().expect("some are set");
        for expected in ["statement_timeout=10000", "lock_timeout=5000", "idle_in_transaction_session_timeout=10000"] {
            assert!(set.contains(expected), "{set}");
        }
    }
}
