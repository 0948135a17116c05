//! A folder with a ledger, topics of its own on the broker, and the binary at work.

use std::time::{Duration, Instant};

use assert_cmd::Command;
use tempfile::TempDir;
use uuid::Uuid;

/// Longer than any of these commands takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Where the product works.
pub struct Place {
    folder: TempDir,
    prefix: String,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), prefix: format!("test-{}", Uuid::new_v4()) }
    }

    /// The settings of every command here, whatever the way in.
    pub fn sets(&self) -> Vec<String> {
        let prefix = &self.prefix;
        let mut sets = vec![
            "log.kind=kafka".to_owned(),
            format!("log.kafka.transactional_id={prefix}-1"),
            format!("log.kafka.group_id={prefix}-group"),
            "log.kafka.partitions=2".to_owned(),
            format!("topics.deferred={prefix}.deferred.{{tier}}"),
            format!("ledger.url=sqlite:{}", self.folder.path().join("ledger.db").display()),
            "triage.chain=['local']".to_owned(),
            "http.enabled=false".to_owned(),
            "telemetry.log_filter=info".to_owned(),
            "telemetry.log_format=json".to_owned(),
        ];
        let names = ["events", "human_feedback", "decisions", "feedback", "decision_reviews", "dead_letters"];
        sets.extend(
            names.iter().chain(&["decisions_shadow", "ops"]).map(|name| format!("topics.{name}={prefix}.{name}")),
        );
        sets
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the folder can be written to");
        path.display().to_string()
    }

    /// Runs a command to its end, through this door.
    pub fn run(&self, args: &[&str], door: &[String], stdin: &str) -> Ended {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatekeeper"));
        command.current_dir(self.folder.path()).args(["--profile", "development"]);
        for set in self.sets().iter().chain(door) {
            command.args(["--set", set]);
        }
        let output = command.args(args).write_stdin(stdin).timeout(DEADLINE).output().expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Ended { code: output.status.code(), stdout, stderr, took: begun.elapsed() }
    }

    /// The same for a command that must succeed; answered with what it says.
    pub fn good(&self, args: &[&str], door: &[String], stdin: &str) -> String {
        let ended = self.run(args, door, stdin);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
        ended.stdout
    }
}

/// Lines of events that can be decided.
pub fn events(count: usize) -> String {
    let event = |number| {
        let event = serde_json::json!({
            "event_id": format!("e-{number}"), "source": "/helpdesk", "tenant_id": "acme",
            "ticket_id": format!("T-{number}"), "message": {"body": "I cannot log in to my account since yesterday."},
        });
        format!("{event}\n")
    };
    (0..count).map(event).collect()
}
