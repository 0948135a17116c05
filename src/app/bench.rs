//! bench

pub async fn run(_: &crate::cli::SettingsArgs, _: crate::cli::BenchArgs) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("not built yet")
}
