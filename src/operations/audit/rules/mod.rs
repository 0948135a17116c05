//! The rules, one file a promise. Each looks at the whole case and adds what it finds to the report.

mod better;
mod changes;
mod dead_letters;
mod decisions;
mod order;
mod others;
mod paid_once;
mod reviews;
mod terminals;

pub(super) use self::better::better;
pub(super) use self::changes::changes;
pub(super) use self::dead_letters::dead_letters;
pub(super) use self::decisions::decisions;
pub(super) use self::order::order;
pub(super) use self::others::others;
pub(super) use self::paid_once::paid_once;
pub(super) use self::reviews::reviews;
pub(super) use self::terminals::terminals;
