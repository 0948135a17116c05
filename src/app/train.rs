//! train

pub fn run(_: crate::cli::TrainArgs) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("not built yet")
}
