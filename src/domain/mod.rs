//! WORDS: the values everything else speaks in.
//!
//! Pure: no async, no I/O, nothing of ours imported. The records that travel on topics stand here field for field as in
//! `schemas/`; beside them the words the road uses between its stages (position, identity, tenant, answer, verdict).

pub mod answer;
pub mod better;
pub mod body_hash;
pub mod budget;
pub mod bytes;
pub mod calibration;
pub mod clock;
pub mod dead_letter;
pub mod decision;
pub mod deferral;
pub mod event;
pub mod feedback;
pub mod flags;
pub mod human_feedback;
pub mod identity;
pub mod money;
pub mod ops_event;
pub mod past_decision;
pub mod phrase;
pub mod position;
pub mod reason_code;
pub mod record;
pub mod redrive;
pub mod review;
#[cfg(test)]
pub(crate) mod samples;
pub mod silence;
pub mod taxonomy;
pub mod tenant;
pub mod text;
pub mod verdict;
