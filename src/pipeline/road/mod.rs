//! The road's state: everything between a record read and its terminal committed.
//!
//! Nothing here waits. Inputs are what the outside did (the log, the ledger, a model, time); what is wanted of the
//! outside is collected and fetched by the run loop. So the whole road can be driven step by step, and the simulation
//! runs exactly this code.
//!
//! ```text
//! happened(Assigned) -> take_over.rs the frontier as committed; entering.rs: the ledger is told who writes now
//! happened(Records) -> arrive.rs    ingest, frontier.read, join the lane, claim
//!                      hold.rs      or wait, with all behind it, for the schema of an id
//! ledger_said(Row)  -> standing.rs  what the ledger knows -> a plan
//!                      work.rs      the lane's next unit: ask, judge, save or publish
//! next_job()        -> calls.rs     admission -> triage; leases; answers saved before they are judged
//!                      at_home.rs   or triage by the local model alone, past admission
//! ledger_said(..)   -> work.rs      verdicts saved before they are published
//!                      reviewing.rs human feedback: claimed, joined, its review saved
//!                      improving.rs what a fallback decided may be decided better
//!                      deferral.rs  what would wait too long for its tenant's limits is put off, and comes back
//!                      following.rs and what stands behind it in its ticket goes with it
//!                      crowding.rs  so is what fills the road with waiting for a busy model, when others are kept back
//! burst()           -> publish.rs   groups of results + frontiers -> one transaction
//! ```
//!
//! Invariants: an item leaves `items` only committed, or given up with its partition; a frontier moves only in
//! `publish.rs`, by a confirmed commit.

mod arrive;
mod asides;
mod at_home;
mod budget;
mod calls;
mod changes;
mod choice;
mod crowding;
mod deferral;
mod entering;
mod fixtures;
mod following;
mod gauges;
mod hold;
mod improving;
pub mod item;
mod lease;
mod lines;
mod ownership;
mod policies;
mod publish;
mod purpose;
mod reviewing;
mod shares;
mod source;
mod standing;
mod steering;
mod stopped;
mod take_over;
#[cfg(test)]
pub(crate) mod testing;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use self::asides::Asides;
use self::budget::Till;
use self::calls::Call;
use self::crowding::Company;
pub use self::fixtures::Fixtures;
use self::item::{Item, ItemId};
pub use self::lease::{LeaseRequest, Wish};
pub use self::lines::{Batch, Line};
use self::ownership::{Away, Owned};
use self::purpose::Purpose;
use super::admit::Admission;
use super::admit::bookings::Bookings;
use super::admit::pace::Pace;
use super::burst::{Group, Sent};
use super::dedupe::ledger::places::Mark;
use super::dedupe::ledger::{Entry, LedgerError, Outcome};
use super::lane::{Lanes, Place, TicketKey};
use super::log::{Epoch, Errand, Happening};
use super::log_health::Unpublished;

use super::tracked::Tracked;
use super::triage::guard::Places;
use crate::domain::identity::DedupeKey;
use crate::domain::position::Partition;
use crate::domain::silence::Presence;

/// How fast calls end is seen over about so long.
const PACE: Duration = Duration::from_secs(1);

/// The road.
pub struct Road {
    fixtures: Fixtures,
    errands: UnboundedSender<Errand>,

    epoch: Epoch,
    partitions: BTreeMap<Partition, Owned>,
    leaving: Option<ownership::Leaving>,

    items: HashMap<ItemId, Tracked<Item>>,
    /// Bytes of their records.
    on_road_bytes: usize,
    next_item: u64,
    /// When somebody was last warned of a record whose key is not its ticket's.
    foreign_key_told: Option<Instant>,
    lanes: Lanes<ItemId>,

    admission: Admission<TicketKey>,
    /// When the turn comes of events that were put off.
    bookings: Bookings,
    company: Company,
    /// Where events that were put off and are back on the road first stood.
    back_on_road: HashMap<TicketKey, BTreeSet<Place>>,
    /// Items whose decision is saved, and that wait for earlier events of their ticket to come back.
    waiting_for_earlier: BTreeSet<ItemId>,
    /// The first item on the road of each event that we own: further copies of it leave the event to that one.
    carriers: HashMap<DedupeKey, ItemId>,
    /// Tickets that found their tenant's queue full; while there are any, nothing is read.
    overflow: VecDeque<TicketKey>,
    /// Tickets that wait for no remote model.
    at_home: VecDeque<TicketKey>,
    calls: HashMap<DedupeKey, Call>,
    /// Events whose calls take one of the places, now or later.
    asking: usize,
    /// How fast they end.
    pace: Pace,
    /// `pipeline.max_in_flight` of them.
    places: Places,
    /// Improve records that wait for a model which nobody else wants, the one that waits longest first.
    improving: VecDeque<(Instant, ItemId)>,
    /// When admission lets the next one through, if all that wait are limited.
    admission_due: Option<Instant>,
    /// Items whose event somebody else is calling for: asked about again at that time.
    held: BTreeSet<(Instant, ItemId)>,
    presence: Arc<Presence>,
    /// Nobody knows whether what is ours still is: no paid call starts meanwhile.
    away: Option<Away>,
    leases_waiting: Vec<LeaseRequest>,
    /// What calls cost their tenants.
    till: Till,

    /// For the ledger, of [`Line::Others`]; what stands in one inner list goes in one transaction.
    pending: VecDeque<Vec<(Entry, Purpose)>>,
    /// The same of [`Line::Answers`].
    answers: VecDeque<Vec<(Entry, Purpose)>>,
    /// Claims that the ledger has not answered.
    claiming: usize,
    ledger_is_away: bool,
    /// What our bursts rest on.
    ledger_mark: Mark,

    ready: VecDeque<Group<ItemId>>,
    ready_results: usize,
    /// How many bursts in a row could not be committed: each carries half as much as the one before.
    smaller: u32,
    asides: Asides,
    in_flight: Option<Sent<ItemId>>,
    /// Since a burst was sent after the last one that was committed.
    unpublished: Option<Unpublished>,
    next_burst: u64,
    not_before: Instant,

    reading_stopped: bool,
    draining: bool,
    failed: Option<String>,
}

impl Road {
    /// An empty road.
    #[must_use]
    pub fn new(fixtures: Fixtures, errands: UnboundedSender<Errand>, now: Instant) -> Self {
        let settings = &fixtures.settings;
        let presence = Arc::new(Presence::new(settings.away_limit, fixtures.clock.clone()));
        let places = Places::new(settings.max_in_flight);
        Self {
            lanes: Lanes::new(settings.superseding),
            admission: Admission::new(settings.max_waiting_per_tenant),
            fixtures,
            errands,
            epoch: Epoch::default(),
            partitions: BTreeMap::new(),
            leaving: None,
            items: HashMap::new(),
            on_road_bytes: 0,
            next_item: 0,
            foreign_key_told: None,
            bookings: Bookings::default(),
            company: Company::default(),
            back_on_road: HashMap::new(),
            waiting_for_earlier: BTreeSet::new(),
            carriers: HashMap::new(),
            overflow: VecDeque::new(),
            at_home: VecDeque::new(),
            calls: HashMap::new(),
            asking: 0,
            pace: Pace::begin(Instant::now(), PACE),
            places,
            improving: VecDeque::new(),
            admission_due: None,
            held: BTreeSet::new(),
            presence,
            away: None,
            leases_waiting: Vec::new(),
            till: Till::default(),
            pending: VecDeque::new(),
            answers: VecDeque::new(),
            claiming: 0,
            ledger_is_away: false,
            ledger_mark: Mark::NONE,
            ready: VecDeque::new(),
            ready_results: 0,
            smaller: 0,
            asides: Asides::default(),
            in_flight: None,
            unpublished: None,
            next_burst: 1,
            not_before: now,
            reading_stopped: false,
            draining: false,
            failed: None,
        }
    }

    /// The log says something.
    pub fn happened(&mut self, happening: Happening, now: Instant) {
        match happening {
            Happening::Assigned { epoch, partitions } => self.assigned(epoch, partitions, now),
            Happening::Records { epoch, partition, records } => self.arrive(epoch, partition, records, now),
            Happening::CaughtUp { epoch, partition, end } => self.caught_up(epoch, partition, end, now),
            Happening::Revoking { partitions, deadline } => self.revoking(partitions, now + deadline, now),
            Happening::Lost { partitions } => self.lost(&partitions, now),
            Happening::Away { silent } => self.log_was_away(silent, now),
            // How the log is, is for others to tell; the road goes by what comes of it.
            Happening::Heard { .. } | Happening::Unread { .. } => {}
            Happening::Published { burst, outcome } => self.published(burst, outcome, now),
            Happening::Failed { reason } => self.failed = Some(reason),
        }
    }

    /// The ledger has written a batch.
    pub fn ledger_said(&mut self, batch: Batch, outcomes: Vec<Outcome>, now: Instant) {
        debug_assert_eq!(batch.0.len(), outcomes.len(), "one outcome an entry");
        for (purpose, outcome) in batch.0.into_iter().zip(outcomes) {
            match purpose {
                Purpose::Claim(item) => {
                    self.claiming -= 1;
                    self.claimed(item, &outcome, now);
                }
                Purpose::ClaimFeedback(item) => self.feedback_claimed(item, &outcome, now),
                Purpose::Recall(item) => self.recalled(item, &outcome),
                Purpose::Reviewed(item) => self.review_saved(item, &outcome),
                Purpose::Changed { item, concludes } => self.changes_recalled(item, &outcome, concludes, now),
                Purpose::Answer(key) => self.answer_saved(key, &outcome, now),
                Purpose::UnpaidAnswer(key, answer) => self.unpaid_leased(key, answer, &outcome, now),
                Purpose::Verdict { item, concludes } => self.verdict_saved(item, &outcome, concludes, now),
                Purpose::PutOff { item, concludes } => self.put_off_remembered(item, &outcome, concludes, now),
                Purpose::Lease(waiting) => self.lease_answered(waiting, &outcome),
                Purpose::Reserve { key, call, budget } => self.reserve_answered(key, call, budget, &outcome),
                Purpose::Settle(call) => self.settle_answered(&call, &outcome),
                Purpose::Enter(partition, epoch) => self.entered(partition, epoch, &outcome, now),
                Purpose::Vanished(partition, epoch) => self.gap_marked(partition, epoch),
                Purpose::Overtaken(item) => self.overtaken(item, &outcome, now),
                Purpose::Mark { after } => self.marked(after, &outcome),
                Purpose::Background => {}
            }
        }
    }

    /// The ledger writes whatever it is given.
    pub fn ledger_is_back(&mut self) {
        self.ledger_is_away = false;
    }

    /// The ledger could not write a batch; the same one will be tried again.
    pub fn ledger_failed(&mut self, error: &LedgerError) {
        self.ledger_is_away = true;
        if !error.is_retryable() {
            self.failed = Some(error.to_string());
        }
    }

    /// The moment at which something is due although nothing happens.
    #[must_use]
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let burst = (self.burst_is_wanted() && self.in_flight.is_none()).then_some(self.not_before.max(now));
        let follow = self.follow_due().filter(|_| self.in_flight.is_none() && self.leaving.is_none());
        let follow = follow.map(|due| due.max(self.not_before));
        let (held, improving) = (self.held.first().map(|(due, _)| *due), self.improving_due());
        let leaving = self.leaving.as_ref().map(|leaving| leaving.deadline);
        let (early, away) = (self.next_early(now), self.away.as_ref().map(|away| away.until));
        [burst, follow, held, leaving, early, away, improving, self.admission_due].into_iter().flatten().min()
    }

    /// Time has passed: what was due by now is done.
    pub fn woke(&mut self, now: Instant) {
        if self.away.as_ref().is_some_and(|away| away.until <= now) {
            self.back_from_away();
        }
        self.admission_due = self.admission_due.filter(|due| *due > now);
        while let Some((due, item)) = self.held.first().copied().filter(|(due, _)| *due <= now) {
            self.held.remove(&(due, item));
            self.claim_again(item);
        }
        self.improve_later_what_waits_too_long(now);
        self.take_in_all_due(now);
        self.notice_new_day();
        self.burst(now);
        self.let_go_if_done(now);
        if self.steer_reading() {
            self.work_what_waits_in_vain(now);
        }
        self.make_room(now);
    }

    /// Stop reading and starting; what runs may end.
    pub fn drain(&mut self) {
        self.draining = true;
        self.places.close();
        // Whoever goes on after us may do so long after what a position points at is gone.
        let now = Instant::now();
        self.follow_at_once(now);
        let ours: Vec<_> = self.partitions.keys().copied().collect();
        self.note_before_going(&ours, now);
    }

    /// Nothing runs, nothing waits to be published, nothing waits to be written.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.asking == 0
            && self.ready.is_empty()
            && self.in_flight.is_none()
            && self.pending.is_empty()
            && self.answers.is_empty()
            && self.calls.is_empty()
            && self.till.is_settled()
            && !(self.draining && self.follow_due().is_some())
    }

    /// Everything there is to read was read, and has its terminal in the log. Positions that lag behind it follow first: whoever
    /// goes on may do so long after what they point at is gone.
    pub fn is_idle(&mut self, now: Instant) -> bool {
        let is_idle = !self.partitions.is_empty()
            && self.partitions.values().all(Owned::is_read)
            && self.items.is_empty()
            && self.asides.is_empty()
            && self.is_drained();
        if is_idle {
            self.follow_at_once(now);
        }
        is_idle && self.follow_due().is_none()
    }

    /// Why the road cannot go on, if it cannot.
    pub fn failure(&mut self) -> Option<String> {
        self.failed.take()
    }

    /// Its way ends here.
    fn off_the_road(&mut self, id: ItemId) -> Option<Tracked<Item>> {
        let item = self.items.remove(&id)?;
        self.on_road_bytes -= item.record.bytes();
        Some(item)
    }

    /// What keeps partitions that we own from being read, if anything does.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let stopped =
            self.partitions.iter().filter_map(|(partition, owned)| Some((partition, owned.stopped.as_ref()?)));
        let complaints: Vec<_> =
            stopped.map(|(partition, reason)| format!("{partition} is stopped: {reason}")).collect();
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }

    /// Let the log go and give up what is not committed; it will be read again.
    pub fn stop(&mut self) {
        // A log that is already gone needs no word.
        self.errands.send(Errand::Stop).ok();
        for (_, item) in self.items.drain() {
            item.given_up();
        }
    }
}
