//! WHAT AN OPERATOR MAY DO: one module an operation; command line, API and console all call these.

pub mod audit;
pub mod breakers;
pub mod calibration;
pub mod explain;
pub mod flags;
pub mod following;
pub mod log_browser;
pub mod positions;
pub mod publish;
pub mod rebuild;
pub mod recreated;
pub mod redrive;
pub mod schemas;
pub mod tenants;
pub mod trail;
pub mod train;
pub mod watch;
