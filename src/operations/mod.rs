//! WHAT AN OPERATOR MAY DO: command line, API and console all call this.

pub mod log_browser;
