//! Rules that a test build can break on purpose, to prove that the checks catch it.
//!
//! One switch each, chosen by the variable `GATEKEEPER_SABOTAGE` at start. Without the feature `sabotage` every question
//! is answered `false` at compile time; with it, a build without debug assertions does not compile.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the feature `sabotage` breaks promises on purpose and never goes into a release build");

/// The rules that can be broken. The checker's own, a reader on `read_uncommitted`, is a switch of the battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A commit that passes over an unfinished record.
    CommitOverHole,
    /// A dedupe key without its tenant.
    KeyWithoutTenant,
    /// Offsets committed ahead of the outputs they stand for.
    OffsetsBeforeOutputs,
    /// Finished sets left out of the commit when they do not fit.
    MetadataStripped,
    /// Work goes on, and is published, after a partition was taken away.
    WorkAfterRevocation,
    /// A ledger that does not survive power loss.
    LedgerNotDurable,
    /// Offsets committed by themselves, behind the outputs they stand for.
    OffsetsOutsideTransaction,
    /// An aborted burst's results do not come back, and the position goes on past them.
    NoReturnAfterAbort,
    /// A producer whose commit had to be asked for twice is used again.
    ProducerReused,
    /// A commit of unknown outcome counts as not committed.
    UnknownIsNotCommitted,
    /// Records that are not acknowledged in time are sent again, as new ones.
    SentAgainOnTimeout,
    /// Offsets sent as somebody who never joined the group, which brokers do not fence.
    NoGroupMetadata,
    /// A transactional id that is another one in every process.
    RandomTransactionalId,
    /// A transaction that stays open for as long as a model takes.
    CallInsideTransaction,
    /// Without a committed position reading begins at the end.
    StartAtLatest,
    /// A transaction in which a record was not delivered counts as committed.
    DeliveryErrorIgnored,
}

impl Sabotage {
    /// Its name in the environment.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommitOverHole => "commit_over_hole",
            Self::KeyWithoutTenant => "key_without_tenant",
            Self::OffsetsBeforeOutputs => "offsets_before_outputs",
            Self::MetadataStripped => "metadata_stripped",
            Self::WorkAfterRevocation => "work_after_revocation",
            Self::LedgerNotDurable => "ledger_not_durable",
            Self::OffsetsOutsideTransaction => "offsets_outside_transaction",
            Self::NoReturnAfterAbort => "no_return_after_abort",
            Self::ProducerReused => "producer_reused",
            Self::UnknownIsNotCommitted => "unknown_is_not_committed",
            Self::SentAgainOnTimeout => "sent_again_on_timeout",
            Self::NoGroupMetadata => "no_group_metadata",
            Self::RandomTransactionalId => "random_transactional_id",
            Self::CallInsideTransaction => "call_inside_transaction",
            Self::StartAtLatest => "start_at_latest",
            Self::DeliveryErrorIgnored => "delivery_error_ignored",
        }
    }
}

/// Whether this rule is to be broken.
#[cfg(not(feature = "sabotage"))]
#[must_use]
pub const fn on(_: Sabotage) -> bool {
    false
}

#[cfg(feature = "sabotage")]
pub use chosen::{choose, on};

#[cfg(feature = "sabotage")]
mod chosen {
    use std::cell::RefCell;
    use std::sync::OnceLock;

    use super::Sabotage;

    thread_local! {
        static CHOSEN_HERE: RefCell<Option<Sabotage>> = const { RefCell::new(None) };
    }

    /// Break this rule on this thread only (the simulation runs on one thread).
    pub fn choose(sabotage: Option<Sabotage>) {
        CHOSEN_HERE.with(|chosen| *chosen.borrow_mut() = sabotage);
    }

    /// Whether this rule is to be broken.
    #[must_use]
    pub fn on(sabotage: Sabotage) -> bool {
        static FROM_ENVIRONMENT: OnceLock<Option<String>> = OnceLock::new();
        if CHOSEN_HERE.with(|chosen| *chosen.borrow() == Some(sabotage)) {
            return true;
        }
        let name = FROM_ENVIRONMENT.get_or_init(|| std::env::var("GATEKEEPER_SABOTAGE").ok());
        name.as_deref() == Some(sabotage.name())
    }
}
