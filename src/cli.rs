//! Commands and flags; one doc line each.

mod calibration;
mod operating;

use std::path::PathBuf;

pub use calibration::{CalibrationArgs, CalibrationBy, CalibrationCommand};
use clap::{Args, Parser, Subcommand, ValueEnum};
pub use operating::{
    BreakerArgs, BreakerCommand, ByArgs, FlagsArgs, FlagsCommand, RedriveArgs, TenantsArgs, TenantsCommand, TrailArgs,
};

/// Event-driven triage of support tickets: each event decided exactly once.
#[derive(Debug, Parser)]
#[command(name = "gatekeeper", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where settings come from.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Where settings come from: default < profile < file < environment (GATEKEEPER__SECTION__KEY) < --set.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingsArgs {
    /// A TOML file with settings.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A built-in profile: development or production.
    #[arg(long, global = true, value_name = "NAME", env = "GATEKEEPER_PROFILE")]
    pub profile: Option<String>,
    /// One setting, e.g. `--set pipeline.burst_interval=20ms`; may repeat.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

/// The form of what goes to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document, or JSON lines where there is no end.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole product in a minute: duplicates, a noisy tenant, a model outage, a crash, and what came of it.
    Demo(DemoArgs),
    /// Run the processor.
    Serve(ServeArgs),
    /// Put events from a file (JSONL, CSV, Avro) on the log.
    Publish(PublishArgs),
    /// Follow decisions and feedback.
    Watch(WatchArgs),
    /// Re-prove the promises on the log: nothing missing, nothing twice, order kept, nothing paid twice.
    Audit(AuditArgs),
    /// Why this event ended as it did.
    Explain(ExplainArgs),
    /// Send dead letters again, once what stood against them is changed; a dry run unless told otherwise.
    Redrive(RedriveArgs),
    /// Print every effective setting and the layer it came from.
    CheckConfig(CheckConfigArgs),
    /// Fit a local model to labelled tickets.
    Train(TrainArgs),
    /// Report how reliable confidence is; install calibration tables.
    Calibration(CalibrationArgs),
    /// Throughput, latency and memory of this machine with a simulated model.
    Bench(BenchArgs),
    /// Create, list and check the topics; print what must be granted.
    Topics(TopicsArgs),
    /// Compare the ledger with what was published, and bring it up to that after it has gone backwards.
    Ledger(LedgerArgs),
    /// List, check and register our schemas in the schema registry; show or set which changes it accepts.
    Schemas(SchemasArgs),
    /// List, check, set and remove tenants' policies; processors that run take them within seconds.
    Tenants(TenantsArgs),
    /// See the breakers of every instance; order a model's breaker open or closed.
    Breaker(BreakerArgs),
    /// See which capabilities are switched for whom; switch them for everybody, a tenant, or a share of tickets.
    Flags(FlagsArgs),
    /// What operators changed: who, when, why.
    Trail(TrailArgs),
    /// Create or update the ledger's tables.
    Migrate,
    /// An OpenAI-compatible provider for tests and demonstrations.
    #[command(hide = true)]
    SimulateProvider(SimulateProviderArgs),
}

/// Flags of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Keep the log, the ledger and the provider's call ledger in this folder.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Flags of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// End with exit code 0 when everything that was read has its terminal and is committed; with 1 and the reason, then, if a
    /// partition is stopped and was not read.
    #[arg(long)]
    pub until_idle: bool,
}

/// Flags of `publish`.
#[derive(Debug, Clone, Args)]
pub struct PublishArgs {
    /// The file; `-` is standard input (JSONL).
    pub file: PathBuf,
    /// How to read it; guessed from the name otherwise.
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,
    /// The tenant of rows that name none.
    #[arg(long)]
    pub tenant: Option<String>,
    /// `ce_source` of rows that name none; the file's name otherwise.
    #[arg(long)]
    pub source: Option<String>,
    /// CSV: an event's field and the column it comes from, e.g. `--map message.body=text`; may repeat.
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    pub maps: Vec<String>,
    /// Publish at most this many.
    #[arg(long)]
    pub limit: Option<u64>,
    /// At most this many a second.
    #[arg(long)]
    pub rate: Option<f64>,
    /// The form of the summary.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// How a file of events is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// One JSON event a line.
    Jsonl,
    /// A header line, then rows.
    Csv,
    /// An Avro object container file.
    Avro,
}

/// Flags of `watch`.
#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    /// Only this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this ticket.
    #[arg(long)]
    pub ticket: Option<String>,
    /// Only this status, e.g. REJECTED.
    #[arg(long)]
    pub status: Option<String>,
    /// Start at the beginning of the log instead of its end.
    #[arg(long)]
    pub from_beginning: bool,
    /// Stop when the end of the log is reached.
    #[arg(long)]
    pub until_end: bool,
    /// A table or JSON lines.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Flags of `audit`.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// The provider's own call ledger (JSON lines), to prove that nothing was paid twice.
    #[arg(long, value_name = "FILE")]
    pub calls: Option<PathBuf>,
    /// Fail if anything is not finished yet.
    #[arg(long)]
    pub finished: bool,
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Flags of `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// An event id, a decision id, an origin such as `support.events.v1-3-1042`, or the `position` of a log line.
    pub event: String,
    /// Its tenant, where event ids are not unique.
    #[arg(long)]
    pub tenant: Option<String>,
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Flags of `check-config`.
#[derive(Debug, Clone, Args)]
pub struct CheckConfigArgs {
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Flags of `train`.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// A CSV file with a header line.
    pub file: PathBuf,
    /// The column with the ticket's text.
    #[arg(long, default_value = "text")]
    pub text: String,
    /// The column with its label.
    #[arg(long, default_value = "label")]
    pub label: String,
    /// Where the weights go.
    #[arg(long, value_name = "FILE", required_unless_present = "evaluate")]
    pub out: Option<PathBuf>,
    /// Learn nothing: measure these weights on the file (`generic`: the ones that ship), without its rows marked `train`.
    #[arg(long, value_name = "WEIGHTS", conflicts_with = "out")]
    pub evaluate: Option<PathBuf>,
    /// Name of the model in decisions.
    #[arg(long, default_value = "trained")]
    pub name: String,
    /// Same seed, same weights.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Train (or measure) on at most this many rows; the rest is held out.
    #[arg(long)]
    pub limit: Option<usize>,
    /// Language of the texts (ISO 639-1), others are abstained on; may repeat.
    #[arg(long = "language", default_value = "en")]
    pub languages: Vec<String>,
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Flags of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// How long each run works, in seconds of ideal time.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Only this run: instant, lognormal, two-point, local; long and stuck run only when they are named.
    #[arg(long)]
    pub only: Option<String>,
    /// Events a second of the run that measures latency; without it half of what the backlog was worked off with.
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub pace: Option<u32>,
    /// Calls in flight.
    #[arg(long, value_name = "N")]
    pub in_flight: Option<usize>,
    /// Seed of latencies and tickets.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Which log: the embedded one in a folder of its own, or the cluster of the settings, with topics of its own there
    /// and the ledger of the settings.
    #[arg(long, value_enum, default_value_t)]
    pub log: BenchLog,
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Be the processor of one run, in a process of its own so that its memory and CPU time are its own.
    #[arg(long, value_enum, hide = true, requires = "only")]
    pub work: Option<BenchWork>,
}

/// What the processor of a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchWork {
    /// Works off what is on the log, and ends.
    Backlog,
    /// Works until its standard input is closed.
    Paced,
    /// Reads, makes two outputs of each record, and publishes them: no pipeline, no ledger, no model.
    Bare,
}

/// The log of a bench.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum BenchLog {
    /// One SQLite file.
    #[default]
    Embedded,
    /// A Kafka cluster.
    Kafka,
}

/// Flags of `topics`.
#[derive(Debug, Clone, Args)]
pub struct TopicsArgs {
    /// Create what is missing.
    #[arg(long)]
    pub create: bool,
    /// Kafka: name everything about topics and brokers that breaks a promise, and what to do; exit code 1 if there is any.
    #[arg(long, conflicts_with = "create")]
    pub check: bool,
    /// Set the committed position of a stopped partition, while no processor of the group runs:
    /// `TOPIC:PARTITION=OFFSET`, `=earliest` or `=after-ledger`; may repeat.
    #[arg(long = "position", value_name = "POSITION", conflicts_with_all = ["create", "check", "acls"])]
    pub positions: Vec<String>,
    /// With `--position`: allow positions that re-read finished records. What the ledger knows ends silently; duplicates and
    /// rejected records are told a second time; what is older than `ledger.window` is decided and paid for anew.
    #[arg(long, requires = "positions")]
    pub again: bool,
    /// With `--position`: also where that leaves out what is not finished. Those events are never decided, and copies of them
    /// that are sent again may pass for duplicates.
    #[arg(long, requires = "positions")]
    pub skip: bool,
    /// Kafka: print the grants that this installation needs, as kafka-acls.sh commands.
    #[arg(long, conflicts_with_all = ["create", "check"])]
    pub acls: bool,
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Flags of `ledger`.
#[derive(Debug, Clone, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["check", "rebuild", "recreated"])))]
pub struct LedgerArgs {
    /// Only say what it does not know of what was published; exit code 1 if there is any.
    #[arg(long)]
    pub check: bool,
    /// Re-read feedback and decisions and restore what it does not know, while no processor of the group runs.
    #[arg(long)]
    pub rebuild: bool,
    /// Topics were deleted and created again, and that was meant: let go of what was in work of the old ones, while no
    /// processor of the group runs. Sent again, those events are decided.
    #[arg(long)]
    pub recreated: bool,
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Flags of `schemas`.
#[derive(Debug, Clone, Args)]
pub struct SchemasArgs {
    /// Show each subject of ours: its versions, their ids, and which of ours they are. This is what happens without a flag.
    #[arg(long)]
    pub list: bool,
    /// Name everything that is missing or incompatible, and what to do; exit code 1 if there is anything.
    #[arg(long, conflicts_with = "list")]
    pub check: bool,
    /// Register every released version that is missing.
    #[arg(long, conflicts_with_all = ["list", "check"])]
    pub register: bool,
    /// Show which changes each subject of ours accepts; with a level, set it: FULL_TRANSITIVE is ours.
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, conflicts_with_all = ["list", "check", "register"])]
    pub compatibility: Option<Option<String>>,
    /// A table or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Flags of the simulated provider.
#[derive(Debug, Clone, Args)]
pub struct SimulateProviderArgs {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub bind: std::net::SocketAddr,
    /// Where every call is written down.
    #[arg(long, value_name = "FILE")]
    pub calls: PathBuf,
    /// Write the address that was taken into this file, once it listens.
    #[arg(long, value_name = "FILE")]
    pub ready: Option<PathBuf>,
    /// All its chance: latencies, and which calls a share of misbehaviour hits.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Median latency in milliseconds.
    #[arg(long, default_value_t = 60)]
    pub p50_ms: u64,
    /// 99th percentile in milliseconds.
    #[arg(long, default_value_t = 300)]
    pub p99_ms: u64,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What follows `gatekeeper` where it is called in a text, behind options, each of which has a value.
    fn called(text: &str) -> Vec<&str> {
        let is_call =
            |before: &str| before.ends_with('`') || before.rsplit('\n').next().is_some_and(|it| it.starts_with("$ "));
        let calls = text.match_indices("gatekeeper ").filter(|(at, _)| is_call(&text[..*at]));
        let command = |(at, name): (usize, &str)| {
            let mut words = text[at + name.len()..].split_whitespace();
            loop {
                match words.next().expect("something is called") {
                    option if option.starts_with("--") => drop(words.next()),
                    word => return word,
                }
            }
        };
        let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '-';
        calls.map(command).map(|word| word.split(|letter| !is_letter(letter)).next().unwrap_or_default()).collect()
    }

    #[test]
    fn every_command_that_people_are_told_of_is_there() {
        let text = "`gatekeeper --config k.toml redrive`: the gatekeeper itself\n$ A=1 gatekeeper serve\n`gatekeeper\n";
        assert_eq!(called(text), ["redrive", "serve"]);
        let commands = Cli::command();
        for text in [include_str!("domain/reason_codes.md"), include_str!("../README.md")] {
            let told = called(text);
            assert!(told.len() > 20, "the text was not read");
            let unknown: Vec<_> = told.iter().filter(|word| commands.find_subcommand(word).is_none()).collect();
            assert!(unknown.is_empty(), "there is no {unknown:?}");
        }
    }
}
