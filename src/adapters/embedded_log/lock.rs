//! One processor a time: a lock on a file beside the log, which the system releases when the process ends.
//!
//! Not SQLite's own locks: those are held for milliseconds, and readers and `publish` work beside a processor.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::error::Error;

/// Held for as long as it lives.
#[derive(Debug)]
pub(super) struct ProcessorLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl ProcessorLock {
    /// Take `<log>.lock`, or say who is in the way. The file stays: removing it would let two hold "the" lock.
    pub(super) fn take(log: &Path) -> Result<Self, Error> {
        let mut path = log.as_os_str().to_owned();
        path.push(".lock");
        let path = std::path::PathBuf::from(path);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| Error::Folder { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::SecondProcessor { lock: path }),
            Err(TryLockError::Error(source)) => Err(Error::Folder { path, source }),
        }
    }
}
