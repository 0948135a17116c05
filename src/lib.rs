//! AI Gatekeeper: reads support events from a log, decides **once** per event what should happen to the ticket, and
//! publishes that decision.
//!
//! ```text
//!  events ----> ingest ----> dedupe ----> lane ----> admit ----> triage ----> decide ----> publish
//!               decode,      first,       one at     tenant      breaker,     policy in    records in memory
//!               validate     same record, a time     buckets,    retry,       code, not    until the next burst:
//!               or reject    duplicate    per        fairness    model,       in the       records + offsets +
//!                            or conflict  ticket                 fallback     model        finished set, at once
//!  human feedback ----> ingest ----> dedupe ----> review (joined with its decision) ------------> publish
//! ```
//!
//! The invariants, in one place:
//! - every event read ends in exactly one terminal, every record of human feedback in one review or one dead letter,
//!   published in the transaction that moves its offset;
//! - an offset leaves the frontier only by a confirmed commit;
//! - an answer is saved before it is judged, a verdict before it is published;
//! - what waits is bounded, and a full queue stops the reading.
//!
//! Modules in the order of who knows whom, least first.

pub mod domain;
pub mod settings;
pub mod telemetry;

pub mod pipeline;

pub mod operations;

pub mod adapters;
pub mod http;

pub mod app;
pub mod cli;

pub mod failpoints;
pub mod sabotage;
