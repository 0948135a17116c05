//! What SQLite's refusals mean to the road.

use std::time::Duration;

use crate::pipeline::dedupe::ledger::LedgerError;

/// Primary result codes (<https://www.sqlite.org/rescode.html>) that asking again does not mend: a file that is broken or
/// not a database, and a statement or value that the schema refuses.
const PERMANENT: &[u32] = &[1, 11, 19, 20, 25, 26];

/// Sort an error; `waited` is the deadline for a connection.
pub(super) fn sorted(error: &sqlx::Error, waited: Duration) -> LedgerError {
    match error {
        sqlx::Error::PoolTimedOut => LedgerError::PoolExhausted { waited },
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().and_then(|code| code.parse::<u32>().ok());
            // The low byte of an extended code is the primary one.
            match code.map(|code| code & 0xff) {
                Some(code) if PERMANENT.contains(&code) => LedgerError::Damaged(error.to_string()),
                _ => LedgerError::Unavailable(error.to_string()),
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnIndexOutOfBounds { .. } | sqlx::Error::Decode(_) => {
            LedgerError::Damaged(error.to_string())
        }
        _ => LedgerError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;

    fn is_retryable(error: &sqlx::Error) -> bool {
        sorted(error, Duration::from_secs(1)).is_retryable()
    }

    #[tokio::test]
    async fn a_locked_file_is_asked_again_and_a_refused_value_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = SqliteConnectOptions::new().filename(folder.path().join("a.db")).create_if_missing(true);
        let options = options.busy_timeout(Duration::ZERO);
        let mut holder = options.connect().await.expect("a new file");
        sqlx::query("CREATE TABLE t (n INTEGER NOT NULL) STRICT").execute(&mut holder).await.expect("a new table");
        let mut other = options.connect().await.expect("the same file");

        let mistyped = sqlx::query("INSERT INTO t VALUES ('text')").execute(&mut other).await;
        assert!(!is_retryable(&mistyped.expect_err("the column is a number")));
        let unknown = sqlx::query("INSERT INTO nowhere VALUES (1)").execute(&mut other).await;
        assert!(!is_retryable(&unknown.expect_err("there is no such table")));
        let undecodable = sqlx::query_scalar::<_, i64>("SELECT 'text'").fetch_one(&mut other).await;
        assert!(!is_retryable(&undecodable.expect_err("a text is no number")));

        let _held = holder.begin_with("BEGIN IMMEDIATE").await.expect("nobody writes");
        let locked = other.begin_with("BEGIN IMMEDIATE").await;
        assert!(is_retryable(&locked.map(|_| ()).expect_err("it is locked")));
    }

    #[test]
    fn no_free_connection_is_told_with_its_deadline() {
        let error = sorted(&sqlx::Error::PoolTimedOut, Duration::from_secs(3));
        assert!(matches!(error, LedgerError::PoolExhausted { waited } if waited == Duration::from_secs(3)));
        assert!(error.is_retryable());
    }
}
