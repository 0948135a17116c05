//! The simulated provider: a process of its own, told how to behave, and believed in what it writes down about calls.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::folder::Folder;
use super::processes::Process;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(10);

/// The process and where it listens.
#[derive(Debug)]
pub(super) struct Provider {
    address: SocketAddr,
    calls: PathBuf,
    client: reqwest::Client,
    process: Process,
}

/// A call, as the provider wrote it down.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The event it was for: hexadecimal dedupe key.
    pub key: String,
    /// Milliseconds since the epoch.
    pub started_at: i64,
    /// Whether it has ended, one way or another.
    pub ended: bool,
}

impl Provider {
    /// Start it and wait until it listens.
    pub async fn start(folder: &Folder) -> anyhow::Result<Self> {
        let (calls, ready) = (folder.calls(), folder.root().join("provider.address"));
        let arguments = [
            "simulate-provider",
            "--calls",
            calls.to_str().context("the folder's name is not UTF-8")?,
            "--ready",
            ready.to_str().context("the folder's name is not UTF-8")?,
        ];
        let mut process = Process::start("the simulated provider", &arguments, &folder.root().join("provider.log"))?;
        let deadline = Instant::now() + START;
        let address = loop {
            if let Ok(address) = std::fs::read_to_string(&ready) {
                break address.trim().parse()?;
            }
            process.must_be_alive()?;
            anyhow::ensure!(Instant::now() < deadline, "the simulated provider does not listen after {START:?}");
            sleep(Duration::from_millis(2)).await;
        };
        Ok(Self { address, calls, client: reqwest::Client::new(), process })
    }

    /// End it, and wait until it has.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        self.process.kill().await
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// From now on it behaves like this; what is not said is as ever.
    pub async fn behave(&mut self, control: &Value) -> anyhow::Result<()> {
        self.process.must_be_alive()?;
        let url = format!("http://{}/control", self.address);
        let said =
            self.client.post(url).json(control).send().await.context("the simulated provider does not listen")?;
        said.error_for_status()?;
        Ok(())
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> anyhow::Result<Vec<Call>> {
        let text = std::fs::read_to_string(&self.calls)?;
        let mut calls: BTreeMap<u64, Call> = BTreeMap::new();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Value = serde_json::from_str(line).context("the provider's call ledger is damaged")?;
            let number = line["call"].as_u64().context("a call without a number")?;
            if line["what"] == "end" {
                if let Some(call) = calls.get_mut(&number) {
                    call.ended = true;
                }
                continue;
            }
            let key = line["call_id"].as_str().and_then(|id| id.split('.').next()).unwrap_or_default().to_owned();
            let started_at = line["received_at"].as_i64().unwrap_or_default();
            calls.insert(number, Call { key, started_at, ended: false });
        }
        Ok(calls.into_values().collect())
    }
}
