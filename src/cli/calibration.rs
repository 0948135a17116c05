//! Flags of `calibration`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Output;
use super::operating::ByArgs;

/// Flags of `calibration`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CalibrationArgs {
    /// What to do; without it: tell.
    #[command(subcommand)]
    pub command: Option<CalibrationCommand>,
    /// Only this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this field, e.g. category.
    #[arg(long)]
    pub field: Option<String>,
    /// Split each field once more.
    #[arg(long, value_enum)]
    pub by: Option<CalibrationBy>,
    /// Draw it into this file as well (SVG).
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Output,
}

/// By what a field is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CalibrationBy {
    /// What was predicted.
    Label,
    /// The language that was recognised.
    Language,
    /// The model that was asked.
    Model,
    /// The prompt it was asked with.
    Prompt,
}

/// What to do with what people said.
#[derive(Debug, Clone, Subcommand)]
pub enum CalibrationCommand {
    /// Put tables of every field about which enough was said into a tenant's policy, as a new version of it.
    Install {
        /// The tenant.
        id: String,
        /// Only this field; may repeat.
        #[arg(long = "only", value_name = "FIELD")]
        only: Vec<String>,
        /// The policy's new version; otherwise the present one with `-cal1` behind it, or the next that is free.
        #[arg(long, value_name = "VERSION")]
        policy_version: Option<String>,
        /// Change nothing: print the policy as it would stand, to look at or to put into its file.
        #[arg(long)]
        print: bool,
        /// Who and why.
        #[command(flatten)]
        by: ByArgs,
    },
}
