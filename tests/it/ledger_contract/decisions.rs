//! Decisions kept to be joined with feedback, in every ledger.

use std::sync::Arc;

use gatekeeper::domain::better::Dropped;
use gatekeeper::domain::clock::Timestamp;
use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::domain::past_decision::{DecisionQuestion, OvertakenQuestion, PastDecision};
use gatekeeper::domain::verdict::Verdict;
use gatekeeper::pipeline::dedupe::ledger::restored::Restored;
use gatekeeper::pipeline::dedupe::ledger::{Entry, Ledger, Outcome};

use super::world::{
    World, answer, answered, at, claim, commit, find, key, lease, one, published, reached, row, take_over, vanished,
    verdict,
};

/// Of ticket `acme|1`; the prompt's version says which text it is.
pub fn past(id: &str, ticket: &str, decided_at: i64, text: &str) -> Arc<PastDecision> {
    let json = serde_json::json!({
        "decision_id": id, "version": 1, "key": "00", "tenant_id": "acme", "ticket_id": ticket, "decided_at": decided_at,
        "disposition": "ROUTE", "decided_by": "MODEL", "policy_version": "1", "prompt_version": text,
        "fields": [{"field": "category", "value": "billing_payment", "confidence": 0.5, "raw_confidence": 0.75,
                    "automation": "SELECT"}],
    });
    Arc::new(serde_json::from_value(json).expect("a decision as it is kept"))
}

pub fn decided(number: u8, offset: u64, decision: Arc<PastDecision>) -> Entry {
    let verdict = verdict(FeedbackStatus::Accepted, "a", 5);
    Entry::Verdict { key: key(number), owner: at(offset), verdict, decision: Some(decision) }
}

pub fn answered_and_decided(number: u8, offset: u64, text: &str, decision: Arc<PastDecision>) -> Entry {
    Entry::Decide {
        key: key(number),
        owner: at(offset),
        answer: answer(text),
        at: Timestamp(7),
        verdict: verdict(FeedbackStatus::Accepted, text, 5),
        decision: Some(decision),
    }
}

pub fn recall(ticket: &str, decision_id: Option<&str>, until: i64) -> Entry {
    Entry::Recall(DecisionQuestion {
        tenant_id: "acme".to_owned(),
        ticket_id: ticket.to_owned(),
        decision_id: decision_id.map(str::to_owned),
        until: Timestamp(until),
    })
}

/// Of a decision about the event of this key at this offset of partition 0.
pub fn placed(past: &PastDecision, number: u8, offset: i64) -> Arc<PastDecision> {
    Arc::new(PastDecision { key: key(number).to_hex(), place: Some((0, offset)), ..past.clone() })
}

pub fn acted_on(ticket: &str, decision_id: Option<&str>) -> Entry {
    let decision_id = decision_id.map(str::to_owned);
    Entry::ActedOn { tenant_id: "acme".into(), ticket_id: ticket.to_owned(), decision_id }
}

pub fn overtaken(ticket: &str, number: u8, offset: i64) -> Entry {
    Entry::Overtaken(OvertakenQuestion {
        tenant_id: "acme".to_owned(),
        ticket_id: ticket.to_owned(),
        key: key(number).to_hex(),
        place: (0, offset),
    })
}

async fn recalled(ledger: &Arc<dyn Ledger>, question: Entry) -> Option<Arc<PastDecision>> {
    match one(ledger, question).await {
        Outcome::Recalled(decision) => decision,
        other => panic!("a question is answered with a decision, not {other:?}"),
    }
}

pub async fn a_decision_is_found_by_its_id_or_as_the_latest_of_its_ticket(world: World) {
    let ledger = world.ledger().await;
    for (number, (id, ticket, decided_at)) in (1..).zip([("d-1", "1", 10), ("d-2", "1", 20), ("d-3", "2", 30)]) {
        let offset = u64::from(number);
        let decision = past(id, ticket, decided_at, "a");
        commit(&ledger, vec![Entry::Claim(claim(number, offset)), decided(number, offset, decision)]).await;
    }
    let first = past("d-1", "1", 10, "a");
    assert_eq!(recalled(&ledger, recall("1", Some("d-1"), 0)).await, Some(first.clone()), "whenever it was judged");
    assert_eq!(recalled(&ledger, recall("1", None, 20)).await, Some(past("d-2", "1", 20, "a")));
    assert_eq!(recalled(&ledger, recall("1", None, 19)).await, Some(first), "the later one was not there yet");
    assert_eq!(recalled(&ledger, recall("1", None, 9)).await, None);
    assert_eq!(recalled(&ledger, recall("2", Some("d-1"), 99)).await, None, "it is about another ticket");
    assert_eq!(recalled(&ledger, recall("1", Some("d-9"), 99)).await, None, "who names one means no other");
    assert_eq!(recalled(&ledger, recall("9", None, 99)).await, None);
}

pub async fn questions_see_everything_of_their_batch_and_keep_their_places(world: World) {
    let ledger = world.ledger().await;
    let batch = vec![
        recall("1", Some("d-1"), 0),
        Entry::Claim(claim(1, 1)),
        recall("1", Some("d-9"), 0),
        decided(1, 1, past("d-1", "1", 10, "a")),
        recall("1", None, 10),
    ];
    let outcomes = commit(&ledger, batch).await;
    let found = Outcome::Recalled(Some(past("d-1", "1", 10, "a")));
    assert_eq!([&outcomes[0], &outcomes[2], &outcomes[4]], [&found, &Outcome::Recalled(None), &found]);
    assert!(matches!((&outcomes[1], &outcomes[3]), (Outcome::Row(_), Outcome::Reached(_))), "{outcomes:?}");
}

/// Most batches are so, and a store may have a shorter way for them.
pub async fn a_batch_of_new_decisions_and_a_mark_is_what_it_is_step_by_step(world: World) {
    let ledger = world.ledger().await;
    let claims = (1..=4).map(|number| Entry::Claim(claim(number, u64::from(number)))).collect();
    commit(&ledger, claims).await;
    let decide = |number: u8, text: &str| {
        let id = format!("d-{number}");
        answered_and_decided(number, number.into(), text, past(&id, "1", i64::from(number) * 10, text))
    };
    let reached = |text: &str| Outcome::Reached(verdict(FeedbackStatus::Accepted, text, 5));
    let mark = || Entry::Mark { writer: "gk-1".to_owned() };
    let counted = |outcome: &Outcome| match outcome {
        Outcome::Marked(mark) => mark.batches(),
        other => panic!("a mark was expected: {other:?}"),
    };

    let said = commit(&ledger, vec![decide(2, "b"), decide(1, "a"), mark()]).await;
    assert_eq!(said[..2], [reached("b"), reached("a")]);
    let first = counted(&said[2]);
    assert_eq!(recalled(&ledger, recall("1", None, 20)).await, Some(past("d-2", "1", 20, "b")));
    assert_eq!(row(&ledger, 1).await.answer, Some(answer("a")));

    // One that was decided before, one whose event is another's; beside them a new one.
    let stolen = Entry::Decide {
        key: key(4),
        owner: at(99),
        answer: answer("x"),
        at: Timestamp(7),
        verdict: verdict(FeedbackStatus::Accepted, "x", 5),
        decision: None,
    };
    let said = commit(&ledger, vec![decide(1, "other"), decide(3, "c"), stolen, mark()]).await;
    assert_eq!(said[..3], [reached("a"), reached("c"), Outcome::NotOwner]);
    assert!(counted(&said[3]) > first, "a mark may leave numbers out, and never stands still");
    assert_eq!(recalled(&ledger, recall("1", None, 10)).await, Some(past("d-1", "1", 10, "a")));
    assert_eq!(recalled(&ledger, recall("1", None, 30)).await, Some(past("d-3", "1", 30, "c")));
    assert_eq!(row(&ledger, 4).await.answer, None);
}

pub async fn only_the_verdict_that_is_saved_leaves_its_decision(world: World) {
    let ledger = world.ledger().await;
    let said = commit(&ledger, vec![decided(1, 1, past("nobody's", "1", 1, "a"))]).await;
    assert_eq!(said, [Outcome::NotOwner]);
    commit(&ledger, vec![Entry::Claim(claim(1, 1)), decided(1, 1, past("d-1", "1", 1, "first"))]).await;
    // The second verdict is not saved, nor is one of somebody who owns nothing; beside them one that is.
    commit(
        &ledger,
        vec![
            Entry::Claim(claim(2, 2)),
            decided(1, 1, past("second", "1", 1, "a")),
            decided(2, 9, past("stranger's", "1", 1, "a")),
            decided(2, 2, past("d-2", "2", 1, "a")),
        ],
    )
    .await;
    for id in ["nobody's", "second", "stranger's"] {
        assert_eq!(recalled(&ledger, recall("1", Some(id), 9)).await, None, "{id}");
    }
    assert_eq!(recalled(&ledger, recall("1", Some("d-1"), 9)).await, Some(past("d-1", "1", 1, "first")));
    assert_eq!(recalled(&ledger, recall("2", Some("d-2"), 9)).await, Some(past("d-2", "2", 1, "a")));
}

pub async fn a_decision_that_is_made_anew_takes_the_place_of_one_that_was_never_published(world: World) {
    let ledger = world.ledger().await;
    commit(&ledger, vec![Entry::Claim(claim(1, 1)), decided(1, 1, past("d-1", "1", 1, "lost"))]).await;
    commit(&ledger, vec![vanished(1, 2), take_over(1, 5, 1), decided(1, 5, past("d-1", "1", 2, "published"))]).await;
    assert_eq!(recalled(&ledger, recall("1", Some("d-1"), 0)).await, Some(past("d-1", "1", 2, "published")));
}

pub async fn what_the_log_tells_of_decisions_is_known_again(world: World) {
    let ledger = world.ledger().await;
    let restored = Restored {
        claim: claim(1, 1),
        verdict: verdict(FeedbackStatus::Accepted, "a", 5),
        published_at: Timestamp(6),
        decision: Some(past("d-1", "1", 4, "a")),
    };
    assert_eq!(commit(&ledger, vec![Entry::Restore(restored)]).await, [Outcome::Done]);
    assert_eq!(recalled(&ledger, recall("1", None, 4)).await, Some(past("d-1", "1", 4, "a")));
}

pub async fn decisions_outlive_their_rows_and_go_by_their_age_the_oldest_first(world: World) {
    let ledger = world.ledger().await;
    for number in 1..=3_u8 {
        let (offset, id) = (u64::from(number), format!("d-{number}"));
        let decision = past(&id, "1", i64::from(number), "a");
        commit(&ledger, vec![Entry::Claim(claim(number, offset)), decided(number, offset, decision)]).await;
        one(&ledger, published(number, offset, 10)).await;
    }
    assert_eq!(ledger.forget(Timestamp(11), Timestamp(11), 9).await.expect("it forgets"), 3);
    assert_eq!(recalled(&ledger, recall("1", None, 9)).await, Some(past("d-3", "1", 3, "a")));
    let forget = async |before, limit| ledger.forget_decisions(Timestamp(before), limit).await.expect("it forgets");
    assert_eq!(forget(1, 9).await, 0, "what was made then is not older");
    assert_eq!(forget(3, 1).await, 1);
    assert_eq!(recalled(&ledger, recall("1", Some("d-1"), 0)).await, None);
    assert!(recalled(&ledger, recall("1", Some("d-2"), 0)).await.is_some());
    assert_eq!(forget(99, 9).await, 2);
}

pub async fn an_answer_and_its_verdict_are_saved_together_or_not_at_all(world: World) {
    let (ours, theirs): (Arc<dyn Ledger>, Arc<dyn Ledger>) =
        (world.process("gk-1", 1, true).await, world.process("gk-2", 1, true).await);
    let both = |number: u8, text: &str| {
        let past = past(&format!("d-{number}-{text}"), "1", 1, text);
        answered_and_decided(number, u64::from(number), text, past)
    };
    let as_saved = |text: &str| Outcome::Reached(verdict(FeedbackStatus::Accepted, text, 5));
    let is_known = async |id: &str| recalled(&ours, recall("1", Some(id), 9)).await.is_some();

    assert_eq!(one(&ours, both(1, "a")).await, Outcome::NotOwner);
    commit(&ours, (1..=4).map(|number| Entry::Claim(claim(number, u64::from(number)))).collect()).await;
    assert_eq!(one(&ours, both(1, "a")).await, as_saved("a"));
    let row = find(&ours, 1).await.expect("it was claimed");
    assert_eq!((row.answer, row.verdict, row.answered_at.is_some()), (Some(answer("a")), Some(verdict_a()), true));
    assert!(is_known("d-1-a").await);
    assert_eq!(one(&theirs, both(1, "b")).await, as_saved("a"), "the first one counts");

    one(&ours, answered(2, 2, "a")).await;
    assert_eq!(one(&ours, both(2, "b")).await, Outcome::Saved(answer("a")), "what is saved is what is judged");
    assert_eq!(find(&ours, 2).await.expect("it was claimed").verdict, None);

    one(&ours, reached(3, 3, verdict(FeedbackStatus::Superseded, "a", 5))).await;
    assert!(
        matches!(one(&ours, both(3, "b")).await, Outcome::Reached(saved) if saved.status == FeedbackStatus::Superseded)
    );

    one(&theirs, lease(4, 4, 60_000)).await;
    assert!(matches!(one(&ours, both(4, "a")).await, Outcome::LeaseHeld { .. }), "that one is calling");
    let row = find(&ours, 4).await.expect("it was claimed");
    assert_eq!((row.answer, row.verdict), (None, None));
    assert_eq!(one(&theirs, both(4, "b")).await, as_saved("b"));
    for id in ["d-1-b", "d-2-b", "d-3-b", "d-4-a"] {
        assert!(!is_known(id).await, "{id} was not saved");
    }
}

fn verdict_a() -> Arc<Verdict> {
    verdict(FeedbackStatus::Accepted, "a", 5)
}

pub async fn a_better_decision_comes_too_late_after_a_newer_one_or_after_a_person(world: World) {
    let ledger = world.ledger().await;
    let decide = async |number: u8, id: &str, ticket: &str| {
        let offset = u64::from(number);
        let decision = placed(&past(id, ticket, 10, "a"), number, i64::from(number));
        commit(&ledger, vec![Entry::Claim(claim(number, offset)), decided(number, offset, decision)]).await;
    };
    let against = async |ticket: &str, number: u8| match one(&ledger, overtaken(ticket, number, number.into())).await {
        Outcome::Overtaken(against) => against,
        other => panic!("a question is answered, not with {other:?}"),
    };
    decide(2, "d-2", "1").await;
    assert_eq!(against("1", 2).await, None, "its own decision does not count");
    decide(1, "d-1", "1").await;
    assert_eq!(against("1", 2).await, None, "an earlier event's is no newer one, whenever it was made");
    assert_eq!(against("1", 1).await, Some(Dropped::NewerEvent));
    decide(3, "d-3", "2").await;
    assert_eq!(against("1", 2).await, None, "another ticket's");

    assert_eq!(one(&ledger, acted_on("2", Some("d-2"))).await, Outcome::Done);
    assert_eq!(against("1", 2).await, None, "no decision of that ticket has this id");
    one(&ledger, acted_on("1", Some("d-1"))).await;
    assert_eq!(against("1", 2).await, None, "they acted on another decision of the ticket");
    one(&ledger, acted_on("1", Some("d-2"))).await;
    assert_eq!(against("1", 2).await, Some(Dropped::PersonActed));

    one(&ledger, acted_on("2", None)).await;
    assert_eq!(against("2", 3).await, Some(Dropped::PersonActed), "a person has the ticket");
    decide(4, "d-4", "2").await;
    assert_eq!(against("2", 4).await, None, "what is decided after that speaks for itself");
    let batch = commit(&ledger, vec![overtaken("2", 4, 4), acted_on("2", Some("d-4"))]).await;
    assert_eq!(batch, [Outcome::Overtaken(Some(Dropped::PersonActed)), Outcome::Done], "asked once all is written");
}
