//! WHAT AN OPERATOR MAY DO: one module an operation; command line, API and console all call these.

pub mod train;
