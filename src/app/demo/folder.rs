//! Where everything of the demo lives: log, ledger, the provider's call ledger, settings and tenants.

use std::cell::Cell;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::script::TENANTS;
use crate::app::out::complain;

/// How long a decision waits for its model in the demo: so short that an outage shows.
const DECIDE_BY: &str = "3s";

/// The folder. Removed at the end, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    keep: Cell<bool>,
}

impl Folder {
    /// `wanted`, which must be empty or missing, or a temporary one.
    pub fn new(wanted: Option<&Path>) -> anyhow::Result<Self> {
        let root = match wanted {
            Some(wanted) => std::path::absolute(wanted)?,
            None => std::env::temp_dir().join(format!("gatekeeper-demo-{}", uuid::Uuid::new_v4().simple())),
        };
        anyhow::ensure!(is_free(&root)?, "{} is not empty: name another folder", root.display());
        fs::create_dir_all(root.join("tenants")).with_context(|| format!("cannot create {}", root.display()))?;
        let folder = Self { root, keep: Cell::new(wanted.is_some()) };
        fs::write(folder.config(), folder.settings())?;
        for (id, text) in TENANTS {
            let text = format!("# For the demo.\ndecide_by = \"{DECIDE_BY}\"\n\n{text}");
            fs::write(folder.root.join("tenants").join(format!("{id}.toml")), text)?;
        }
        Ok(folder)
    }

    fn settings(&self) -> String {
        let path = |name: &str| toml::Value::String(self.root.join(name).display().to_string());
        let ledger = toml::Value::String(format!("sqlite:{}", self.root.join("ledger.db").display()));
        format!(
            "# The settings of this demo: `gatekeeper --config <this file> watch`, `explain`, `audit` look into its log.\n\
             instance = \"gatekeeper-demo\"\n\n\
             [log.embedded]\npath = {}\n\n\
             [ledger]\nurl = {ledger}\n\n\
             [tenants]\ndirectory = {}\nunknown = \"reject\"\n\n\
             # A minute in real life.\n[triage.breaker]\nopen_for = \"5s\"\n\n\
             [http]\nenabled = false\n\n\
             [telemetry]\nlog_format = \"json\"\n",
            path("log.db"),
            path("tenants"),
        )
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn config(&self) -> PathBuf {
        self.root.join("gatekeeper.toml")
    }

    /// The provider's own ledger.
    pub fn calls(&self) -> PathBuf {
        self.root.join("calls.jsonl")
    }

    /// Leave it where it is.
    pub fn keep(&self) {
        self.keep.set(true);
    }

    pub fn is_kept(&self) -> bool {
        self.keep.get()
    }
}

/// Whether nothing of anybody's is there.
fn is_free(root: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(root) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot look into {}", root.display())),
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep.get()
            && let Err(error) = fs::remove_dir_all(&self.root)
        {
            complain!("gatekeeper: {} stays behind: {error}", self.root.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("tenants")).expect("an empty folder");
        let theirs = folder.path().join("tenants/acme.toml");
        fs::write(&theirs, "theirs").expect("an empty folder");
        let said = Folder::new(Some(folder.path())).expect_err("it is in use").to_string();
        assert!(said.contains("is not empty"), "{said}");
        assert_eq!(fs::read_to_string(&theirs).expect("it is there"), "theirs");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing was put there");

        fs::remove_dir_all(folder.path().join("tenants")).expect("it is there");
        let demo = Folder::new(Some(folder.path())).expect("empty");
        assert!(demo.config().exists());
        assert!(Folder::new(Some(&folder.path().join("missing"))).is_ok());
    }
}
