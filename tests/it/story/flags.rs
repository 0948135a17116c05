//! What operators switch while the processor runs, and the local model that answers first.

use std::collections::BTreeSet;
use std::fs;

use gatekeeper::domain::decision::DecidedBy;
use gatekeeper::domain::feedback::FeedbackStatus::{Accepted, Degraded};
use gatekeeper::domain::flags::{Context, Flag, Share};
use gatekeeper::domain::identity::{DedupeKey, RecordKind};
use gatekeeper::domain::ops_event::OpsKind;
use serde_json::Value;

use super::gatekeeper::Gatekeeper;
use super::operating::{end_of, policy, said, taken};
use super::tickets::{event_of, record};

/// Change a rule; its revision.
async fn flags(gatekeeper: &Gatekeeper, arguments: &[&str]) {
    let mut command = gatekeeper.command(&["flags"]);
    let told = said(command.args(arguments).args(["--actor", "ada", "--output", "json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    taken(gatekeeper, told["revision"].as_u64().unwrap_or_else(|| panic!("nothing was changed: {told}"))).await;
}

/// Ids of the events that the provider was asked about, as it says itself.
fn asked_about(gatekeeper: &Gatekeeper, tenant: &str, numbers: std::ops::Range<usize>) -> BTreeSet<usize> {
    let calls = fs::read_to_string(gatekeeper.folder.path().join("calls.jsonl")).unwrap_or_default();
    let key = |number: usize| {
        let (source, id) = (format!("/zendesk/{tenant}"), format!("event-{number}"));
        DedupeKey::of(RecordKind::Event, tenant, &source, "event_id", &id).to_hex()
    };
    numbers.filter(|number| calls.contains(&key(*number))).collect()
}

#[tokio::test]
async fn remote_models_are_switched_off_for_a_tenant_at_once_after_a_restart_and_until_it_is_removed() {
    let gatekeeper = Gatekeeper::new().await;
    let worker = gatekeeper.serve();
    assert_eq!(end_of(&gatekeeper, "acme", 1).await.status, Accepted);
    flags(&gatekeeper, &["set", "remote_models", "off", "--tenant", "acme", "--note", "they asked us to"]).await;
    let end = end_of(&gatekeeper, "acme", 2).await;
    assert_eq!((end.status, end.reason_code.as_str()), (Degraded, "SWITCHED_OFF"));
    assert_eq!(end_of(&gatekeeper, "hurried", 3).await.status, Accepted, "nobody else is touched");
    let explained = said(&mut gatekeeper.command(&["explain", "event-2"]));
    let rule = "flag remote_models off: TARGETING_MATCH, off by database, revision 1";
    assert!(explained.contains(rule) && explained.contains("openai failed after 0 calls: SWITCHED_OFF"), "{explained}");

    for (arguments, words) in [
        (vec!["set", "redaction", "off"], "remote_models, local_first, hold, repair, apply, draft_replies"),
        (vec!["set", "apply", "half"], "expected on, off, or a percentage"),
        (vec!["set", "apply", "off", "--tenant", "nobody"], "there is no tenant \"nobody\""),
        (vec!["remove", "apply"], "no rule for apply"),
    ] {
        let refused = gatekeeper.command(&["flags"]).args(&arguments).output().expect("the binary starts");
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains(words), "{arguments:?}: {told}");
    }
    drop(worker);
    let worker = gatekeeper.serve();
    assert_eq!(end_of(&gatekeeper, "acme", 4).await.reason_code, "SWITCHED_OFF", "who starts later takes it too");
    let listed = said(&mut gatekeeper.command(&["flags"]));
    let line = |name: &str, whose: &str| {
        let words = |line: &&str| line.starts_with(name) && line.contains(whose);
        listed.lines().find(words).unwrap_or_else(|| panic!("{listed}")).to_owned()
    };
    assert!(line("remote_models", "acme").contains("database, revision 1"), "{listed}");
    assert!(line("remote_models", "everybody").contains("default"), "{listed}");

    flags(&gatekeeper, &["remove", "remote_models", "--tenant", "acme"]).await;
    assert_eq!(end_of(&gatekeeper, "acme", 5).await.status, Accepted);
    assert_eq!(asked_about(&gatekeeper, "acme", 1..6), BTreeSet::from([1, 5]));
    let told = said(&mut gatekeeper.command(&["trail", "--subject", "remote_models/acme"]));
    assert!(told.contains("ada") && told.contains("set off") && told.contains("(they asked us to)"), "{told}");
    drop(worker);
    let ops = gatekeeper.ops().await;
    let loaded: Vec<_> = ops.iter().filter(|event| event.kind == OpsKind::PolicyLoaded).collect();
    assert!(loaded.iter().any(|event| event.component.as_deref() == Some("flag remote_models")), "{ops:?}");
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn a_share_of_tickets_is_the_same_after_a_restart_and_loses_none_when_it_grows() {
    const TICKETS: std::ops::Range<usize> = 0..40;
    let gatekeeper = Gatekeeper::with(&["flags.everybody.remote_models=off"]).await;
    let chosen = |share: &str| -> BTreeSet<usize> {
        let share: Share = share.parse().expect("a share");
        let takes = |number: &usize| {
            let ticket_id = format!("T-{number}");
            share.takes(Flag::RemoteModels, Context { tenant_id: "acme", ticket_id: &ticket_id })
        };
        TICKETS.filter(takes).collect()
    };
    // Another event of each of these tickets; the provider is asked about those it is said to be asked about.
    let round = async |name: &str| -> BTreeSet<usize> {
        let event = |number: usize| {
            let mut event = event_of("acme", number);
            (event["event_id"], event["event_type"]) = (format!("{name}-{number}").into(), "MESSAGE_ADDED".into());
            record(&event)
        };
        let places = gatekeeper.publish(TICKETS.map(event).collect()).await;
        let ends = gatekeeper.ends_of(&places).await;
        let accepted = |(number, _): &(usize, _)| ends[*number].status == Accepted;
        places.iter().enumerate().filter(accepted).map(|(number, _)| number).collect()
    };
    let worker = gatekeeper.serve();
    assert_eq!(round("first").await, BTreeSet::new(), "the configuration says off");
    flags(&gatekeeper, &["set", "remote_models", "30%"]).await;
    let small = round("second").await;
    assert_eq!(small, chosen("30%"));
    drop(worker);
    let _worker = gatekeeper.serve();
    assert_eq!(round("third").await, small, "after a restart");
    flags(&gatekeeper, &["set", "remote_models", "70%"]).await;
    let large = round("fourth").await;
    assert!(large.is_superset(&small) && large.len() > small.len() && large == chosen("70%"), "{small:?} {large:?}");
    assert_eq!(gatekeeper.calls().0, 2 * small.len() + large.len());
    let decisions = gatekeeper.decisions().await;
    let variants: BTreeSet<_> = decisions.values().filter_map(|decision| decision.policy.variant.clone()).collect();
    assert_eq!(variants, BTreeSet::from(["off".to_owned(), "on".to_owned()]));
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn only_the_tickets_the_local_model_is_in_doubt_about_cost_a_call() {
    const TICKETS: std::ops::Range<usize> = 0..30;
    let sets = ["triage.local_first.enabled=true", "triage.local_first.threshold=0.9"];
    let gatekeeper = Gatekeeper::with(&sets).await;
    policy(&gatekeeper, "tenants/acme.toml", "id = 'acme'\nversion = 'c'\ncalibrated_fields = ['category']");
    let in_doubt = |number: &usize| number.is_multiple_of(3);
    let event = |tenant: &str, number: usize| {
        let mut event = event_of(tenant, number);
        if in_doubt(&number) {
            event["ticket"]["subject"] = "zzkq wvvp".into();
            event["message"]["body"] = format!("qqxj wvvp zzkq {number}").into();
        }
        record(&event)
    };
    let publish = async |tenant: &str, numbers: std::ops::Range<usize>| {
        let places = gatekeeper.publish(numbers.map(|number| event(tenant, number)).collect()).await;
        let ends = gatekeeper.ends_of(&places).await;
        assert!(ends.iter().all(|end| end.status == Accepted), "nothing is degraded: {ends:?}");
        places
    };
    let _worker = gatekeeper.serve();
    let places = publish("acme", TICKETS).await;
    let doubtful: BTreeSet<usize> = TICKETS.filter(in_doubt).collect();
    assert_eq!(asked_about(&gatekeeper, "acme", TICKETS), doubtful);
    assert_eq!(gatekeeper.calls().0, doubtful.len());
    let decisions = gatekeeper.decisions().await;
    for (number, place) in places.iter().enumerate() {
        let decision = &decisions[place];
        let provider = decision.model.as_ref().map(|model| model.provider.as_str());
        let (who, why) = match in_doubt(&number) {
            true => ("openai", "local was asked first and named no category"),
            false => ("local", "local was asked first and was sure"),
        };
        assert_eq!((provider, decision.degraded_reason.as_deref()), (Some(who), None), "{number}");
        assert!(decision.rationale.contains(why), "{}", decision.rationale);
        assert_ne!(decision.decided_by, DecidedBy::Fallback);
    }
    let explained = said(&mut gatekeeper.command(&["explain", "event-1"]));
    assert!(explained.contains("no remote model was asked"), "{explained}");

    publish("hurried", 0..3).await;
    assert_eq!(asked_about(&gatekeeper, "hurried", 0..3).len(), 3, "nothing of this tenant is calibrated");
    flags(&gatekeeper, &["set", "local_first", "off", "--tenant", "acme"]).await;
    publish("acme", 30..33).await;
    assert_eq!(asked_about(&gatekeeper, "acme", 30..33).len(), 3, "switched off");
    gatekeeper.audit_finished().await;
}
