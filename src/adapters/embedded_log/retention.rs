//! Old records go: by age, and by how much a partition holds, but never one that a group has not passed.
//!
//! A sweep visits every partition; each step removes a bounded number of the oldest records and moves `log_start` in the
//! same transaction, so that bursts wait milliseconds at most. Only the processor removes and only the processor moves
//! positions, both on one connection: what a step has read cannot change before it writes.

use std::collections::VecDeque;
use std::time::Duration;

use sqlx::{Connection as _, SqliteConnection};
use tokio::time::{Interval, MissedTickBehavior};

use super::error::Error;
use super::place::Stretch;
use crate::domain::clock::Timestamp;
use crate::settings::log::EmbeddedLog as Settings;

/// Records removed in one transaction: about 5 ms.
const STEP_RECORDS: u32 = 512;

/// Sweeps, step by step.
pub(super) struct Retention {
    age: Duration,
    bytes: u64,
    group: String,
    /// Numbers of the topics that our group reads, committed there or not.
    reads: Vec<i64>,
    sweeps: Interval,
    left: VecDeque<(i64, u32)>,
    sweep_begins: bool,
}

/// A partition as a step finds it.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct Shelf {
    log_start: i64,
    next_offset: i64,
    bytes: i64,
    /// Groups that committed anywhere on this topic.
    groups: i64,
    /// Groups that committed on this partition.
    groups_here: i64,
    /// Whether ours is among those.
    ours_here: bool,
    /// The least they committed.
    lowest: Option<i64>,
}

impl Shelf {
    /// Every group is past everything below this.
    fn floor(&self, ours_reads: bool) -> i64 {
        let waits_for_ours = ours_reads && !self.ours_here;
        if waits_for_ours || self.groups_here < self.groups {
            return self.log_start;
        }
        self.lowest.unwrap_or(self.next_offset)
    }
}

/// Age and size of a record.
type Aged = (Timestamp, i64);

/// How many of the oldest records go, and how many bytes that is.
fn goes(oldest: &[Aged], held: i64, limit: u64, cutoff: Timestamp) -> (usize, i64) {
    let mut excess = if limit == 0 { 0 } else { held.saturating_sub_unsigned(limit) };
    let mut bytes = 0;
    let mut count = 0;
    for &(written_at, size) in oldest {
        if written_at >= cutoff && excess <= 0 {
            break;
        }
        excess -= size;
        bytes += size;
        count += 1;
    }
    (count, bytes)
}

impl Retention {
    pub(super) fn new(settings: &Settings, group: &str, reads: Vec<i64>) -> Self {
        let mut sweeps = tokio::time::interval(settings.retention_interval.max(Duration::from_millis(1)));
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            age: settings.retention,
            bytes: settings.retention_bytes,
            group: group.to_owned(),
            reads,
            sweeps,
            left: VecDeque::new(),
            sweep_begins: false,
        }
    }

    /// A step is due: at once while a sweep is under way. Dropped halfway, nothing is lost.
    pub(super) async fn due(&mut self) {
        if self.left.is_empty() && !self.sweep_begins {
            self.sweeps.tick().await;
            self.sweep_begins = true;
        }
    }

    pub(super) fn give_up_this_sweep(&mut self) {
        self.left.clear();
        self.sweep_begins = false;
    }

    pub(super) async fn step(&mut self, connection: &mut SqliteConnection, now: Timestamp) -> Result<(), Error> {
        if self.sweep_begins {
            let all = sqlx::query_as("SELECT topic, partition FROM partitions WHERE log_start < next_offset");
            self.left = all.fetch_all(&mut *connection).await?.into();
            self.sweep_begins = false;
        }
        let Some((topic, partition)) = self.left.pop_front() else { return Ok(()) };
        let Some(shelf) = self.shelf(connection, topic, partition).await? else { return Ok(()) };
        let removed = self.clear(connection, topic, partition, shelf, now).await?;
        if removed == STEP_RECORDS as usize {
            self.left.push_back((topic, partition));
        }
        Ok(())
    }

    async fn shelf(
        &self,
        connection: &mut SqliteConnection,
        topic: i64,
        partition: u32,
    ) -> Result<Option<Shelf>, Error> {
        let shelf = sqlx::query_as(
            "SELECT p.log_start, p.next_offset, p.bytes,
                    (SELECT count(DISTINCT group_id) FROM positions WHERE topic = p.topic) AS groups,
                    (SELECT count(*) FROM positions WHERE topic = p.topic AND partition = p.partition) AS groups_here,
                    EXISTS (SELECT 1 FROM positions
                            WHERE group_id = ?1 AND topic = p.topic AND partition = p.partition) AS ours_here,
                    (SELECT min(base) FROM positions WHERE topic = p.topic AND partition = p.partition) AS lowest
             FROM partitions AS p WHERE p.topic = ?2 AND p.partition = ?3",
        );
        Ok(shelf.bind(&self.group).bind(topic).bind(partition).fetch_optional(connection).await?)
    }

    async fn clear(
        &self,
        connection: &mut SqliteConnection,
        topic: i64,
        partition: u32,
        shelf: Shelf,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let floor = shelf.floor(self.reads.contains(&topic)).min(shelf.log_start + i64::from(STEP_RECORDS));
        let stretch = Stretch::of(topic, partition);
        let place = |offset: i64| stretch.and_then(|stretch| stretch.place(offset.unsigned_abs()));
        let (Some(first), Some(end)) = (place(shelf.log_start), place(floor)) else { return Ok(0) };
        let oldest: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT written_at,
                    coalesce(length(key), 0) + coalesce(length(value), 0) + coalesce(length(headers), 0)
             FROM records WHERE place >= ? AND place < ? ORDER BY place",
        )
        .bind(first)
        .bind(end)
        .fetch_all(&mut *connection)
        .await?;
        let oldest: Vec<Aged> = oldest.into_iter().map(|(at, size)| (Timestamp(at), size)).collect();
        let cutoff = Timestamp(now.0.saturating_sub(i64::try_from(self.age.as_millis()).unwrap_or(i64::MAX)));
        let (count, bytes) = goes(&oldest, shelf.bytes, self.bytes, cutoff);
        if count == 0 {
            return Ok(0);
        }
        let log_start = shelf.log_start + count as i64;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM records WHERE place >= ? AND place < ?")
            .bind(first)
            .bind(first + count as i64)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("UPDATE partitions SET log_start = ?, bytes = bytes - ? WHERE topic = ? AND partition = ?")
            .bind(log_start)
            .bind(bytes)
            .bind(topic)
            .bind(partition)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        tracing::debug!(topic, partition, count, bytes, log_start, "old records removed");
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHELF: Shelf =
        Shelf { log_start: 3, next_offset: 20, bytes: 0, groups: 0, groups_here: 0, ours_here: false, lowest: None };

    #[test]
    fn what_our_group_reads_and_never_committed_stays() {
        assert_eq!(SHELF.floor(true), 3);
        let another_committed = Shelf { groups: 1, groups_here: 1, lowest: Some(9), ..SHELF };
        assert_eq!(another_committed.floor(true), 3);
    }

    #[test]
    fn what_a_group_reads_that_has_not_come_to_this_partition_stays() {
        let shelf = Shelf { groups: 2, groups_here: 1, ours_here: true, lowest: Some(9), ..SHELF };
        assert_eq!(shelf.floor(true), 3);
    }

    #[test]
    fn the_slowest_group_is_the_floor_and_without_groups_the_end_is() {
        let shelf = Shelf { groups: 2, groups_here: 2, ours_here: true, lowest: Some(9), ..SHELF };
        assert_eq!(shelf.floor(true), 9);
        assert_eq!(SHELF.floor(false), 20);
    }

    #[test]
    fn a_record_as_old_as_the_limit_stays() {
        assert_eq!(goes(&[(Timestamp(99), 5), (Timestamp(100), 5)], 10, 0, Timestamp(100)), (1, 5));
    }

    #[test]
    fn a_young_record_before_an_old_one_keeps_both() {
        assert_eq!(goes(&[(Timestamp(100), 5), (Timestamp(1), 5)], 10, 0, Timestamp(50)), (0, 0));
    }

    #[test]
    fn size_takes_young_records_until_the_rest_fits() {
        let young = [(Timestamp(100), 5); 4];
        assert_eq!(goes(&young, 20, 11, Timestamp(0)), (2, 10));
        assert_eq!(goes(&young, 20, 20, Timestamp(0)), (0, 0));
    }

    proptest! {
        #[test]
        fn what_goes_is_old_or_too_much_and_nothing_more(
            oldest in proptest::collection::vec((0i64..100, 0i64..50), 0..30), limit in 0u64..1000, cutoff in 0i64..100,
        ) {
            let oldest: Vec<Aged> = oldest.into_iter().map(|(at, size)| (Timestamp(at), size)).collect();
            let held: i64 = oldest.iter().map(|(_, size)| size).sum();
            let (count, bytes) = goes(&oldest, held, limit, Timestamp(cutoff));
            prop_assert_eq!(bytes, oldest[..count].iter().map(|(_, size)| size).sum::<i64>());
            let too_much = |bytes: i64| limit > 0 && bytes.unsigned_abs() > limit;
            if let Some((written_at, size)) = count.checked_sub(1).map(|last| oldest[last]) {
                prop_assert!(written_at.0 < cutoff || too_much(held - bytes + size));
            }
            if let Some((written_at, _)) = oldest.get(count) {
                prop_assert!(written_at.0 >= cutoff && !too_much(held - bytes));
            }
        }
    }
}
