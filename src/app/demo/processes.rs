//! Child processes of the same binary. None outlives its handle.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A child.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    pid: Pid,
}

impl Process {
    /// Start `gatekeeper <arguments>`; what it logs is appended to `log`.
    pub fn start(name: &'static str, arguments: &[&str], log: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program cannot be found again")?;
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        // What is set for the user's own installation is not meant for the demo.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("GATEKEEPER_") {
                command.env_remove(variable);
            }
        }
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let pid = child.id().context("a process that was just started has an id")?;
        Ok(Self { name, child, pid: Pid::from_raw(i32::try_from(pid)?) })
    }

    /// An error if it has ended.
    pub fn must_be_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("{} ended unasked: {status}", self.name),
        }
    }

    /// Hold it where it is.
    pub fn freeze(&self) -> anyhow::Result<()> {
        Ok(kill(self.pid, Signal::SIGSTOP)?)
    }

    /// Let it go on.
    pub fn thaw(&self) -> anyhow::Result<()> {
        Ok(kill(self.pid, Signal::SIGCONT)?)
    }

    /// `kill -9`.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Ask it to end, and wait until it has.
    pub async fn terminate(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        kill(self.pid, Signal::SIGTERM)?;
        let ended = timeout(within, self.child.wait()).await;
        Ok(ended.with_context(|| format!("{} did not end within {within:?}", self.name))??)
    }
}
