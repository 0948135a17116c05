//! WHAT AN OPERATOR MAY DO: one module an operation; command line, API and console all call these.

pub mod audit;
pub mod explain;
pub mod log_browser;
pub mod positions;
pub mod publish;
pub mod rebuild;
pub mod schemas;
pub mod train;
pub mod watch;
