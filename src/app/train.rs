//! `train`: labelled tickets become a local model, or measure one.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::out::say_as_is;
use super::wiring;
use crate::adapters::local_model::{LinearExaminer, LinearLearner};
use crate::cli::{Output, SettingsArgs, TrainArgs};
use crate::domain::clock::{Clock as _, SystemClock};
use crate::operations::train::{self, EvaluateOptions, Progress, Step, TrainOptions};
use crate::settings::Settings;
use crate::settings::models::Model;

pub fn run(settings: &SettingsArgs, args: TrainArgs) -> anyhow::Result<ExitCode> {
    let settings = wiring::settings(settings)?.settings;
    let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{msg:<9} {bar:30} {percent}% {eta}");
    bar.set_style(style.expect("the template is a constant"));
    let mut show = |Progress { step, done, total }: Progress| {
        bar.set_message(match step {
            Step::Reading => "reading",
            Step::Learning => "learning",
            Step::Measuring => "measuring",
        });
        bar.set_length(total);
        bar.set_position(done);
    };
    let text = match (args.evaluate, args.out) {
        (Some(weights), _) => {
            let options = EvaluateOptions {
                file: args.file,
                text_column: args.text,
                label_column: args.label,
                weights: Some(weights).filter(|weights| weights.as_os_str() != "generic"),
                limit: args.limit,
                seed: args.seed,
            };
            let examiner = LinearExaminer { min_known_share: min_known_share(&settings)? };
            written(&train::evaluate(&options, &examiner, &mut show)?, args.output)?
        }
        (None, Some(out)) => {
            let options = TrainOptions {
                file: args.file,
                text_column: args.text,
                label_column: args.label,
                out,
                name: args.name,
                seed: args.seed,
                limit: args.limit,
                languages: args.languages,
                trained_at: SystemClock.now(),
            };
            written(&train::run(&options, &LinearLearner, &mut show)?, args.output)?
        }
        (None, None) => anyhow::bail!("--out or --evaluate is needed"),
    };
    bar.finish_and_clear();
    say_as_is!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// The share of known words below which the road abstains: of the local model that it would ask.
fn min_known_share(settings: &Settings) -> anyhow::Result<f64> {
    let named = |name: &String| settings.models.get(name);
    let all = settings.triage.chain.iter().filter_map(named).chain(settings.models.values());
    let mut shares = all.filter_map(|model| match model {
        Model::Local(local) => Some(local.min_known_share),
        Model::Openai(_) => None,
    });
    shares.next().context("models.*: there is no local model, as which weights could be asked")
}

fn written<T: Display + Serialize>(report: &T, output: Output) -> anyhow::Result<String> {
    Ok(match output {
        Output::Table => report.to_string(),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(report)?),
    })
}
