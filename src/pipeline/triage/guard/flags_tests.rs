//! What flags take away, and the local model that looks first, on a clock that is moved.

use std::time::Duration;

use super::super::model::{CallError, Content, Reply};
use super::super::testing::{Act, FakeLeases, Scripted, Switches, card, reply, settings, tenant};
use super::tests::{job, local};
use super::*;
use crate::domain::clock::SystemClock;
use crate::domain::flags::{Evaluation, Reason, Share};

const SERVER: CallError = CallError::Server { status: 500, retry_after: None };

fn remote(script: impl IntoIterator<Item = Act>) -> Arc<Scripted> {
    Arc::new(Scripted::new(card("gpt", true), script))
}

/// A local model that is so sure of a category of ours.
fn sure(confidence: f64) -> Arc<Scripted> {
    local_says(vec![("billing_payment".to_owned(), confidence)])
}

fn local_says(categories: Vec<(String, f64)>) -> Arc<Scripted> {
    let scores = Content::Scores { categories, language: None, abstained: None };
    let free = Reply { input_tokens: 0, output_tokens: 0, ..reply(scores) };
    Arc::new(Scripted::new(card("local", false), [Act::Say(Ok(free))]))
}

fn guard(models: &[&Arc<Scripted>]) -> (Arc<Guard>, Arc<Switches>) {
    let models = models.iter().map(|model| Arc::clone(*model) as Arc<dyn Model>).collect();
    let settings = Triage { local_first: LocalFirst { enabled: true, threshold: 0.95 }, ..settings() };
    let prompts = Arc::new(Prompts::load(None, 4_000).expect("the shipped templates are right"));
    let switches = Arc::<Switches>::default();
    let guard = Guard::new(models, &settings, prompts, Arc::new(SystemClock), 1, Arc::new(|_| {}));
    (Arc::new(guard.under(switches.clone())), switches)
}

/// Of a tenant whose category is calibrated, on the way that the guard says.
fn sent(guard: &Guard, looked: Option<FirstLook>) -> Job {
    let tenant = Arc::new(Tenant { calibrated_fields: vec!["category".to_owned()], ..tenant() });
    let job = job();
    let flags = guard.flags_of(&job.event);
    Job { way: guard.way(&tenant, &flags, looked), flags, tenant, ..job }
}

async fn answered(guard: &Guard, job: Job) -> Answer {
    match guard.triage(job, &FakeLeases::default()).await {
        Triaged::Answered(answer, _) => answer,
        other => panic!("wanted an answer, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn remote_models_that_are_switched_off_are_not_asked_and_the_next_one_says_why() {
    let (gpt, local) = (remote([]), local());
    let (guard, switches) = guard(&[&gpt, &local]);
    switches.set(Flag::RemoteModels, Share::OFF);
    let job = sent(&guard, None);
    assert_eq!(job.way, Way::WithoutRemote);
    let answer = answered(&guard, job).await;
    assert_eq!((gpt.calls(), answer.degraded), (0, Some(ReasonCode::SwitchedOff)));
    assert_eq!((answer.tried[0].model.as_str(), answer.tried[0].attempts), ("gpt", 0));
    assert_eq!(answer.usage.as_ref().map(|usage| usage.model.as_str()), Some("local"));
    let [Evaluation { flag: Flag::RemoteModels, on: false, reason: Reason::Static, .. }] = answer.flags[..] else {
        panic!("{:?}", answer.flags)
    };
    assert!(!answer.is_on(Flag::RemoteModels) && answer.is_on(Flag::Apply));
}

#[tokio::test(start_paused = true)]
async fn remote_models_that_are_switched_off_meanwhile_are_not_asked_again() {
    let (gpt, other, local) =
        (remote([Act::Say(Err(SERVER))]), Arc::new(Scripted::new(card("other", true), [])), local());
    let (guard, switches) = guard(&[&gpt, &other, &local]);
    let job = Job { way: Way::Chain(None), ..sent(&guard, None) };
    let running = tokio::spawn({
        let guard = guard.clone();
        async move { answered(&guard, job).await }
    });
    // The first call has failed, and its retry is waited for.
    tokio::task::yield_now().await;
    assert_eq!(gpt.calls(), 1);
    switches.set(Flag::RemoteModels, Share::OFF);
    let answer = running.await.expect("it does not panic");
    assert_eq!((gpt.calls(), other.calls()), (1, 0));
    assert_eq!(answer.degraded, Some(ReasonCode::SwitchedOff));
    assert_eq!(answer.usage.map(|usage| usage.model).as_deref(), Some("local"));
}

#[tokio::test(start_paused = true)]
async fn without_repair_and_without_hold_the_chain_goes_on_at_once() {
    let bad = || Act::Say(Ok(reply(Content::Text("no".to_owned()))));
    let (gpt, local) = (remote([bad(), bad()]), local());
    let (guard, switches) = self::guard(&[&gpt, &local]);
    switches.set(Flag::Repair, Share::OFF);
    let answer = answered(&guard, Job { way: Way::Chain(None), ..sent(&guard, None) }).await;
    assert_eq!((gpt.calls(), answer.degraded), (1, Some(ReasonCode::OutputInvalid)));

    let (gpt, local) = (remote((0..5).map(|_| Act::Say(Err(SERVER)))), self::local());
    let (guard, switches) = self::guard(&[&gpt, &local]);
    answered(&guard, Job { way: Way::Chain(None), ..sent(&guard, None) }).await;
    answered(&guard, Job { way: Way::Chain(None), ..sent(&guard, None) }).await;
    switches.set(Flag::Hold, Share::OFF);
    let began = Instant::now();
    let answer = answered(&guard, Job { way: Way::Chain(None), ..sent(&guard, None) }).await;
    assert_eq!((answer.degraded, began.elapsed()), (Some(ReasonCode::BreakerOpen), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_local_model_that_looks_first_and_is_sure_answers_and_nothing_is_degraded() {
    let (gpt, local, leases) = (remote([]), sure(0.95), FakeLeases::default());
    let (guard, _) = guard(&[&gpt, &local]);
    let job = sent(&guard, None);
    assert_eq!(job.way, Way::LookFirst);
    let Triaged::Answered(answer, Bill { tokens, .. }) = guard.triage(job, &leases).await else { panic!("it is sure") };
    assert_eq!((gpt.calls(), leases.counts(), tokens), (0, (0, 0), 0));
    assert_eq!((answer.degraded, answer.tried.len()), (None, 0));
    assert_eq!(answer.usage.as_ref().map(|usage| (usage.model.as_str(), usage.calibrated)), Some(("local", false)));
    let look = answer.first_look.expect("it is said that it looked first");
    assert!(look.is_sure() && look.confidence == Some(0.95), "{look}");
}

#[tokio::test(start_paused = true)]
async fn in_doubt_the_remote_model_is_asked_and_the_doubt_is_told() {
    for (local, confidence) in [
        (sure(0.949), Some(0.949)),
        (local_says(vec![("not_ours".to_owned(), 0.99)]), None),
        (Arc::new(Scripted::new(card("local", false), [Act::Say(Err(SERVER))])), None),
    ] {
        let gpt = remote([]);
        let (guard, _) = guard(&[&gpt, &local]);
        let Triaged::InDoubt(look) = guard.triage(sent(&guard, None), &FakeLeases::default()).await else {
            panic!("it is in doubt")
        };
        assert_eq!((gpt.calls(), look.confidence), (0, confidence));
        let answer = answered(&guard, sent(&guard, Some(look.clone()))).await;
        assert_eq!((gpt.calls(), answer.degraded, answer.first_look), (1, None, Some(look)));
        assert_eq!(answer.usage.map(|usage| usage.model).as_deref(), Some("gpt"));
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_first_model_is_local_nobody_looks_before_it() {
    let local = sure(0.2);
    let (guard, switches) = guard(&[&local]);
    assert_eq!(sent(&guard, None).way, Way::Chain(None));
    switches.set(Flag::RemoteModels, Share::OFF);
    let answer = answered(&guard, sent(&guard, None)).await;
    assert_eq!((answer.degraded, answer.first_look), (None, None), "nothing was taken away");
}
