//! Where everything of the demo lives: log, ledger, the provider's call ledger, settings and tenants.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::script::TENANTS;

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
        fs::create_dir_all(root.join("tenants")).with_context(|| format!("cannot create {}", root.display()))?;
        let folder = Self { root, keep: Cell::new(wanted.is_some()) };
        let config = folder.config();
        anyhow::ensure!(!config.exists(), "{} holds an earlier demo: name another folder", folder.root.display());
        fs::write(&config, folder.settings())?;
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

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep.get()
            && let Err(error) = fs::remove_dir_all(&self.root)
        {
            eprintln!("gatekeeper: {} stays behind: {error}", self.root.display());
        }
    }
}
