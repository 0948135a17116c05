//! One event at a time per ticket, in log order; different tickets side by side.
//!
//! A lane is the queue of one ticket's events that were read and not yet have their result. Its head is worked on; the
//! rest waits. Work is done in **units**: usually the head alone. With superseding, a unit reaches from the head to the
//! newest event that may be decided: that one is decided, older ones of the unit become SUPERSEDED by it, and all of
//! them leave the lane together, in order, so they travel in one burst.
//!
//! An event may be put off: a copy of it comes back later, through a delay tier. Then everything behind it in its lane is
//! put off as well, and a copy that comes back stands where its original stood.
//!
//! Pure: the road says what is known of each event, the lane says what is next.

pub mod ignore;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// `tenant|ticket`.
pub type TicketKey = Arc<str>;

/// What is known of an event that waits in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The ledger has not answered yet.
    Unknown,
    /// It has passed every check and needs a model: it may be superseded, and may supersede.
    Decidable,
    /// The same of one that was sent again long after its time: it supersedes nobody, for what stands before it is newer.
    Belated,
    /// It has a saved answer: it is judged by itself, superseded by nobody.
    Answered,
    /// Its end is known: duplicate, ignored, rejected, or saved before.
    Settled,
    /// A saved SUPERSEDED: it leaves with the event of this id.
    SupersededBy(String),
}

#[derive(Debug)]
struct Waiting<I> {
    item: I,
    event_id: Arc<str>,
    place: Place,
    standing: Standing,
}

/// Where an event first stood: partition and offset. Events of other partitions are in no order with it.
pub type Place = (u32, u64);

#[derive(Debug)]
struct Lane<I> {
    queue: VecDeque<Waiting<I>>,
    /// How many at the front are being worked on as one unit; 0: none.
    at_work: usize,
    /// From here on events are put off, to this tier.
    aside: Option<(Place, u8)>,
}

/// The next piece of work of a lane, in log order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit<I> {
    /// The last one is the newest. With more than one, those before it that need a model are superseded by it.
    pub items: Vec<I>,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes<I> {
    lanes: HashMap<TicketKey, Lane<I>>,
    superseding: bool,
}

impl<I: Copy + Eq> Lanes<I> {
    /// No lanes yet.
    #[must_use]
    pub fn new(superseding: bool) -> Self {
        Self { lanes: HashMap::new(), superseding }
    }

    /// An event was read: it stands last in its lane; one that came back, before those that came after it and are not at
    /// work.
    pub fn join(&mut self, ticket: &TicketKey, item: I, event_id: Arc<str>, place: Place) {
        let waiting = Waiting { item, event_id, place, standing: Standing::Unknown };
        match self.lanes.get_mut(ticket) {
            Some(lane) => {
                let comes_before = |other: &Waiting<I>| other.place.0 == place.0 && other.place.1 > place.1;
                let behind = lane.queue.iter().skip(lane.at_work).rev().take_while(|other| comes_before(other)).count();
                lane.queue.insert(lane.queue.len() - behind, waiting);
            }
            None => {
                let lane = Lane { queue: VecDeque::from([waiting]), at_work: 0, aside: None };
                self.lanes.insert(ticket.clone(), lane);
            }
        }
    }

    /// From this event on the lane is put off, until it is empty or this event is back. Returns those that are here, in
    /// order; none of them is at work any more.
    pub fn put_aside(&mut self, ticket: &TicketKey, item: I, tier: u8) -> Vec<I> {
        let Some(lane) = self.lanes.get_mut(ticket) else { return Vec::new() };
        let Some(from) = lane.queue.iter().position(|waiting| waiting.item == item) else { return Vec::new() };
        let place = lane.queue[from].place;
        if lane.aside.is_none_or(|(before, _)| before > place) {
            lane.aside = Some((place, tier));
        }
        lane.at_work = lane.at_work.min(from);
        lane.queue.iter().skip(from).map(|waiting| waiting.item).collect()
    }

    /// An event is here of which the ledger knows everything again. If the lane is put off from it on, it is put off from
    /// the next one on that is about to leave, if any is.
    pub fn is_back(&mut self, ticket: &TicketKey, place: Place, mut leaves: impl FnMut(I) -> bool) {
        let Some(lane) = self.lanes.get_mut(ticket) else { return };
        let Some((from, tier)) = lane.aside.filter(|(from, _)| *from == place) else { return };
        let comes_after = |other: &&Waiting<I>| other.place.0 == from.0 && other.place.1 > from.1;
        let next = lane.queue.iter().filter(comes_after).find(|other| leaves(other.item));
        lane.aside = next.map(|next| (next.place, tier));
    }

    /// The tier to which an event of this place is put off, because one before it in its lane was.
    #[must_use]
    pub fn aside(&self, ticket: &TicketKey, place: Place) -> Option<u8> {
        let (from, tier) = self.lanes.get(ticket)?.aside?;
        (from.0 == place.0 && from.1 <= place.1).then_some(tier)
    }

    /// More is known of an event. Nothing changes for one that is being worked on.
    pub fn know(&mut self, ticket: &TicketKey, item: I, standing: Standing) {
        let waiting = self.lanes.get_mut(ticket).and_then(|lane| lane.queue.iter_mut().find(|w| w.item == item));
        if let Some(waiting) = waiting {
            waiting.standing = standing;
        }
    }

    /// Start the lane's next unit, if it is at rest and its head is known. `partition_is_read` says that nothing more is
    /// on its way, so that waiting for a superseding event is in vain.
    pub fn start(&mut self, ticket: &TicketKey, partition_is_read: bool) -> Option<Unit<I>> {
        let superseding = self.superseding;
        let lane = self.lanes.get_mut(ticket)?;
        if lane.at_work > 0 {
            return None;
        }
        let reach = match &lane.queue.front()?.standing {
            Standing::Unknown => return None,
            Standing::Settled | Standing::Answered => 1,
            Standing::SupersededBy(event_id) => {
                let superseding_one = lane.queue.iter().skip(1).position(|w| *w.event_id == **event_id);
                match superseding_one {
                    Some(index) => lane.settled_up_to(index + 2)?,
                    None if partition_is_read => 1,
                    None => return None,
                }
            }
            Standing::Decidable | Standing::Belated if superseding => lane.newest_decidable(),
            Standing::Decidable | Standing::Belated => 1,
        };
        lane.at_work = reach;
        Some(Unit { items: lane.queue.iter().take(reach).map(|waiting| waiting.item).collect() })
    }

    /// The unit at work, grown by what has come since it was started: it waited for admission, and an older event of it
    /// need not be decided any more.
    pub fn grow(&mut self, ticket: &TicketKey) -> Option<Unit<I>> {
        let superseding = self.superseding;
        let lane = self.lanes.get_mut(ticket).filter(|lane| lane.at_work > 0)?;
        if superseding {
            lane.at_work = lane.at_work.max(lane.newest_decidable());
        }
        Some(Unit { items: lane.queue.iter().take(lane.at_work).map(|waiting| waiting.item).collect() })
    }

    /// The unit at work.
    #[must_use]
    pub fn unit(&self, ticket: &TicketKey) -> Option<Unit<I>> {
        let lane = self.lanes.get(ticket).filter(|lane| lane.at_work > 0)?;
        Some(Unit { items: lane.queue.iter().take(lane.at_work).map(|waiting| waiting.item).collect() })
    }

    /// The lane's oldest event.
    #[must_use]
    pub fn head(&self, ticket: &TicketKey) -> Option<I> {
        self.lanes.get(ticket)?.queue.front().map(|waiting| waiting.item)
    }

    /// Whether any event of this lane fulfils the condition.
    pub fn any(&self, ticket: &TicketKey, mut condition: impl FnMut(I) -> bool) -> bool {
        self.lanes.get(ticket).is_some_and(|lane| lane.queue.iter().any(|waiting| condition(waiting.item)))
    }

    /// Whether any event that waits behind the lane's unit at work fulfils the condition.
    pub fn any_behind(&self, ticket: &TicketKey, mut condition: impl FnMut(I) -> bool) -> bool {
        self.lanes.get(ticket).is_some_and(|lane| lane.queue.iter().skip(lane.at_work).any(|w| condition(w.item)))
    }

    /// The unit at work has its results: its events leave the lane.
    pub fn finish(&mut self, ticket: &TicketKey) {
        if let Some(lane) = self.lanes.get_mut(ticket) {
            lane.queue.drain(..lane.at_work);
            lane.at_work = 0;
            if lane.queue.is_empty() {
                self.lanes.remove(ticket);
            }
        }
    }

    /// Lanes whose head waits for the event that superseded it.
    #[must_use]
    pub fn waiting_for_another(&self) -> Vec<TicketKey> {
        let waits = |lane: &Lane<I>| {
            lane.at_work == 0
                && lane.queue.front().is_some_and(|head| matches!(head.standing, Standing::SupersededBy(_)))
        };
        let mut tickets: Vec<_> =
            self.lanes.iter().filter(|(_, lane)| waits(lane)).map(|(ticket, _)| ticket.clone()).collect();
        // The simulation replays by seed: no order may come from a hash map.
        tickets.sort_unstable();
        tickets
    }

    /// The unit at work starts over: the ledger has news of it.
    pub fn rewind(&mut self, ticket: &TicketKey) {
        if let Some(lane) = self.lanes.get_mut(ticket) {
            lane.at_work = 0;
        }
    }

    /// A partition was taken away: these events leave; their lane is at rest again.
    pub fn leave(&mut self, ticket: &TicketKey, mut gone: impl FnMut(I) -> bool) {
        if let Some(lane) = self.lanes.get_mut(ticket) {
            let at_work_goes = lane.queue.iter().take(lane.at_work).any(|waiting| gone(waiting.item));
            lane.queue.retain(|waiting| !gone(waiting.item));
            if at_work_goes {
                lane.at_work = 0;
            }
            if lane.queue.is_empty() {
                self.lanes.remove(ticket);
            }
        }
    }

    /// Tickets with events on the road.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether no ticket has events on the road.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

impl<I> Lane<I> {
    /// `reach` if everything up to there has its end, 1 if something there needs work of its own first, nothing if that
    /// is not known yet.
    fn settled_up_to(&self, reach: usize) -> Option<usize> {
        let mut standings = self.queue.iter().take(reach).map(|waiting| &waiting.standing);
        if standings.clone().any(|standing| *standing == Standing::Unknown) {
            return None;
        }
        let settled = standings.all(|standing| matches!(standing, Standing::Settled | Standing::SupersededBy(_)));
        Some(if settled { reach } else { 1 })
    }

    /// From the head to the newest decidable event, as far as everything in between is known and does not wait for
    /// another one.
    fn newest_decidable(&self) -> usize {
        let mut reach = 1;
        for (index, waiting) in self.queue.iter().enumerate().skip(1) {
            match waiting.standing {
                Standing::Decidable => reach = index + 1,
                Standing::Settled | Standing::Belated => {}
                Standing::Unknown | Standing::Answered | Standing::SupersededBy(_) => break,
            }
        }
        reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> TicketKey {
        "acme|1".into()
    }

    fn lanes(superseding: bool, standings: &[Standing]) -> Lanes<usize> {
        let mut lanes = Lanes::new(superseding);
        for (item, standing) in standings.iter().enumerate() {
            lanes.join(&ticket(), item, format!("event-{item}").into(), (0, item as u64));
            lanes.know(&ticket(), item, standing.clone());
        }
        lanes
    }

    fn started(lanes: &mut Lanes<usize>) -> Option<Vec<usize>> {
        lanes.start(&ticket(), false).map(|unit| unit.items)
    }

    #[test]
    fn the_second_event_waits_for_the_first() {
        let mut lanes = lanes(false, &[Standing::Decidable, Standing::Decidable]);
        assert_eq!(started(&mut lanes), Some(vec![0]));
        assert_eq!(started(&mut lanes), None, "one at a time");
        lanes.finish(&ticket());
        assert_eq!(started(&mut lanes), Some(vec![1]));
        lanes.finish(&ticket());
        assert!(lanes.is_empty(), "an empty lane is dropped");
    }

    #[test]
    fn an_unknown_head_blocks_what_is_known_behind_it() {
        let mut lanes = lanes(true, &[Standing::Unknown, Standing::Settled]);
        assert_eq!(started(&mut lanes), None);
        lanes.know(&ticket(), 0, Standing::Settled);
        assert_eq!(started(&mut lanes), Some(vec![0]));
    }

    #[test]
    fn the_newest_decidable_event_supersedes_and_carries_what_stands_between() {
        use Standing::{Decidable, Settled, Unknown};
        let mut lanes = lanes(true, &[Decidable, Settled, Decidable, Settled, Unknown, Decidable]);
        assert_eq!(started(&mut lanes), Some(vec![0, 1, 2]), "not past the unknown one, no settled tail");
        lanes.finish(&ticket());
        assert_eq!(started(&mut lanes), Some(vec![3]));
    }

    #[test]
    fn one_that_comes_long_after_its_time_is_superseded_and_supersedes_nobody() {
        use Standing::{Belated, Decidable, Settled};
        let mut lanes = lanes(true, &[Decidable, Belated, Settled, Decidable, Belated, Belated]);
        assert_eq!(started(&mut lanes), Some(vec![0, 1, 2, 3]), "the newest of its time takes it along");
        lanes.finish(&ticket());
        assert_eq!(started(&mut lanes), Some(vec![4]), "and none of them the other");
        assert_eq!(lanes.grow(&ticket()).map(|unit| unit.items), Some(vec![4]));
        lanes.join(&ticket(), 6, "event-6".into(), (0, 6));
        lanes.know(&ticket(), 6, Decidable);
        assert_eq!(lanes.grow(&ticket()).map(|unit| unit.items), Some(vec![4, 5, 6]));
    }

    #[test]
    fn a_settled_head_is_never_superseded() {
        let mut lanes = lanes(true, &[Standing::Settled, Standing::Decidable]);
        assert_eq!(started(&mut lanes), Some(vec![0]));
    }

    #[test]
    fn a_saved_superseded_event_leaves_with_the_one_that_superseded_it() {
        let mut lanes = lanes(true, &[Standing::SupersededBy("event-2".to_owned()), Standing::Settled]);
        assert_eq!(started(&mut lanes), None, "the other one is still on its way");
        lanes.join(&ticket(), 2, "event-2".into(), (0, 2));
        assert_eq!(started(&mut lanes), None, "it is here, but the ledger has not answered");
        lanes.know(&ticket(), 2, Standing::Settled);
        assert_eq!(started(&mut lanes), Some(vec![0, 1, 2]));
    }

    #[test]
    fn an_event_with_an_answer_is_neither_superseded_nor_passed_over() {
        use Standing::{Answered, Decidable};
        let mut lanes = lanes(true, &[Decidable, Answered, Decidable]);
        assert_eq!(started(&mut lanes), Some(vec![0]));
        lanes.finish(&ticket());
        assert_eq!(started(&mut lanes), Some(vec![1]));
    }

    #[test]
    fn a_saved_superseded_event_leaves_alone_when_something_in_between_needs_work() {
        use Standing::{Answered, Settled, SupersededBy};
        let mut lanes = lanes(true, &[SupersededBy("event-2".to_owned()), Answered, Settled]);
        assert_eq!(started(&mut lanes), Some(vec![0]));
    }

    #[test]
    fn a_saved_superseded_event_does_not_wait_for_one_that_cannot_come() {
        let mut lanes = lanes(true, &[Standing::SupersededBy("gone".to_owned())]);
        assert_eq!(lanes.start(&ticket(), true).map(|unit| unit.items), Some(vec![0]));
    }

    #[test]
    fn a_lane_whose_unit_was_taken_away_goes_on_with_the_rest() {
        let mut lanes = lanes(false, &[Standing::Decidable, Standing::Decidable, Standing::Decidable]);
        assert_eq!(started(&mut lanes), Some(vec![0]));
        lanes.leave(&ticket(), |item| item == 0);
        assert_eq!(started(&mut lanes), Some(vec![1]));
        lanes.leave(&ticket(), |item| item == 2);
        assert_eq!(started(&mut lanes), None, "the unit at work stays at work");
        lanes.finish(&ticket());
        assert!(lanes.is_empty());
    }

    #[test]
    fn a_unit_that_waits_for_admission_grows_with_what_comes() {
        let mut lanes = lanes(true, &[Standing::Decidable]);
        assert_eq!(started(&mut lanes), Some(vec![0]));
        lanes.join(&ticket(), 1, "event-1".into(), (0, 1));
        assert_eq!(lanes.grow(&ticket()).map(|unit| unit.items), Some(vec![0]), "not yet known");
        lanes.know(&ticket(), 1, Standing::Decidable);
        assert_eq!(lanes.grow(&ticket()).map(|unit| unit.items), Some(vec![0, 1]));
        lanes.finish(&ticket());
        assert_eq!(lanes.grow(&ticket()), None);
    }

    #[test]
    fn one_that_comes_back_stands_where_it_stood() {
        let mut lanes = lanes(false, &[Standing::Decidable]);
        assert_eq!(started(&mut lanes), Some(vec![0]));
        for (item, place) in [(5, (0, 5)), (7, (0, 7)), (6, (0, 6)), (9, (1, 1)), (8, (0, 8))] {
            lanes.join(&ticket(), item, format!("event-{item}").into(), place);
            lanes.know(&ticket(), item, Standing::Settled);
        }
        lanes.finish(&ticket());
        let rest = std::iter::from_fn(|| {
            let unit = started(&mut lanes);
            lanes.finish(&ticket());
            unit
        });
        assert_eq!(rest.flatten().collect::<Vec<_>>(), [5, 6, 7, 9, 8], "another partition is in no order with it");
    }

    #[test]
    fn one_that_comes_back_does_not_get_between_a_unit_at_work() {
        let mut lanes = lanes(true, &[]);
        for item in [5, 6] {
            lanes.join(&ticket(), item, format!("event-{item}").into(), (0, item as u64));
            lanes.know(&ticket(), item, Standing::Decidable);
        }
        assert_eq!(started(&mut lanes), Some(vec![5, 6]));
        lanes.join(&ticket(), 3, "event-3".into(), (0, 3));
        assert_eq!(lanes.unit(&ticket()).map(|unit| unit.items), Some(vec![5, 6]));
        assert_eq!(lanes.head(&ticket()), Some(5));
    }

    #[test]
    fn what_stands_behind_an_event_that_is_put_off_is_put_off_too_until_the_lane_is_empty() {
        let mut lanes = lanes(true, &[Standing::Settled, Standing::Decidable, Standing::Unknown]);
        assert_eq!(lanes.put_aside(&ticket(), 1, 2), [1, 2]);
        assert_eq!([0, 1, 2, 3].map(|offset| lanes.aside(&ticket(), (0, offset))), [None, Some(2), Some(2), Some(2)]);
        assert_eq!(lanes.aside(&ticket(), (1, 9)), None, "another partition");
        assert_eq!(lanes.put_aside(&ticket(), 2, 3), [2]);
        assert_eq!(lanes.aside(&ticket(), (0, 1)), Some(2), "the earliest counts");
        lanes.leave(&ticket(), |_| true);
        lanes.join(&ticket(), 9, "event-9".into(), (0, 9));
        assert_eq!(lanes.aside(&ticket(), (0, 9)), None);
    }

    #[test]
    fn a_lane_is_put_off_from_the_next_one_that_leaves_when_the_first_is_back() {
        let mut lanes = lanes(true, &[Standing::Settled, Standing::Unknown, Standing::Settled, Standing::Unknown]);
        let aside = |lanes: &Lanes<usize>| [0, 1, 2, 3].map(|offset| lanes.aside(&ticket(), (0, offset)).is_some());
        lanes.put_aside(&ticket(), 0, 2);
        lanes.is_back(&ticket(), (0, 1), |_| false);
        lanes.is_back(&ticket(), (1, 0), |_| false);
        assert_eq!(aside(&lanes), [true; 4], "another one is back, or one of another partition");
        lanes.is_back(&ticket(), (0, 0), |item| item == 2);
        assert_eq!(aside(&lanes), [false, false, true, true]);
        lanes.is_back(&ticket(), (0, 2), |_| false);
        assert_eq!(aside(&lanes), [false; 4]);
    }

    #[test]
    fn a_unit_whose_newest_event_is_put_off_is_at_work_no_longer() {
        let mut lanes = lanes(true, &[Standing::Decidable, Standing::Decidable]);
        assert_eq!(started(&mut lanes), Some(vec![0, 1]));
        assert_eq!(lanes.put_aside(&ticket(), 0, 0), [0, 1]);
        assert_eq!(lanes.unit(&ticket()), None);
    }

    #[test]
    fn a_unit_that_starts_over_may_grow() {
        let mut lanes = lanes(true, &[Standing::Decidable]);
        assert_eq!(started(&mut lanes), Some(vec![0]));
        lanes.join(&ticket(), 1, "event-1".into(), (0, 1));
        lanes.know(&ticket(), 1, Standing::Decidable);
        lanes.rewind(&ticket());
        assert_eq!(started(&mut lanes), Some(vec![0, 1]));
    }
}
