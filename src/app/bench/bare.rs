//! What the log alone can do: read, make two outputs of each record, publish them in bursts. No pipeline, no ledger, no
//! model, no decoding. The product beside it, measured in the same minute, is as fast as the ratio of the two says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until};

use super::usage::{Worked, cpu_seconds, peak_rss};
use crate::app::out::say;
use crate::app::wiring::Parts;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::{Header, OutRecord, Payload, Record};
use crate::pipeline::log::{Burst, BurstPosition, Epoch, Errand, Happening, LogPort, PublishOutcome};

/// Bytes of a decision and of a terminal as the product writes them for the tickets of the bench (Avro), and of the
/// headers of each.
const DECISION_BYTES: usize = 700;
const FEEDBACK_BYTES: usize = 300;
const HEADER_BYTES: usize = 550;

/// Records waiting to be published before reading is left to the log's own bounds.
const MAX_WAITING: usize = 20_000;

struct Loop {
    log: LogPort,
    epoch: Epoch,
    waiting: Vec<OutRecord>,
    read: BTreeMap<Partition, u64>,
    moved: BTreeSet<Partition>,
    ends: BTreeMap<Partition, u64>,
    assigned: usize,
    on_its_way: bool,
    number: u64,
    events: u64,
}

pub async fn run(parts: &Parts) -> anyhow::Result<ExitCode> {
    let (started_at, cpu_before) = (parts.clock.now(), cpu_seconds()?);
    let log = parts.log(None).await?;
    let pipeline = &parts.settings.pipeline;
    let mut bare = Loop {
        log,
        epoch: Epoch(0),
        waiting: Vec::new(),
        read: BTreeMap::new(),
        moved: BTreeSet::new(),
        ends: BTreeMap::new(),
        assigned: 0,
        on_its_way: false,
        number: 0,
        events: 0,
    };
    let (mut begun, mut due) = (None, Instant::now());
    while !bare.is_done() {
        if Instant::now() >= due && bare.publish() {
            due = Instant::now() + pipeline.burst_interval;
        }
        let can_publish = !bare.on_its_way && !bare.waiting.is_empty();
        tokio::select! {
            happening = bare.log.happenings.recv(), if bare.waiting.len() < MAX_WAITING || bare.on_its_way => {
                bare.happened(happening.context("the log adapter stopped unexpectedly")?)?;
                if bare.events > 0 {
                    begun.get_or_insert_with(Instant::now);
                }
            }
            () = sleep_until(due), if can_publish => {}
        }
    }
    let seconds = begun.context("nothing was read")?.elapsed().as_secs_f64();
    bare.log.errands.send(Errand::Stop).ok();
    while bare.log.happenings.recv().await.is_some() {}
    let worked = Worked {
        started_at,
        peak_rss: peak_rss(),
        cpu_seconds: cpu_seconds()? - cpu_before,
        calls: 0,
        call_mean: 0.0,
        most_calls: 0,
        longest_metadata: 0,
        bare_rate: Some(bare.events as f64 / seconds),
    };
    say!("{}", serde_json::to_string(&worked)?);
    Ok(ExitCode::SUCCESS)
}

impl Loop {
    fn is_done(&self) -> bool {
        let all_read = self.assigned > 0 && self.ends.len() == self.assigned;
        all_read && self.waiting.is_empty() && !self.on_its_way
    }

    fn happened(&mut self, happening: Happening) -> anyhow::Result<()> {
        match happening {
            Happening::Assigned { epoch, partitions } => {
                self.epoch = epoch;
                self.assigned += partitions.len();
            }
            Happening::Records { partition, records, .. } => {
                self.ends.remove(&partition);
                for record in &records {
                    self.waiting.extend(outputs(partition, record));
                    self.read.insert(partition, record.offset + 1);
                    self.events += 1;
                }
                self.moved.insert(partition);
            }
            Happening::CaughtUp { partition, end, .. } => {
                self.ends.insert(partition, end);
            }
            Happening::Published { outcome, .. } => {
                anyhow::ensure!(outcome == PublishOutcome::Committed, "a burst of the bare loop: {outcome:?}");
                self.on_its_way = false;
            }
            Happening::Failed { reason } => anyhow::bail!(reason),
            Happening::Away { .. } | Happening::Heard { .. } | Happening::Unread { .. } => {}
            Happening::Revoking { .. } | Happening::Lost { .. } => anyhow::bail!("somebody else reads these topics"),
        }
        Ok(())
    }

    /// Everything that waits, as one burst. Says whether there was anything.
    fn publish(&mut self) -> bool {
        if self.on_its_way || self.waiting.is_empty() {
            return false;
        }
        self.number += 1;
        let positions = std::mem::take(&mut self.moved).into_iter().filter_map(|partition| {
            let base = *self.read.get(&partition)?;
            Some(BurstPosition { partition, base, metadata: format!("bare-{}", self.number) })
        });
        let positions = positions.collect();
        let records = std::mem::take(&mut self.waiting);
        self.on_its_way = true;
        // A log that is gone is noticed when its happenings end.
        self.log
            .errands
            .send(Errand::Publish(Burst { number: self.number, epoch: self.epoch, records, positions }))
            .ok();
        true
    }
}

fn outputs(partition: Partition, record: &Record) -> [OutRecord; 2] {
    let output = |topic: TopicRole, bytes: usize| OutRecord {
        topic,
        partition: partition.number,
        key: record.key.clone(),
        // Of the input's own bytes: text that compresses as text does.
        value: Some(
            record.value.iter().flat_map(|value| value.iter().copied()).cycle().take(bytes).collect::<Vec<u8>>().into(),
        ),
        headers: vec![Header { name: "envelope".into(), value: Some(Payload::from_static(&[b'h'; HEADER_BYTES])) }],
    };
    [output(TopicRole::Decisions, DECISION_BYTES), output(TopicRole::Feedback, FEEDBACK_BYTES)]
}
