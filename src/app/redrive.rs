//! `redrive`: dead letters, what would come of sending them again, and that.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use humantime_serde::re::humantime;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::out::{complain, harmless, say};
use super::trail;
use super::wiring::Parts;
use crate::adapters::embedded_log::Access;
use crate::cli::{Output, RedriveArgs};
use crate::domain::clock::Timestamp;
use crate::domain::reason_code::ReasonCode;
use crate::operations::log_browser::LogBrowser;
use crate::operations::redrive::{self, Asked, Fate, Letter, Plan, Told};
use crate::operations::trail::AuditTrail;

pub async fn run(parts: Parts, args: RedriveArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.rate.is_finite() && args.rate > 0.0, "--rate is a number of records a second above 0");
    let asked = asked(&args, parts.clock.now())?;
    let browser = parts.browser(if args.send { Access::Append } else { Access::ReadOnly }).await?;
    let ledger = if parts.settings.ledger.enabled { Some(parts.ledger_to_read().await?) } else { None };
    let trail = parts.changes().await?.map(|changes| changes as Arc<dyn AuditTrail>);
    let group = parts.settings.log.group_id();
    // Before the plan: whoever sends meanwhile is noticed.
    let seen = match &trail {
        Some(trail) => redrive::last_told(&**trail, group).await?,
        None => None,
    };
    let plan = redrive::plan(&asked, &*browser, ledger.as_deref(), &parts.schemas).await?;
    if ledger.is_none() {
        complain!(
            "gatekeeper: ledger.enabled = false: what is sent twice before its end is published is decided twice"
        );
    }
    if args.list {
        return list(&plan, args.output, &parts, &*browser).await;
    }
    let ready = plan.ready();
    if !args.send || ready == 0 {
        match args.output {
            Output::Table => say!("{}", table(&plan, args.send)),
            Output::Json => say!("{}", serde_json::to_string_pretty(&counted(&plan))?),
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(trail) = &trail {
        let by = trail::by(args.by, &*parts.clock);
        redrive::tell(&**trail, group, &Told { asked: &asked, letters: ready }, seen, by).await?;
    }
    let bar = bar(ready);
    let mut tell = |sent: u64| bar.set_position(sent);
    let sent = redrive::send(&plan, &*browser, &parts.schemas, Some(args.rate), &mut tell).await;
    bar.finish_and_clear();
    let sent = sent?;
    for id in &sent.refused {
        complain!("gatekeeper: {} is larger than the log takes now", harmless(id));
    }
    match args.output {
        Output::Table => {
            say!("sent again   {}\nrefused      {}\ngone         {}", sent.sent, sent.refused.len(), sent.gone);
        }
        Output::Json => say!("{}", serde_json::to_string_pretty(&sent)?),
    }
    Ok(if sent.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// On a terminal only: elsewhere nobody sees it move.
fn bar(letters: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} sent again {eta}");
    ProgressBar::new(letters).with_style(style.expect("the template is a constant"))
}

fn asked(args: &RedriveArgs, now: Timestamp) -> anyhow::Result<Asked> {
    let mut reasons = Vec::with_capacity(args.reasons.len());
    for reason in &args.reasons {
        let reason = reason.to_ascii_uppercase();
        let is_known = ReasonCode::ALL.iter().any(|code| code.as_str() == reason);
        anyhow::ensure!(is_known, "--reason {reason} is no reason code; reason_codes.md has them");
        reasons.push(reason);
    }
    let time = |flag: &str, text: &Option<String>| text.as_deref().map(|text| time(flag, text, now)).transpose();
    Ok(Asked {
        reasons,
        ids: args.ids.clone(),
        tenant: args.tenant.clone(),
        ticket: args.ticket.clone(),
        since: time("--since", &args.since)?,
        until: time("--until", &args.until)?,
        limit: args.limit,
        max_redrives: args.max_redrives,
        forgotten: args.forgotten,
    })
}

/// So long ago, or a date and time.
fn time(flag: &str, text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let ago = humantime::parse_duration(text).ok().map(|ago| now.before(ago));
    let time = ago.or_else(|| Timestamp::from_rfc3339(text));
    time.with_context(|| format!("{flag} {text:?} is neither so long ago, as 2h, nor a time, as 2026-11-30T08:00:00Z"))
}

/// How many of each reason and tenant have which fate.
fn counts(plan: &Plan) -> BTreeMap<(&str, &str), BTreeMap<Fate, u64>> {
    let mut counts: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for letter in &plan.letters {
        let of = (&*letter.reason_code, letter.tenant_id.as_deref().unwrap_or("-"));
        *counts.entry(of).or_default().entry(letter.fate).or_default() += 1;
    }
    counts
}

fn counted(plan: &Plan) -> serde_json::Value {
    let groups = counts(plan).into_iter().map(|((reason, tenant), fates)| {
        let letters: u64 = fates.values().sum();
        json!({"reason_code": reason, "tenant_id": (tenant != "-").then_some(tenant), "letters": letters, "fates": fates})
    });
    let groups: Vec<_> = groups.collect();
    json!({
        "held": plan.held,
        "unreadable": plan.unreadable,
        "earlier_failures": plan.earlier,
        "asked_for": plan.letters.len(),
        "ready": plan.ready(),
        "groups": groups,
    })
}

fn table(plan: &Plan, is_to_send: bool) -> String {
    let mut lines = vec![format!("{:<25} {:<20} {:>8} {:>8}  why not", "reason code", "tenant", "letters", "ready")];
    for ((reason, tenant), mut fates) in counts(plan) {
        let letters: u64 = fates.values().sum();
        let ready = fates.remove(&Fate::Ready).unwrap_or(0);
        let why_not: Vec<String> = fates.iter().map(|(fate, count)| format!("{count} {}", fate.words())).collect();
        let (tenant, why_not) = (harmless(tenant), why_not.join(", "));
        lines.push(format!("{reason:<25} {tenant:<20} {letters:>8} {ready:>8}  {why_not}").trim_end().to_owned());
    }
    let (held, ready) = (plan.held, plan.ready());
    let asked_for = plan.letters.len() as u64;
    let others = held - plan.unreadable - plan.earlier - asked_for;
    lines.push(format!(
        "{} dead letters: {} earlier failures of the same records, {others} not asked for, {asked_for} asked for",
        held - plan.unreadable,
        plan.earlier
    ));
    if plan.unreadable > 0 {
        lines.push(format!(
            "{} more are no dead letters that this build can read: they are left alone",
            plan.unreadable
        ));
    }
    lines.push(match (ready, is_to_send) {
        (0, _) => "nothing to send".to_owned(),
        (ready, _) => format!("{ready} would be sent again; nothing is changed without --send"),
    });
    lines.join("\n")
}

async fn list(plan: &Plan, output: Output, parts: &Parts, browser: &dyn LogBrowser) -> anyhow::Result<ExitCode> {
    match output {
        Output::Table => plan.letters.iter().for_each(|letter| say!("{}", line(letter))),
        Output::Json => {
            let mut hear = |letter: &_, fate| say!("{}", json!({"fate": fate, "dead_letter": letter}));
            redrive::letters(plan, browser, &parts.schemas, &mut hear).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(letter: &Letter) -> String {
    let Letter { id, reason_code, reason, tenant_id, ticket_id, failed_at, redrives, fate, .. } = letter;
    let or_none = |text: &Option<String>| harmless(text.as_deref().unwrap_or("-"));
    let (tenant, ticket) = (or_none(tenant_id), or_none(ticket_id));
    let (id, reason, fate) = (harmless(id), harmless(reason), fate.words());
    format!("{failed_at} {reason_code:<25} {tenant:<12} {ticket:<16} {id} redrives={redrives} {fate}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_so_long_ago_or_a_date() {
        let now = Timestamp::from_rfc3339("2026-11-30T12:00:00Z").expect("a time");
        let at = |text: &str| time("--since", text, now).map(|time| time.to_string());
        assert_eq!(
            at("2h").expect("ago"),
            Timestamp::from_rfc3339("2026-11-30T10:00:00Z").expect("a time").to_string()
        );
        assert_eq!(at("2026-11-30T12:00:00Z").expect("a date"), now.to_string());
        let why = at("yesterday").expect_err("neither").to_string();
        assert!(why.contains("--since") && why.contains("yesterday"), "{why}");
    }

    #[test]
    fn a_table_says_how_many_why_not_and_that_nothing_was_changed() {
        let letter = |reason: &str, tenant: Option<&str>, fate| Letter {
            partition: 0,
            offset: 0,
            id: "events-0-1".to_owned(),
            reason_code: reason.to_owned(),
            reason: "it\nis".to_owned(),
            tenant_id: tenant.map(str::to_owned),
            ticket_id: None,
            event_id: None,
            failed_at: Timestamp(0),
            redrives: 3,
            role: None,
            fate,
        };
        let letters = vec![
            letter("TENANT_UNKNOWN", Some("ac\x1bme"), Fate::Ready),
            letter("TENANT_UNKNOWN", Some("ac\x1bme"), Fate::Decided),
            letter("DECODE_FAILED", None, Fate::TooOften),
        ];
        assert_eq!(line(&letters[2]).lines().count(), 1);
        let plan = Plan { held: 9, unreadable: 1, earlier: 2, letters };
        let said = table(&plan, false);
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines[1].starts_with("DECODE_FAILED") && lines[1].ends_with("0  1 sent again too often (--max-redrives)")
        );
        assert!(lines[2].contains("ac?me") && lines[2].ends_with("2        1  1 decided since"), "{said}");
        assert!(lines[3].starts_with("8 dead letters: 2 earlier failures"), "{said}");
        assert!(lines[3].ends_with("3 not asked for, 3 asked for") && lines[4].starts_with("1 more"), "{said}");
        assert_eq!(lines[5], "1 would be sent again; nothing is changed without --send");
        assert!(table(&Plan::default(), true).ends_with("nothing to send"));
    }
}
