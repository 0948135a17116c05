//! Everything the acts share: the processes, the log, what was published and what was seen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use super::folder::Folder;
use super::follower::{Follower, Place, Seen};
use super::narrator::{Ink, Narrator};
use super::processes::Process;
use super::provider::Provider;
use super::script::{self, Ticket, WORTH_A_LOOK};
use crate::adapters::embedded_log::Access;
use crate::app::wiring::Parts;
use crate::domain::decision::TriageDecision;
use crate::domain::feedback::FeedbackStatus;
use crate::operations::log_browser::LogBrowser;
use crate::settings::load::{LoadOptions, load};

/// How often the log is looked at while something is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Any key does for the simulated provider.
const API_KEY: &str = "models.openai.api_key=sk-simulated-0f6b1c";

/// Something that was published.
pub(super) struct Published {
    pub place: Place,
    pub ticket: Ticket,
}

pub(super) struct Stage<'a> {
    pub narrator: Narrator,
    pub folder: &'a Folder,
    pub parts: Parts,
    pub tickets: Vec<Ticket>,
    pub published: Vec<Published>,
    pub provider: Provider,
    pub worker: Process,
    log: Arc<dyn LogBrowser>,
    follower: Follower,
    partitions: u32,
    remarks: HashMap<Place, &'static str>,
}

impl<'a> Stage<'a> {
    /// The log exists, the provider listens, the worker starts.
    pub async fn set(folder: &'a Folder, narrator: Narrator) -> anyhow::Result<Self> {
        narrator.act("AI Gatekeeper: every event decided once. One binary, one folder, no network.");
        narrator.say(&format!("everything happens in {}", folder.root().display()));
        let settings = load(&LoadOptions { file: Some(folder.config()), ..LoadOptions::default() })?.settings;
        let partitions = settings.log.embedded.partitions;
        let parts = Parts::new(settings)?;
        let log = parts.browser(Access::Append).await?;
        log.create_topics().await?;
        let provider = Provider::start(folder).await?;
        narrator.say("a simulated provider runs as a process of its own and writes down every call it gets");
        let worker = start_worker(folder, &provider)?;
        narrator
            .say("a worker runs as another: chain openai -> local -> people, breaker open for 5 s (60 s by default)");
        Ok(Self {
            narrator,
            folder,
            tickets: script::tickets()?,
            published: Vec::new(),
            provider,
            worker,
            follower: Follower::new(log.clone(), parts.schemas.clone(), partitions),
            parts,
            log,
            partitions,
            remarks: HashMap::new(),
        })
    }

    pub fn restart_worker(&mut self) -> anyhow::Result<()> {
        self.worker = start_worker(self.folder, &self.provider)?;
        Ok(())
    }

    /// These lines of the tickets, from and to from 1.
    pub fn lines(&self, from: usize, to: usize) -> Vec<Ticket> {
        self.tickets[from - 1..to].to_vec()
    }

    /// Put these on the log, in one transaction; answered with their places.
    pub async fn publish(&mut self, tickets: Vec<Ticket>) -> anyhow::Result<Vec<Place>> {
        let records = tickets.iter().map(|ticket| ticket.record(self.partitions)).collect();
        let positions = self.log.append(records).await?;
        let places: Vec<Place> = positions.iter().map(|position| (position.partition, position.offset)).collect();
        for (&place, ticket) in places.iter().zip(tickets) {
            let remark = WORTH_A_LOOK.iter().find(|(line, _)| Some(*line) == ticket.line);
            self.remarks.extend(remark.map(|(_, remark)| (place, *remark)));
            self.published.push(Published { place, ticket });
        }
        Ok(places)
    }

    /// What was seen by now.
    pub fn seen(&self) -> &Seen {
        &self.follower.seen
    }

    /// How many of these have their terminal.
    pub fn ended(&self, places: &[Place]) -> usize {
        places.iter().filter(|place| self.seen().terminals.contains_key(place)).count()
    }

    /// The noisy tenant's of these, which may wait for their limit, and everybody else's.
    pub fn noise_and_others(&self, places: &[Place]) -> (Vec<Place>, Vec<Place>) {
        let wanted: HashSet<&Place> = places.iter().collect();
        let (noise, others): (Vec<_>, Vec<_>) = self
            .published
            .iter()
            .filter(|published| wanted.contains(&published.place))
            .partition(|published| published.ticket.is_noise());
        let places = |published: Vec<&Published>| published.into_iter().map(|it| it.place).collect();
        (places(noise), places(others))
    }

    /// Look at the log, until `done`.
    pub async fn wait(
        &mut self,
        what: &str,
        within: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            self.look().await?;
            if done(self) {
                return Ok(());
            }
            let log = self.folder.root().join("worker.log");
            self.worker.must_be_alive().with_context(|| format!("see {}", log.display()))?;
            anyhow::ensure!(Instant::now() < deadline, "in {within:?} this did not happen: {what}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Until all of these have their terminal.
    pub async fn wait_for(&mut self, places: &[Place], within: Duration) -> anyhow::Result<()> {
        self.wait("every event has its terminal", within, |stage| stage.ended(places) == places.len()).await
    }

    /// Read what is new, and tell what is worth it.
    pub async fn look(&mut self) -> anyhow::Result<()> {
        let nothing_yet = self.seen().decisions.is_empty();
        let news = self.follower.look().await?;
        if nothing_yet && !self.seen().decisions.is_empty() {
            self.narrator.say("the first decision is in the log");
        }
        for place in news.terminals {
            if let Some(remark) = self.remarks.remove(&place) {
                self.tell(place, remark);
            }
        }
        for event in news.ops {
            let (from, to) = (event.previous.unwrap_or_default(), event.current.unwrap_or_default());
            let ink = if to == "closed" { Ink::Good } else { Ink::Bad };
            let why = event.attributes.get("why").map_or("", String::as_str);
            self.narrator.say(&format!("breaker: {from} -> {} ({why})", self.narrator.ink(ink, &to)));
        }
        Ok(())
    }

    /// One event and its end, in a line.
    fn tell(&self, place: Place, remark: &str) {
        let Some(feedback) = self.seen().terminals.get(&place) else { return };
        let ink = match feedback.status {
            FeedbackStatus::Accepted => Ink::Good,
            FeedbackStatus::Rejected => Ink::Bad,
            FeedbackStatus::Degraded => Ink::Careful,
            _ => Ink::Quiet,
        };
        let status = format!("{:?}", feedback.status).to_uppercase();
        let end = match self.seen().decisions.get(&place) {
            Some(decision) => in_short(decision),
            None => feedback.reason_code.clone(),
        };
        let ticket = self.published.iter().rev().find(|published| published.place == place);
        let subject: String =
            ticket.map(|published| published.ticket.subject()).unwrap_or_default().chars().take(32).collect();
        self.narrator.say(&format!(
            "  {} {:<12} {subject:<32}  {end}  {}",
            self.narrator.ink(ink, &format!("{status:<9}")),
            feedback.event_id.as_deref().unwrap_or("?"),
            self.narrator.ink(Ink::Quiet, remark),
        ));
    }
}

/// `HANDOFF security -> security`: what happens, to what, where it goes.
fn in_short(decision: &TriageDecision) -> String {
    let disposition = serde_json::to_value(decision.disposition).unwrap_or_default();
    let disposition = disposition.as_str().unwrap_or("?");
    let category = decision.category.as_ref().map_or("-", |category| category.value.as_str());
    let queue = decision.routing.as_ref().map_or("-", |routing| routing.queue.value.as_str());
    match &decision.handoff {
        Some(handoff) => format!("{disposition} ({}) -> {queue}", handoff.reason_code),
        None => format!("{disposition} {category} -> {queue}"),
    }
}

fn start_worker(folder: &Folder, provider: &Provider) -> anyhow::Result<Process> {
    let config = folder.config();
    let config = config.to_str().context("the folder's name is not UTF-8")?;
    let base_url = format!("models.openai.base_url={}", provider.base_url());
    let arguments = ["serve", "--config", config, "--set", &base_url, "--set", API_KEY];
    Process::start("the worker", &arguments, &folder.root().join("worker.log"))
}
