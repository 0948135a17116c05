//! Why a partition is not read until a person has looked, and with which command it goes on.

use crate::domain::position::{Partition, TopicRole};

/// Nobody knows what is finished above the offset. The ledger does, of events that it took.
pub(super) fn damaged(partition: Partition, base: u64, why: &str) -> String {
    format!(
        "{why}; what is finished from offset {base} on is not known: {}; what the ledger knows of it ends silently, and \
         duplicates and rejected records are told a second time",
        go_on(partition, base, AGAIN)
    )
}

/// Nothing is damaged: whoever wrote it can read it.
pub(super) fn of_another_build(why: &str) -> String {
    format!(
        "{why}: another build of this program wrote it, and nothing is damaged; run that build here, or a newer one, and it goes \
         on where it stood"
    )
}

/// Retention was faster than the group. Going on would hide it. `open`: the first of what is left that is not finished.
pub(super) fn lost_unread(partition: Partition, committed: u64, log_start: u64, open: u64) -> String {
    // Nobody can tell which events' copies they were, while processors run.
    let and_then = match partition.topic {
        TopicRole::Deferred(_) => ", and then `gatekeeper ledger --rebuild`, so that nothing waits for what is gone",
        _ => "",
    };
    format!(
        "offsets {committed} to {log_start} are gone from the log before they were read; {}{and_then}",
        go_on(partition, open, "")
    )
}

/// The place is below where the group stood, or the ledger's first open record may be beyond it.
const AGAIN: &str = " --again";

/// What an operator does about a partition that is stopped.
fn go_on(partition: Partition, offset: u64, again: &str) -> String {
    let (topic, number) = (partition.topic.key(), partition.number);
    format!(
        "to go on there, stop the processors of this group and run \
         `gatekeeper topics --position {topic}:{number}={offset}{again}`"
    )
}

/// The log has lost its end, with records that were worked on. Other records stand or will stand there, and must not pass for
/// those. `open`: the first of what is left that is not finished.
pub(super) fn cut_off(partition: Partition, known: u64, log_end: u64, open: u64) -> String {
    let what = if known > log_end {
        format!("the log ends at offset {log_end}, though it was read up to {known} before: it was cut off")
    } else {
        format!("the log was cut off below what was read of it, and has grown to offset {log_end} since")
    };
    format!(
        "{what}, as by an unclean election or a restored disk; {}: what is left and not finished is read, and what was written \
         since; what the ledger knows of it ends silently, and duplicates and rejected records are told a second time",
        go_on(partition, open, AGAIN)
    )
}

/// The log forgot; earlier records may be past the ledger's window.
pub(super) fn position_lost(partition: Partition, base: u64) -> String {
    format!(
        "the group has no committed position here, though it stood at offset {base} when the ledger last heard of it; say \
         from where it goes on: stop the processors of this group and run \
         `gatekeeper topics --position {topic}:{number}=after-ledger` (or =OFFSET; what is finished is read again only with \
         --again)",
        topic = partition.topic.key(),
        number = partition.number,
    )
}
