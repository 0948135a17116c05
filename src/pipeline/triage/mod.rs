//! Guarded triage.

pub mod model;
