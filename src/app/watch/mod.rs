//! `watch`: decisions and feedback as they come.

mod line;

use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::wiring::Parts;
use crate::adapters::embedded_log::Access;
use crate::cli::{Output, WatchArgs};
use crate::domain::feedback::FeedbackStatus;
use crate::operations::watch::{Filter, From, Seen, Watch};

/// Soon enough to look live, seldom enough to cost nothing.
const POLL: Duration = Duration::from_millis(100);

pub async fn run(parts: Parts, watch: WatchArgs) -> anyhow::Result<ExitCode> {
    let filter = Filter {
        tenant: watch.tenant.clone(),
        ticket: watch.ticket.clone(),
        status: watch.status.as_deref().map(status).transpose()?,
    };
    let browser = parts.browser(Access::ReadOnly).await?;
    let from = if watch.from_beginning { From::Beginning } else { From::End };
    let mut follower = Watch::start(&*browser, &parts.schemas, filter, from).await?;
    let mut out = Out { to: io::stdout(), form: watch.output, colour: coloured() };
    match out.head() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        head => head?,
    }
    loop {
        if watch.until_end && follower.reached_its_end() {
            return Ok(ExitCode::SUCCESS);
        }
        let news = follower.poll().await?;
        match out.write(&news) {
            // Whoever read along has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written?,
        }
        if news.is_empty() && !(watch.until_end && follower.reached_its_end()) {
            tokio::time::sleep(POLL).await;
        }
    }
}

fn status(text: &str) -> anyhow::Result<FeedbackStatus> {
    let status = serde_json::from_value(text.to_ascii_uppercase().into()).unwrap_or_default();
    anyhow::ensure!(
        status != FeedbackStatus::Unknown,
        "--status {text:?} is none of ACCEPTED, DEGRADED, DUPLICATE, REJECTED, IGNORED, SUPERSEDED, DEFERRED"
    );
    Ok(status)
}

fn coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

struct Out<W> {
    to: W,
    form: Output,
    colour: bool,
}

impl<W: Write> Out<W> {
    fn head(&mut self) -> io::Result<()> {
        match self.form {
            Output::Table => writeln!(self.to, "{}", line::head()),
            Output::Json => Ok(()),
        }
    }

    fn write(&mut self, news: &[Seen]) -> io::Result<()> {
        for seen in news {
            match self.form {
                Output::Table => writeln!(self.to, "{}", line::line(seen, self.colour))?,
                Output::Json => writeln!(self.to, "{}", serde_json::to_string(seen)?)?,
            }
        }
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_known_or_refused() {
        assert_eq!(status("rejected").expect("known"), FeedbackStatus::Rejected);
        assert!(status("unknown").is_err() && status("gone").is_err());
    }
}
