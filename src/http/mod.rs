//! What the process says over HTTP: metrics and health.
//!
//! [`mod@router`] has every route on one screen; each response carries the headers of [`security_headers`], each error the
//! shape of [`problem`]. There is no login yet, so it listens on loopback unless told otherwise. What does not belong
//! here: adapters; what is known about a dependency is told to [`health::Health`] by whoever uses it.

mod connections;
pub mod health;
pub mod problem;
pub mod router;
pub mod security_headers;
pub mod server;

pub use health::{Health, State};
pub use router::router;
pub use server::{ServeError, bind, serve};
