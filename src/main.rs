//! Parse the command line, run one command, turn its result into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use gatekeeper::app;
use gatekeeper::cli::Cli;

fn main() -> ExitCode {
    app::main(Cli::parse())
}
