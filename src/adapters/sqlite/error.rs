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
