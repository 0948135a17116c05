//! watch

pub async fn run(_: &crate::cli::SettingsArgs, _: crate::cli::WatchArgs) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("not built yet")
}
