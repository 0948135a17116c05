//! publish

pub async fn run(_: &crate::cli::SettingsArgs, _: crate::cli::PublishArgs) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("not built yet")
}
