//! `train`: labelled tickets become a local model.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use crate::adapters::local_model::LinearLearner;
use crate::cli::{Output, TrainArgs};
use crate::domain::clock::{Clock as _, SystemClock};
use crate::operations::train::{self, Progress, Step, TrainOptions};

pub fn run(args: TrainArgs) -> anyhow::Result<ExitCode> {
    let options = TrainOptions {
        file: args.file,
        text_column: args.text,
        label_column: args.label,
        out: args.out,
        name: args.name,
        seed: args.seed,
        limit: args.limit,
        languages: args.languages,
        trained_at: SystemClock.now(),
    };
    let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{msg:<9} {bar:30} {percent}% {eta}");
    bar.set_style(style.expect("the template is a constant"));
    let trained = train::run(&options, &LinearLearner, &mut |Progress { step, done, total }| {
        bar.set_message(match step {
            Step::Reading => "reading",
            Step::Learning => "learning",
            Step::Measuring => "measuring",
        });
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = trained?;
    match args.output {
        Output::Table => print!("{report}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(ExitCode::SUCCESS)
}
