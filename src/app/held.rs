//! What a command holds open in files, and lets go of when it ends.
//!
//! SQLite folds a write-ahead log back when the last connection to its file closes. A process that merely ends leaves it
//! beside the file, which is then no whole copy by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::adapters::embedded_log::EmbeddedBrowser;
use crate::adapters::sqlite::SqliteLedger;

/// What is not closed by then stays as a crash would leave it, which loses nothing: an end must not hang.
const LETTING_GO: Duration = Duration::from_secs(2);

enum File {
    Ledger(Arc<SqliteLedger>),
    Log(Arc<EmbeddedBrowser>),
}

/// The files that were opened.
#[derive(Default)]
pub struct Held(Mutex<Vec<File>>);

impl Held {
    /// A ledger was opened.
    pub fn ledger(&self, ledger: &Arc<SqliteLedger>) {
        self.push(File::Ledger(ledger.clone()));
    }

    /// A log was opened, beside whoever processes it.
    pub fn log(&self, log: &Arc<EmbeddedBrowser>) {
        self.push(File::Log(log.clone()));
    }

    fn push(&self, file: File) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    /// Close all of them, whoever else still has a hand on them.
    pub async fn let_go(&self) {
        let files = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let closing = async {
            for file in &files {
                match file {
                    File::Ledger(ledger) => ledger.close().await,
                    File::Log(log) => log.close().await,
                }
            }
        };
        if timeout(LETTING_GO, closing).await.is_err() {
            tracing::warn!(within = ?LETTING_GO, "not every file was closed in time: its write-ahead log stays beside it");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::adapters::embedded_log::Access;
    use crate::app::wiring::Parts;
    use crate::domain::identity::DedupeKey;
    use crate::settings::load::{LoadOptions, load};

    fn parts(folder: &Path) -> Parts {
        let file = |name: &str| folder.join(name).display().to_string();
        let sets =
            vec![format!("ledger.url=sqlite:{}", file("ledger.db")), format!("log.embedded.path={}", file("log.db"))];
        let options = LoadOptions { sets, ..LoadOptions::default() };
        Parts::new(load(&options).expect("settings of a test").settings).expect("the shipped parts")
    }

    fn beside(folder: &Path, name: &str) -> u64 {
        std::fs::metadata(folder.join(format!("{name}-wal"))).map_or(0, |wal| wal.len())
    }

    #[tokio::test]
    async fn what_a_command_has_let_go_of_is_a_whole_file_by_itself() {
        let (folder, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let parts = parts(folder.path());
        let memory = parts.memory(1, true).await.expect("a new ledger");
        let to_look = parts.memory_as_it_is().await.expect("it is there");
        let log = parts.browser(Access::Append).await.expect("a new log");
        // A reader that stays: with it a writer's end folds nothing back.
        assert_eq!(log.topics().await.expect("a new log"), []);
        log.create_topics().await.expect("a new log");
        let topics = log.topics().await.expect("they are there").len();
        assert!(
            beside(folder.path(), "ledger.db") > 0 && beside(folder.path(), "log.db") > 0,
            "else nothing is proved"
        );
        parts.held.let_go().await;
        assert_eq!((beside(folder.path(), "ledger.db"), beside(folder.path(), "log.db")), (0, 0));
        assert!(to_look.ledger.find(DedupeKey([1; 32])).await.is_err(), "it is closed for everybody");
        drop(memory);

        for name in ["ledger.db", "log.db"] {
            std::fs::copy(folder.path().join(name), elsewhere.path().join(name)).expect("copied");
        }
        let parts = self::parts(elsewhere.path());
        let ledger = parts.ledger_to_read().await.expect("the copy is whole");
        assert_eq!(ledger.find(DedupeKey([1; 32])).await.expect("the copy is whole"), None);
        let log = parts.browser(Access::ReadOnly).await.expect("the copy is whole");
        assert_eq!(log.topics().await.expect("the copy is whole").len(), topics);
    }
}
