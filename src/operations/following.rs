//! A processor follows what operators change: one cheap question every second, and the changes if the answer is new.
//!
//! Entries may be given twice, never left out: the revision that is remembered was asked for before the entries were read.
//! While the database is away the last known goes on; nothing here ever ends a processor.

use std::sync::Arc;

use super::breakers::{BreakerBoard, Order};
use super::flags::{self, live::LiveFlags};
use super::tenants::live::{InForce, LiveTenants, Source, Switched};
use super::tenants::shelf::{KEPT, Refused};
use super::trail::{AuditTrail, Change, Kind};
use crate::domain::clock::Clock;
use crate::domain::ops_event::{OpsEvent, OpsKind};
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::settings::tenants::TenantsError;
use crate::telemetry::happenings::{
    ChangesTaken, ChangesUnread, FlagRefused, FlagShare, FlagSwitched, RefusedFrom, TenantSwitched, TenantsRefused,
    TenantsReloaded,
};
use crate::telemetry::tenant_labels;

/// What a processor and its operators have in common in a database.
pub trait Changes: AuditTrail + BreakerBoard {}

impl<T: AuditTrail + BreakerBoard> Changes for T {}

/// Tells operators.
pub type OnOpsEvent = Box<dyn Fn(OpsEvent) + Send + Sync>;

/// Does what operators order.
pub type OnOrder = Box<dyn Fn(Order) + Send + Sync>;

/// What the trail says that was not known.
#[derive(Debug)]
pub struct News {
    revision: u64,
    /// The trail is shorter than it was: what it says counts alone.
    from_the_beginning: bool,
    tenants: Vec<Change>,
    /// The newest of each breaker.
    orders: Vec<Change>,
    flags: Vec<Change>,
}

impl News {
    /// Nothing, if the newest entry is still the known one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn of(trail: &dyn AuditTrail, known: u64) -> Result<Option<Self>, LedgerError> {
        let revision = trail.revision().await?;
        if revision == known {
            return Ok(None);
        }
        let from_the_beginning = revision < known;
        let since = if from_the_beginning { 0 } else { known };
        let tenants = trail.since(Kind::Tenant, since, KEPT).await?;
        let orders = trail.since(Kind::Breaker, since, 1).await?;
        let flags = trail.since(Kind::Flag, since, flags::live::KEPT).await?;
        Ok(Some(Self { revision, from_the_beginning, tenants, orders, flags }))
    }
}

/// Follows.
pub struct Following {
    tenants: LiveTenants,
    flags: LiveFlags,
    known: u64,
    is_away: bool,
    clock: Arc<dyn Clock>,
    processor: String,
    on_ops_event: OnOpsEvent,
    on_order: OnOrder,
}

impl Following {
    /// From these tenants and flags on, of which operators are told in the name of this processor.
    #[must_use]
    pub fn new(
        tenants: LiveTenants,
        flags: LiveFlags,
        clock: Arc<dyn Clock>,
        processor: String,
        on_ops_event: OnOpsEvent,
        on_order: OnOrder,
    ) -> Self {
        flags
            .book()
            .rules()
            .for_each(|(flag, tenant_id, rule)| FlagShare { flag, tenant_id, share: rule.share }.record());
        Self { tenants, flags, known: 0, is_away: false, clock, processor, on_ops_event, on_order }
    }

    /// The newest change that was taken.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.known
    }

    /// Take what is new. While the database is away this says so once, and changes nothing. Whether it is back; an error: why
    /// it is away.
    pub async fn look(&mut self, trail: &dyn AuditTrail) -> Result<bool, String> {
        match News::of(trail, self.known).await {
            Ok(news) => {
                let is_back = std::mem::take(&mut self.is_away);
                let (switched, flags) = news.map(|news| self.take(news)).unwrap_or_default();
                self.tell(switched);
                flags.iter().for_each(|switched| self.tell_flag(switched));
                Ok(is_back)
            }
            Err(error) => {
                let why = error.to_string();
                ChangesUnread { error: &why, again: self.is_away }.record();
                self.is_away = true;
                Err(why)
            }
        }
    }

    /// What was changed before this processor started: in force, and no news to anybody.
    pub fn start_from(&mut self, news: News) {
        let (switched, _) = self.take(news);
        tenant_labels::reserve(switched.iter().map(|switched| switched.tenant.as_str()));
    }

    /// Put news in force. Says whose policy, and which rules for flags, are others now.
    fn take(&mut self, news: News) -> (Vec<Switched>, Vec<flags::live::Switched>) {
        let News { revision, from_the_beginning, tenants, orders, flags } = news;
        let (switched, refused) =
            if from_the_beginning { self.tenants.take_all(tenants) } else { self.tenants.take(tenants) };
        self.known = revision;
        ChangesTaken { revision }.record();
        refused.iter().for_each(|refused| self.tell_refused(refused));
        // An order that is given twice is done already.
        orders.into_iter().filter_map(|order| Order::of(order, self.clock.now())).for_each(&self.on_order);
        let (flags, refused) = if from_the_beginning { self.flags.take_all(flags) } else { self.flags.take(flags) };
        refused.iter().for_each(|mistake| self.tell_flag_refused(mistake));
        for flags::live::Switched { subject, to, .. } in &flags {
            FlagShare { flag: subject.flag, tenant_id: subject.tenant.as_deref(), share: to.share }.record();
        }
        (switched, flags)
    }

    /// The files again, as a whole or not at all.
    pub fn reload_files(&mut self) {
        match self.tenants.reload_files() {
            Ok(switched) => {
                let is_of_file = |in_force: &&InForce| in_force.source == Source::File;
                let of_file = self.tenants.in_force().filter(is_of_file).count();
                let hides_file =
                    |in_force: &&InForce| matches!(in_force.source, Source::Database { hides_file: true, .. });
                let hidden = self.tenants.in_force().filter(hides_file).count();
                let changed_files =
                    switched.iter().filter_map(|switched| switched.to.as_ref()).filter(is_of_file).count();
                TenantsReloaded { changed: switched.len(), unchanged: of_file - changed_files, hidden }.record();
                self.tell(switched);
            }
            Err(error) => {
                TenantsRefused { from: RefusedFrom::Files, mistakes: &error.to_string() }.record();
                if let TenantsError::Invalid(problems) = &error {
                    let problems = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    (self.on_ops_event)(self.ops_event(OpsKind::PolicyRejected, None, None, None, &problems));
                }
            }
        }
    }

    fn tell(&self, switched: Vec<Switched>) {
        tenant_labels::reserve(switched.iter().map(|switched| switched.tenant.as_str()));
        for Switched { tenant, from, to } in switched {
            let named = |policy: InForce| format!("{} ({})", policy.tenant.version, policy.source);
            let (from, to) = (from.map(named), to.map(named));
            TenantSwitched { tenant_id: &tenant, from: from.as_deref(), to: to.as_deref() }.record();
            (self.on_ops_event)(self.ops_event(OpsKind::PolicyLoaded, Some(tenant), from, to, ""));
        }
    }

    fn tell_flag(&self, switched: &flags::live::Switched) {
        let flags::live::Switched { subject, from, to } = switched;
        let [from, to] = [from, to].map(|rule| format!("{} ({})", rule.share, rule.source));
        FlagSwitched { flag: subject.flag, tenant_id: subject.tenant.as_deref(), from: &from, to: &to }.record();
        let event = self.ops_event(OpsKind::PolicyLoaded, subject.tenant.clone(), Some(from), Some(to), "");
        (self.on_ops_event)(OpsEvent { component: Some(format!("flag {}", subject.flag)), ..event });
    }

    fn tell_flag_refused(&self, mistake: &str) {
        FlagRefused { mistake }.record();
        let event = self.ops_event(OpsKind::PolicyRejected, None, None, None, mistake);
        (self.on_ops_event)(OpsEvent { component: Some("flag".to_owned()), ..event });
    }

    fn tell_refused(&self, refused: &Refused) {
        let mistakes = refused.to_string();
        TenantsRefused { from: RefusedFrom::Database, mistakes: &mistakes }.record();
        let tenant = Some(refused.tenant.clone());
        (self.on_ops_event)(self.ops_event(OpsKind::PolicyRejected, tenant, None, None, &mistakes));
    }

    fn ops_event(
        &self,
        kind: OpsKind,
        tenant_id: Option<String>,
        previous: Option<String>,
        current: Option<String>,
        why: &str,
    ) -> OpsEvent {
        let why = (!why.is_empty()).then(|| ("why".to_owned(), why.to_owned()));
        OpsEvent {
            ops_event_id: uuid::Uuid::new_v4().to_string(),
            at: self.clock.now(),
            kind,
            tenant_id,
            component: None,
            previous,
            current,
            attributes: why.into_iter().collect(),
            processor: self.processor.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use futures_util::future::BoxFuture;
    use tokio::sync::watch;

    use super::*;
    use crate::domain::clock::{HandClock, Timestamp};
    use crate::domain::flags::{Flag, FlagBook, Share};
    use crate::domain::tenant::TenantBook;
    use crate::operations::tenants::shelf::tests::{entry, set};
    use crate::operations::trail::{Act, Appended, NewChange};
    use crate::settings::tenants::{Tenants, UnknownTenant};
    use crate::telemetry::recorder;

    /// A trail in memory; `None`: it is away.
    struct Memory(Mutex<Option<Vec<Change>>>);

    impl Memory {
        fn of(changes: Vec<Change>) -> Self {
            Self(Mutex::new(Some(changes)))
        }

        fn now(&self, changes: Option<Vec<Change>>) {
            *self.0.lock().expect("nobody panics with it") = changes;
        }

        fn read<T>(&self, read: impl FnOnce(&[Change]) -> T) -> Result<T, LedgerError> {
            let changes = self.0.lock().expect("nobody panics with it");
            changes.as_deref().map(read).ok_or_else(|| LedgerError::Unavailable("it is away".to_owned()))
        }
    }

    impl AuditTrail for Memory {
        fn revision(&self) -> BoxFuture<'_, Result<u64, LedgerError>> {
            let newest = self.read(|changes| changes.iter().map(|change| change.revision).max().unwrap_or_default());
            Box::pin(async { newest })
        }

        fn since(&self, kind: Kind, revision: u64, _: u32) -> BoxFuture<'_, Result<Vec<Change>, LedgerError>> {
            let is_new = |change: &&Change| change.kind == kind && change.revision > revision;
            let since = self.read(|changes| changes.iter().filter(is_new).cloned().collect());
            Box::pin(async { since })
        }

        fn list<'a>(
            &'a self,
            _: Option<Kind>,
            _: Option<&'a str>,
            _: u32,
        ) -> BoxFuture<'a, Result<Vec<Change>, LedgerError>> {
            unreachable!("a processor does not look back")
        }

        fn append(&self, _: NewChange) -> BoxFuture<'_, Result<Appended, LedgerError>> {
            unreachable!("a processor changes nothing")
        }
    }

    struct Followed {
        following: Following,
        book: watch::Receiver<Arc<TenantBook>>,
        flags: watch::Receiver<Arc<FlagBook>>,
        told: Arc<Mutex<Vec<OpsEvent>>>,
        orders: Arc<Mutex<Vec<Order>>>,
    }

    impl Followed {
        fn new() -> Self {
            let poll_interval = std::time::Duration::from_secs(1);
            let settings = Tenants { directory: None, unknown: UnknownTenant::Reject, poll_interval };
            let (sender, book) = watch::channel(Arc::default());
            let tenants = LiveTenants::new(settings, sender).expect("there are no files");
            let (sender, flags) = watch::channel(Arc::default());
            let live_flags = LiveFlags::new(FlagBook::default(), sender);
            let (told, orders) = (Arc::<Mutex<Vec<OpsEvent>>>::default(), Arc::<Mutex<Vec<Order>>>::default());
            let (hear, obey) = (told.clone(), orders.clone());
            let following = Following::new(
                tenants,
                live_flags,
                Arc::new(HandClock::default()),
                "gk-1".to_owned(),
                Box::new(move |event| hear.lock().expect("nobody panics with it").push(event)),
                Box::new(move |order| obey.lock().expect("nobody panics with it").push(order)),
            );
            Self { following, book, flags, told, orders }
        }

        fn version(&self) -> Option<String> {
            self.book.borrow().find("acme").map(|tenant| tenant.version.clone())
        }

        fn orders(&self) -> Vec<Order> {
            std::mem::take(&mut self.orders.lock().expect("nobody panics with it"))
        }
    }

    fn order(revision: u64, act: Act) -> Change {
        Change { kind: Kind::Breaker, ..entry(revision, "gpt", act, None) }
    }

    #[tokio::test]
    async fn while_the_database_is_away_what_was_known_goes_on_and_that_is_said_once() {
        let (recorder, metrics) = recorder::local();
        let _here = metrics::set_default_local_recorder(&recorder);
        let (mut followed, trail) = (Followed::new(), Memory::of(vec![set(1, "acme", "a")]));
        assert_eq!(followed.following.look(&trail).await, Ok(false));
        trail.now(None);
        for _ in 0..2 {
            followed.following.look(&trail).await.expect_err("it is away");
        }
        assert_eq!((followed.version().as_deref(), followed.following.revision()), (Some("a"), 1));
        trail.now(Some(vec![set(1, "acme", "a"), set(2, "acme", "b")]));
        assert_eq!(followed.following.look(&trail).await, Ok(true), "it is back");
        assert_eq!((followed.version().as_deref(), followed.following.revision()), (Some("b"), 2));
        let text = metrics.render();
        assert!(text.contains("gatekeeper_changes_unread_total 2") && text.contains("gatekeeper_changes_revision 2"));
    }

    #[tokio::test]
    async fn every_switch_and_every_mistake_is_told_to_operators() {
        let wrong = entry(2, "acme", Act::Set, Some("id = 'acme'\ndecide_by = 'soon'"));
        let (mut followed, trail) = (Followed::new(), Memory::of(vec![set(1, "acme", "a"), wrong]));
        followed.following.look(&trail).await.expect("it answers");
        followed.following.look(&trail).await.expect("it answers");
        let told = followed.told.lock().expect("nobody panics with it");
        let told: Vec<_> = told.iter().map(|event| (event.kind, event.current.as_deref())).collect();
        assert_eq!(told, [(OpsKind::PolicyRejected, None), (OpsKind::PolicyLoaded, Some("a (database, revision 1)"))]);
    }

    #[tokio::test]
    async fn what_was_changed_before_the_start_is_in_force_and_no_news() {
        let (mut followed, trail) = (Followed::new(), Memory::of(vec![set(1, "acme", "a"), order(2, Act::Opened)]));
        let news = News::of(&trail, 0).await.expect("it is there").expect("it is not empty");
        followed.following.start_from(news);
        assert_eq!((followed.version().as_deref(), followed.orders().len()), (Some("a"), 1));
        followed.following.look(&trail).await.expect("it answers");
        assert_eq!((followed.told.lock().expect("nobody panics with it").len(), followed.orders().len()), (0, 0));
    }

    #[tokio::test]
    async fn an_order_is_carried_out_once_and_not_again_with_the_next_change() {
        let (mut followed, trail) = (Followed::new(), Memory::of(vec![order(1, Act::Opened)]));
        followed.following.look(&trail).await.expect("it answers");
        assert_eq!(followed.orders(), [Order::Open { model: "gpt".to_owned(), lasts: None }]);
        trail.now(Some(vec![order(1, Act::Opened), set(2, "acme", "a")]));
        followed.following.look(&trail).await.expect("it answers");
        assert_eq!(followed.orders(), []);
        trail.now(Some(vec![order(1, Act::Opened), set(2, "acme", "a"), order(3, Act::Reset)]));
        followed.following.look(&trail).await.expect("it answers");
        assert_eq!(followed.orders(), [Order::Reset { model: "gpt".to_owned() }]);
    }

    #[tokio::test]
    async fn an_order_whose_time_passed_while_the_database_was_away_ends_the_one_before_it() {
        let (mut followed, trail) = (Followed::new(), Memory::of(vec![order(1, Act::Opened)]));
        followed.following.look(&trail).await.expect("it answers");
        assert_eq!(followed.orders(), [Order::Open { model: "gpt".to_owned(), lasts: None }]);
        trail.now(None);
        followed.following.look(&trail).await.expect_err("it is away");
        let for_a_while = Change { until: Some(Timestamp(0)), ..order(2, Act::Opened) };
        trail.now(Some(vec![order(1, Act::Opened), for_a_while]));
        followed.following.look(&trail).await.expect("it answers");
        assert_eq!(followed.orders(), [Order::Open { model: "gpt".to_owned(), lasts: Some(Duration::ZERO) }]);
    }

    #[tokio::test]
    async fn flags_are_switched_told_and_stay_while_the_database_is_away() {
        let (recorder, metrics) = recorder::local();
        let _here = metrics::set_default_local_recorder(&recorder);
        let rule = |revision, subject, share| flags::live::tests::entry(revision, subject, Some(share));
        let (mut followed, trail) = (Followed::new(), Memory::of(vec![rule(1, "hold", "off")]));
        let news = News::of(&trail, 0).await.expect("it is there").expect("it is not empty");
        followed.following.start_from(news);
        assert_eq!(followed.told.lock().expect("nobody panics with it").len(), 0, "no news at the start");
        trail.now(Some(vec![rule(1, "hold", "off"), rule(2, "apply/acme", "25%"), rule(3, "apply", "half")]));
        followed.following.look(&trail).await.expect("it answers");
        trail.now(None);
        followed.following.look(&trail).await.expect_err("it is away");
        let counts = |flag, tenant| followed.flags.borrow().counts(flag, tenant).share;
        assert_eq!((counts(Flag::Hold, None), counts(Flag::Apply, Some("acme")).percent()), (Share::OFF, 25.0));
        let told = followed.told.lock().expect("nobody panics with it");
        let told: Vec<_> = told.iter().map(|e| (e.kind, e.component.as_deref(), e.current.as_deref())).collect();
        let loaded = (OpsKind::PolicyLoaded, Some("flag apply"), Some("25% (database, revision 2)"));
        assert_eq!(told[..1], [(OpsKind::PolicyRejected, Some("flag"), None)]);
        assert!(told.contains(&loaded), "{told:?}");
        let text = metrics.render();
        for line in [
            "gatekeeper_flag_share_percent{flag=\"hold\",whose=\"everybody\"} 0\n",
            "gatekeeper_flag_share_percent{flag=\"apply\",whose=\"tenant:acme\"} 25\n",
            "gatekeeper_flags_refused_total 1\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[tokio::test]
    async fn a_trail_that_became_shorter_counts_alone() {
        let (mut followed, trail) = (Followed::new(), Memory::of(vec![set(1, "acme", "a"), set(2, "acme", "b")]));
        followed.following.look(&trail).await.expect("it answers");
        trail.now(Some(vec![set(1, "acme", "a")]));
        followed.following.look(&trail).await.expect("it answers");
        assert_eq!((followed.version().as_deref(), followed.following.revision()), (Some("a"), 1));
    }
}
