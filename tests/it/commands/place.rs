//! A folder with a log and a ledger, and the binary at work in it.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// Longer than any of these commands takes; a processor that hangs must not hang the tests.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

pub struct Place {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Of the folder itself.
    pub fn name(&self) -> String {
        self.folder.path().file_name().expect("a folder has a name").to_string_lossy().into_owned()
    }

    pub fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the folder can be written to");
        path.display().to_string()
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str], stdin: &str) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_gatekeeper"))
            .current_dir(self.folder.path())
            .args(args)
            .args(["--profile", "development", "--set", "http.enabled=false", "--set", "telemetry.log_filter=warn"])
            .args(["--set", &format!("log.embedded.path={}", self.path("log.db").display())])
            .args(["--set", &format!("ledger.url=sqlite:{}", self.path("ledger.db").display())])
            .write_stdin(stdin)
            .timeout(DEADLINE)
            .output()
            .expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a command that must succeed; answered with what it says.
    pub fn good(&self, args: &[&str]) -> String {
        let ended = self.run(args, "");
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.stdout
    }

    /// The same, as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.good(&[args, &["--output", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// Decides everything that is on the log.
    pub fn serve(&self) {
        self.good(&["serve", "--until-idle"]);
    }

    /// All feedback there is, as `watch` tells it.
    pub fn watched(&self, filter: &[&str]) -> Vec<Value> {
        let watch = ["watch", "--from-beginning", "--until-end", "--output", "json"];
        let lines = self.good(&[&watch, filter].concat());
        lines.lines().map(|line| serde_json::from_str(line).expect("a line is one JSON object")).collect()
    }
}

pub fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).display().to_string()
}

/// A JSON line of an event that can be decided.
pub fn event(tenant: &str, id: &str, body: &str) -> String {
    let event = serde_json::json!({
        "event_id": id, "source": "/helpdesk", "tenant_id": tenant, "ticket_id": format!("T-{id}"),
        "message": {"body": body},
    });
    format!("{event}\n")
}
