//! What came of it: every end against what it should be, and the audit of log, ledger and the provider's own ledger.

use std::process::ExitCode;

use super::narrator::Ink;
use super::stage::{Published, Stage};
use crate::app::audit;
use crate::app::out::say;
use crate::domain::feedback::EventFeedback;

/// How an end compares to the one that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    Same,
    /// Decided by somebody else, or left to a newer event of its ticket: what an outage and superseding may do.
    Allowed,
    Different,
}

/// Tell it; the last line is the audit's.
pub(super) async fn judge(stage: &Stage<'_>) -> anyhow::Result<ExitCode> {
    let narrator = stage.narrator;
    narrator.act("7. What came of it");
    let mut counts = [0usize; 3];
    for published in &stage.published {
        let feedback = stage.seen().terminals.get(&published.place);
        let Some(agreement) = agreement(published, feedback) else { continue };
        counts[agreement as usize] += 1;
        if agreement == Agreement::Different {
            let found = feedback.map(|feedback| (feedback.status, feedback.reason_code.as_str()));
            let line = published.ticket.line.unwrap_or_default();
            narrator.say(&format!("  line {line}: {:?} was expected, {found:?} it is", published.ticket.expected));
        }
    }
    let [same, allowed, different] = counts;
    let verdict = format!("{same} of {} ends are as demo/expected.csv has them", same + allowed + different);
    narrator.say(&format!(
        "{}, {allowed} were degraded by the outage or superseded, {different} differ",
        narrator.ink(if different == 0 { Ink::Good } else { Ink::Bad }, &verdict),
    ));

    let report = audit::report(&stage.parts, Some(&stage.folder.calls())).await?;
    let green = report.is_green() && report.open == 0 && report.records == stage.published.len() as u64;
    what_next(stage);
    narrator.say(&if green {
        narrator.ink(Ink::Good, "the audit of the log, the ledger and the provider's own call ledger is green")
    } else {
        narrator.ink(Ink::Bad, "the audit of the log, the ledger and the provider's own call ledger is not green")
    });
    say!("{report}");
    Ok(if green && different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn agreement(published: &Published, feedback: Option<&EventFeedback>) -> Option<Agreement> {
    let (status, code) = published.ticket.expected.as_ref()?;
    let Some(feedback) = feedback else { return Some(Agreement::Different) };
    let found = format!("{:?}", feedback.status).to_uppercase();
    Some(match found.as_str() {
        same if same == status && feedback.reason_code == *code => Agreement::Same,
        "DEGRADED" | "SUPERSEDED" if status == "ACCEPTED" => Agreement::Allowed,
        _ => Agreement::Different,
    })
}

fn what_next(stage: &Stage<'_>) {
    let narrator = stage.narrator;
    narrator.act("Three things to try next");
    if !stage.folder.is_kept() {
        narrator
            .say("  (`gatekeeper demo --keep DIR` leaves its log and ledger behind; then DIR stands for that folder)");
    }
    let config = if stage.folder.is_kept() {
        stage.folder.config().display().to_string()
    } else {
        "DIR/gatekeeper.toml".to_owned()
    };
    narrator.say(&format!("  gatekeeper --config {config} watch --from-beginning --until-end"));
    narrator.say(&format!("  gatekeeper --config {config} explain acme-0055"));
    narrator
        .say(&format!("  gatekeeper --config {config} publish your-tickets.csv --tenant acme --map message.body=text"));
    say!();
}
