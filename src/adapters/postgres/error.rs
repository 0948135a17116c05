//! What Postgres's refusals mean to the road.

use crate::pipeline::dedupe::ledger::LedgerError;

/// Classes and codes of SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>) that asking again does
/// not mend: a value or a statement that the schema refuses, and broken pages. Everything else passes: deadlocks, lock
/// and statement timeouts, a server that starts, stops, is full, or has become a standby.
const PERMANENT: &[&str] = &["22", "23", "42", "XX001", "XX002"];

/// Sort an error of a statement.
pub(super) fn sorted(error: &sqlx::Error) -> LedgerError {
    let text = error.to_string();
    match error {
        sqlx::Error::Database(refusal) => {
            let is_permanent = |code: &str| PERMANENT.iter().any(|permanent| code.starts_with(permanent));
            if refusal.code().is_some_and(|code| is_permanent(&code)) {
                LedgerError::Damaged(text)
            } else {
                LedgerError::Unavailable(text)
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnIndexOutOfBounds { .. } | sqlx::Error::Decode(_) => {
            LedgerError::Damaged(text)
        }
        _ => LedgerError::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error;
    use std::fmt;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    #[derive(Debug)]
    struct Refusal(&'static str);

    impl fmt::Display for Refusal {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Refusal {}

    impl DatabaseError for Refusal {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn is_retryable(code: &'static str) -> bool {
        sorted(&sqlx::Error::Database(Box::new(Refusal(code)))).is_retryable()
    }

    #[test]
    fn what_passes_is_asked_again_and_what_stays_is_not() {
        let serialization_deadlock_lock_timeout_statement_timeout = ["40001", "40P01", "55P03", "57014"];
        let terminated_starting_full_read_only_connection = ["57P01", "57P03", "53300", "53100", "25006", "08006"];
        for code in serialization_deadlock_lock_timeout_statement_timeout {
            assert!(is_retryable(code), "{code}");
        }
        for code in terminated_starting_full_read_only_connection {
            assert!(is_retryable(code), "{code}");
        }
        for code in ["22021", "23502", "42P01", "42703", "XX001"] {
            assert!(!is_retryable(code), "{code}");
        }
    }

    #[test]
    fn a_lost_connection_is_asked_again_and_an_unreadable_row_is_not() {
        assert!(sorted(&sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())).is_retryable());
        assert!(sorted(&sqlx::Error::Protocol("it ended in the middle".into())).is_retryable());
        assert!(!sorted(&sqlx::Error::Decode("no such answer".into())).is_retryable());
    }
}
