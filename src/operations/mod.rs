//! WHAT AN OPERATOR MAY DO: one module an operation; command line, API and console all call these.

pub mod audit;
pub mod log_browser;
pub mod train;
