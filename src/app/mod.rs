//! THE ONLY PLACE THAT KNOWS EVERYTHING: wiring and commands.

pub mod simulator;
