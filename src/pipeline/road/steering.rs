//! Back-pressure: which partitions are read, and why others are not.

use std::collections::{BTreeMap, BTreeSet};

use super::Road;
use crate::domain::position::{Partition, TopicRole};
use crate::pipeline::log::Errand;
use crate::telemetry::happenings::{PauseReason, PausedFor, ReadingPaused, ReadingResumed};

/// Partitions by why their reading stops, or stopped.
type ByReason = BTreeMap<PauseReason, Vec<Partition>>;

impl Road {
    /// Reading stops when the road is full and goes on when a quarter of it is free again; a single
    /// partition stops when its finished set grows long, or while a record of it waits for its schema.
    ///
    /// While the ledger is away reading goes on until the road is full: then it stops by itself.
    ///
    /// Says whether any stopped that was read until now.
    pub(super) fn steer_reading(&mut self) -> bool {
        let settings = &self.fixtures.settings;
        let (on_road, bytes) = (self.items.len(), self.on_road_bytes);
        let blocked = !self.overflow.is_empty() || self.draining;
        let full = on_road >= settings.max_on_road || bytes >= settings.max_on_road_bytes || blocked;
        let roomy = on_road <= settings.max_on_road / 4 * 3 && bytes <= settings.max_on_road_bytes / 4 * 3 && !blocked;
        if self.reading_stopped != full && (full || roomy) {
            self.reading_stopped = full;
        }
        let everything = self.reading_stopped.then_some(match (self.draining, self.overflow.is_empty()) {
            (true, _) => PauseReason::Draining,
            (false, false) => PauseReason::TenantQueueFull,
            (false, true) if self.ledger_is_away => PauseReason::LedgerAway,
            (false, true) => PauseReason::RoadFull,
        });
        let wide = f64::from(settings.metadata_pause_percent) / 100.0;
        let max_chars = settings.metadata_max_chars;
        let no_room_for_copies = !self.has_room_for_copies();
        let (mut pause, mut resume): (ByReason, ByReason) = Default::default();
        let mut other_reasons = BTreeSet::new();
        for (partition, owned) in self.partitions.iter_mut().filter(|(_, owned)| owned.is_open()) {
            let is_copies = matches!(partition.topic, TopicRole::Deferred(_));
            let everything = everything.filter(|_| no_room_for_copies || !is_copies);
            let held = || owned.held.is_some().then_some(PauseReason::SchemaUnknown);
            let early = || (!owned.early.is_empty()).then_some(PauseReason::NotDue);
            let is_wide = || owned.is_wide(wide, max_chars).then_some(PauseReason::FrontierWide);
            match (owned.paused, everything.or_else(held).or_else(early).or_else(is_wide)) {
                (None, Some(reason)) => {
                    owned.paused = Some(reason);
                    pause.entry(reason).or_default().push(*partition);
                }
                (Some(reason), None) => {
                    owned.paused = None;
                    resume.entry(reason).or_default().push(*partition);
                }
                (Some(before), Some(reason)) if before != reason => {
                    owned.paused = Some(reason);
                    other_reasons.extend([before, reason]);
                }
                _ => {}
            }
        }
        let now = |reason| self.paused_for(reason);
        for (&reason, partitions) in &pause {
            ReadingPaused { partitions, reason, paused_now: now(reason) }.record();
        }
        for (&reason, partitions) in &resume {
            ReadingResumed { partitions, reason, paused_now: now(reason) }.record();
        }
        for reason in other_reasons {
            PausedFor { reason, paused_now: now(reason) }.record();
        }
        let stops = !pause.is_empty();
        if stops {
            self.errands.send(Errand::Pause(pause.into_values().flatten().collect())).ok();
        }
        if !resume.is_empty() {
            self.errands.send(Errand::Resume(resume.into_values().flatten().collect())).ok();
        }
        stops
    }

    /// How many partitions are paused for this reason.
    pub(super) fn paused_for(&self, reason: PauseReason) -> usize {
        self.partitions.values().filter(|owned| owned.paused == Some(reason)).count()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use crate::pipeline::dedupe::ledger::LedgerError;
    use crate::pipeline::log::{Errand, Happening, PublishOutcome};
    use crate::pipeline::road::testing::{EVENTS, TestRoad};
    use crate::telemetry::recorder;

    /// Far fewer than the road takes: it is the metadata of commits that would have no room for which of them are finished.
    #[tokio::test(start_paused = true)]
    async fn a_partition_whose_finished_set_nears_its_limit_is_read_on_when_a_commit_has_made_it_smaller() {
        let (recorder, metrics) = recorder::local();
        let _here = metrics::set_default_local_recorder(&recorder);
        let mut test = TestRoad::new(&["pipeline.metadata_max_chars=512", "pipeline.metadata_pause_percent=95"]);
        test.owns(EVENTS);
        let wide = || metrics.render().contains("gatekeeper_partitions_paused{reason=\"frontier_wide\"} 1\n");
        test.read_unreadable(0..100);
        assert!(!test.road.steer_reading() && !wide());
        test.read_unreadable(100..1_500);
        assert!(test.road.steer_reading() && wide());
        test.wake();
        for burst in test.bursts() {
            let outcome = PublishOutcome::Committed;
            test.road.happened(Happening::Published { burst: burst.number, outcome }, Instant::now());
        }
        test.errands();
        test.road.steer_reading();
        assert!(test.errands().iter().any(|errand| matches!(errand, Errand::Resume(_))) && !wide());
    }

    /// Whoever looks at the gauge sees what it is that has to end, not what came first.
    #[tokio::test(start_paused = true)]
    async fn what_is_paused_is_told_with_the_reason_of_now() {
        let (recorder, metrics) = recorder::local();
        let _here = metrics::set_default_local_recorder(&recorder);
        let mut test = TestRoad::new(&[]);
        test.road.fixtures.settings.max_on_road_bytes = 3;
        test.owns(EVENTS);
        test.read_unreadable(0..3);
        let paused = |reason| {
            let line = format!(r#"gatekeeper_partitions_paused{{reason="{reason}"}} 1"#);
            metrics.render().lines().any(|it| it == line)
        };
        assert!(test.road.steer_reading() && paused("road_full"));
        test.errands();
        test.road.ledger_failed(&LedgerError::Unavailable("away".into()));
        test.road.steer_reading();
        assert!(paused("ledger_away") && !paused("road_full"));
        test.road.ledger_is_back();
        test.road.steer_reading();
        assert!(paused("road_full") && !paused("ledger_away"));
        let told = test.errands();
        assert!(!told.iter().any(|errand| matches!(errand, Errand::Pause(_) | Errand::Resume(_))), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn reading_stops_at_so_many_bytes_and_goes_on_when_they_are_published() {
        let mut test = TestRoad::new(&[]);
        test.road.fixtures.settings.max_on_road_bytes = 3;
        test.owns(EVENTS);
        let told = |test: &mut TestRoad, which: fn(&Errand) -> bool| test.errands().iter().any(which);
        let stops = |errand: &Errand| matches!(errand, Errand::Pause(_));
        test.errands();
        test.read_unreadable(0..2);
        assert!(!test.road.steer_reading() && !told(&mut test, stops), "two bytes");
        test.read_unreadable(2..3);
        assert!(test.road.steer_reading() && told(&mut test, stops), "three");
        assert_eq!(test.road.gauges().on_road_bytes.now, 3);
        test.wake();
        let sent = test.bursts();
        test.road.happened(
            Happening::Published { burst: sent[0].number, outcome: PublishOutcome::Committed },
            Instant::now(),
        );
        test.road.steer_reading();
        assert!(told(&mut test, |errand| matches!(errand, Errand::Resume(_))));
        assert_eq!(test.road.gauges().on_road_bytes.now, 0);
    }
}
