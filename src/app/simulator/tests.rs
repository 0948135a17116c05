//! The simulated provider over a real connection: what it bills, logs and answers, and what the guard and the policy make of it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::adapters::openai::OpenAiModel;
use crate::domain::answer::{Abstention, Answer};
use crate::domain::clock::{SystemClock, Timestamp};
use crate::domain::decision::{self, Automation, Origin};
use crate::domain::flags::Flags;
use crate::domain::identity::DedupeKey;
use crate::domain::reason_code::ReasonCode as Code;
use crate::domain::tenant::Tenant;
use crate::pipeline::decide::{Case, decide};
use crate::pipeline::triage::breaker::{BreakerChange, BreakerState};
use crate::pipeline::triage::guard::{Budget, Guard, Job, Places, Reserved, Triaged, Way};
use crate::pipeline::triage::model::{CallError, Content, Model, Question, Reply};
use crate::pipeline::triage::prompt::Prompts;
use crate::pipeline::triage::testing::{FakeLeases, event, position, present, settings, tenant};
use crate::settings::models::{Limits, OpenAi, Price, Timeouts};
use crate::settings::secret::Secret;
use crate::settings::triage::Triage;

pub(super) const LONG: Duration = Duration::from_secs(20);
pub(super) const SHORT: Duration = Duration::from_millis(250);

/// A provider, and one model that asks it.
pub(super) struct Bench {
    address: SocketAddr,
    pub(super) model: Arc<OpenAiModel>,
    pub(super) ledger: tempfile::NamedTempFile,
    server: tokio::task::JoinHandle<()>,
}

impl Bench {
    pub(super) async fn behave(&self, control: Value) {
        let posted = reqwest::Client::new().post(format!("http://{}/control", self.address)).json(&control).send();
        assert!(posted.await.expect("it listens").status().is_success());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn model(address: SocketAddr, timeouts: Timeouts) -> Arc<OpenAiModel> {
    let settings = OpenAi {
        base_url: format!("http://{address}/v1"),
        api_key: Some(Secret::new("sk-simulated")),
        model: "simulated".to_owned(),
        provider: "simulator".to_owned(),
        timeouts,
        max_body_bytes: 1 << 20,
        max_completion_tokens: 600,
        price: Price { input_micros_per_1k: 150, output_micros_per_1k: 600 },
        limits: Limits::default(),
    };
    Arc::new(OpenAiModel::new("sim", &settings).expect("the settings are right"))
}

pub(super) async fn bench(control: Value, timeouts: Timeouts) -> Bench {
    let ledger = tempfile::NamedTempFile::new().expect("a temporary file");
    let simulator = Simulator::bind(SimulatorConfig {
        bind: (Ipv4Addr::LOCALHOST, 0).into(),
        ledger: Some(ledger.path().to_owned()),
        control: serde_json::from_value(control).expect("a valid behaviour"),
        seed: 1,
    });
    let simulator = simulator.await.expect("a free port");
    let address = simulator.address().expect("bound");
    let model = model(address, timeouts);
    let server = tokio::spawn(async move { simulator.run().await.expect("the test ends first") });
    Bench { address, model, ledger, server }
}

fn lines(ledger: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(ledger).expect("the ledger is there");
    text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
}

pub(super) fn calls(ledger: &Path) -> usize {
    lines(ledger).iter().filter(|line| line["what"] == "start").count()
}

fn prompts() -> Arc<Prompts> {
    Arc::new(Prompts::load(None, 4_000).expect("the shipped templates are right"))
}

pub(super) async fn ask(model: &OpenAiModel) -> Result<Reply, CallError> {
    let (event, prompts) = (event("Charged twice", "I was charged twice, refund me"), prompts());
    let frame = prompts.frame(&tenant().taxonomy, None).expect("right templates");
    let prompt = prompts.render(&frame, &event).expect("redacted").prompt;
    let question = Question {
        call_id: "direct.1".to_owned(),
        tenant: Arc::new(tenant()),
        event: Arc::new(event),
        prompt: Some(prompt),
    };
    model.ask(question).await
}

/// Two failures in a row open its breaker for a moment; a Retry-After is waited for two seconds at most.
pub(super) fn touchy() -> Triage {
    let mut settings = settings();
    settings.retry.max_attempts = 1;
    settings.retry.max_retry_after = Duration::from_secs(2);
    (settings.breaker.consecutive_failures, settings.breaker.open_for) = (2, Duration::from_millis(50));
    settings
}

pub(super) fn guard(model: Arc<OpenAiModel>, settings: &Triage) -> Guard {
    let deaf: Arc<dyn Fn(BreakerChange) + Send + Sync> = Arc::new(|_| {});
    Guard::new(vec![model], settings, prompts(), Arc::new(SystemClock), 1, deaf)
}

pub(super) async fn triage(model: Arc<OpenAiModel>) -> (Answer, u64) {
    let mut settings = settings();
    (settings.retry.base, settings.retry.cap) = (Duration::from_millis(1), Duration::from_millis(2));
    triage_by(&guard(model, &settings)).await
}

pub(super) async fn triage_by(guard: &Guard) -> (Answer, u64) {
    let event = event("Charged twice", "I was charged twice, refund me");
    let job = Job {
        key: DedupeKey::of_event(&event),
        event: Arc::new(event),
        tenant: Arc::new(tenant()),
        owner: position(),
        reserved: Reserved::default(),
        flags: Flags::without_rules(),
        way: Way::Chain(None),
        decide_by: tokio::time::Instant::now() + LONG,
        presence: present(),
        turn: Places::new(1).turn(),
        budget: Budget::default(),
    };
    match guard.triage(job, &FakeLeases::default()).await {
        Triaged::Answered(answer, bill) => (answer, bill.tokens),
        other => panic!("wanted an answer, got {other:?}"),
    }
}

/// The class of a result, without the words.
pub(super) fn class(result: &Result<Reply, CallError>) -> String {
    let wait = |after: &Option<Duration>| after.map_or("-".to_owned(), |after| after.as_secs().to_string());
    match result {
        Ok(Reply { content: Content::Refusal(_), .. }) => "refusal".to_owned(),
        Ok(_) => "reply".to_owned(),
        Err(CallError::Connection(_)) => "connection".to_owned(),
        Err(CallError::Timeout { phase, .. }) => format!("timeout {phase}"),
        Err(CallError::RateLimited { retry_after }) => format!("rate limited {}", wait(retry_after)),
        Err(CallError::Quota) => "quota".to_owned(),
        Err(CallError::Auth { status }) => format!("auth {status}"),
        Err(CallError::Request { status }) => format!("request {status}"),
        Err(CallError::Server { status, retry_after }) => format!("server {status} {}", wait(retry_after)),
        Err(CallError::Filtered) => "filtered".to_owned(),
        Err(CallError::Garbled(_)) => "garbled".to_owned(),
    }
}

/// The next event waits out whatever the fault has left behind, and is answered.
pub(super) async fn is_well_again(guard: &Guard) {
    let healed = std::time::Instant::now();
    let (answer, _) = triage_by(guard).await;
    assert_eq!((answer.degraded, guard.breakers().remove(0).1), (None, BreakerState::Closed));
    assert!(healed.elapsed() < Duration::from_secs(15), "{:?}", healed.elapsed());
}

#[tokio::test]
async fn an_outage_that_ends_within_the_attempts_is_not_noticed() {
    let bench = bench(json!({"mode": "outage_500", "calls": 2}), Timeouts::default()).await;
    assert_eq!((triage(Arc::clone(&bench.model)).await.0.degraded, calls(bench.ledger.path())), (None, 3));
}

#[tokio::test]
async fn the_cost_is_what_the_provider_billed_and_every_call_carries_its_name() {
    for (mode, calls) in [("ok", 1), ("wrong_shape", 2), ("refuse", 1)] {
        let bench = bench(json!({"mode": mode}), Timeouts::default()).await;
        let (answer, tokens) = triage(Arc::clone(&bench.model)).await;
        let lines = lines(bench.ledger.path());
        let ends: Vec<&Value> = lines.iter().filter(|line| line["what"] == "end").map(|line| &line["end"]).collect();
        let sum = |field: &str| ends.iter().filter_map(|end| end[field].as_u64()).sum::<u64>();
        let (prompt, completion) = (sum("prompt_tokens"), sum("completion_tokens"));
        assert_eq!((ends.len(), tokens), (calls, prompt + completion), "{mode}");
        let usage = answer.usage.expect("something was billed");
        assert_eq!(usage.cost_micros, (prompt * 150 + completion * 600).div_ceil(1_000), "{mode}");
        assert_eq!(usage.response_id.as_deref(), ends.last().and_then(|end| end["response_id"].as_str()));
        let key = DedupeKey::of_event(&event("", "")).to_hex();
        for (number, line) in lines.iter().filter(|line| line["what"] == "start").enumerate() {
            assert_eq!(line["call_id"], format!("{key}.{}", number + 1));
        }
    }
}

/// What may be done with a category that the model is sure of, by a tenant that says this of its fields.
async fn automation_of(bench: &Bench, calibrated_fields: &[&str]) -> Automation {
    let (mut answer, _) = triage(Arc::clone(&bench.model)).await;
    let category = answer.predicted.as_mut().and_then(|predicted| predicted.category.as_mut());
    category.expect("the provider names one").confidence = 0.95;
    let calibrated_fields = calibrated_fields.iter().map(|field| (*field).to_owned()).collect();
    let event = event("Charged twice", "I was charged twice, refund me");
    let decision = decide(&Case {
        event: &event,
        tenant: &Tenant { calibrated_fields, ..tenant() },
        answer: &answer,
        key: DedupeKey::of_event(&event),
        origin: Origin { topic: "events".to_owned(), partition: 0, offset: 7, timestamp: Timestamp(0) },
        decided_at: Timestamp(1),
        mode: decision::Mode::Live,
        owned_by_a_person: false,
    });
    decision.category.expect("it is sure").automation
}

#[tokio::test]
async fn a_tenants_word_for_a_field_lets_a_remote_models_confidence_act_and_without_it_people_do() {
    let bench = bench(json!({}), Timeouts::default()).await;
    assert_eq!(automation_of(&bench, &["category"]).await, Automation::Apply);
    assert_eq!(automation_of(&bench, &["queue"]).await, Automation::Select);
}

#[tokio::test]
async fn impossible_values_are_softened_and_missing_usage_is_estimated() {
    let answer = |mode: &str| {
        let mode = mode.to_owned();
        async move {
            let bench = bench(json!({"mode": mode}), Timeouts::default()).await;
            triage(Arc::clone(&bench.model)).await
        }
    };
    let predicted = answer("unknown_label").await.0.predicted.expect("answered");
    assert_eq!((predicted.category, predicted.abstained), (None, Some(Abstention::UnknownLabel)));
    let predicted = answer("overconfident").await.0.predicted.expect("answered");
    assert_eq!(predicted.category.map(|category| category.confidence), Some(0.0));
    let predicted = answer("ok").await.0.predicted.expect("answered");
    assert_eq!(predicted.category.map(|category| category.value).as_deref(), Some("billing_payment"));
    for mode in ["no_usage", "negative_usage", "zero_usage"] {
        let (answer, tokens) = answer(mode).await;
        assert!(tokens > 500 && answer.usage.is_some_and(|usage| usage.cost_micros > 0), "{mode}: {tokens}");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_connection_error_and_nobody_accepting_a_timeout() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let timeouts = Timeouts { connect: LONG, first_byte: SHORT, total: LONG };
    let model = model(address, timeouts);
    let guard = guard(Arc::clone(&model), &touchy());
    assert_eq!(class(&ask(&model).await), "timeout first_byte");
    assert_eq!(triage_by(&guard).await.0.degraded, Some(Code::ProviderTimeout));
    drop(listener);
    assert_eq!(class(&ask(&model).await), "connection");
    assert_eq!(triage_by(&guard).await.0.degraded, Some(Code::ProviderError));
    assert_ne!(guard.breakers().remove(0).1, BreakerState::Closed, "both count");
    let simulator = SimulatorConfig { bind: address, ledger: None, control: Control::default(), seed: 1 };
    let simulator = Simulator::bind(simulator).await.expect("the port is free again");
    let server = tokio::spawn(async move { simulator.run().await.expect("the test ends first") });
    is_well_again(&guard).await;
    server.abort();
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_seen_in_the_ledger() {
    let bench = bench(json!({"latency": {"fixed": {"ms": 60_000}}}), Timeouts::default()).await;
    let begun = async {
        while lines(bench.ledger.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = ask(&bench.model) => panic!("it takes a minute"),
        () = begun => {}
    }
    let ended = async {
        while !lines(bench.ledger.path()).iter().any(|line| line["what"] == "end") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, ended).await.expect("the end is written");
    let lines = lines(bench.ledger.path());
    assert_eq!((&lines[1]["end"]["client_gone"], &lines[1]["end"]["status"]), (&json!(true), &json!(0)));
}

#[tokio::test]
async fn behaviour_changes_while_it_runs() {
    let bench = bench(json!({}), Timeouts::default()).await;
    assert_eq!(class(&ask(&bench.model).await), "reply");
    let control = format!("http://{}/control", bench.address);
    let post = |body: Value| reqwest::Client::new().post(&control).json(&body).send();
    let response = post(json!({"mode": "outage_500", "calls": 1})).await.expect("it listens");
    assert_eq!(response.json::<Control>().await.expect("its behaviour").mode, Mode::Outage500);
    assert_eq!(class(&ask(&bench.model).await), "server 500 -");
    assert_eq!(class(&ask(&bench.model).await), "reply");
    let refused = post(json!({"mode": "unheard_of"})).await.expect("it listens");
    assert!(refused.status().is_client_error());
}

#[tokio::test]
async fn neither_keys_nor_tickets_nor_replies_reach_the_log() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone()).finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    tracing::info!("the log is listening");
    for mode in ["garbage", "truncated", "bad_utf8", "wrong_shape", "bad_request", "auth", "outage_503", "ok"] {
        let bench = bench(json!({"mode": mode}), Timeouts::default()).await;
        triage(Arc::clone(&bench.model)).await;
    }
    let text = String::from_utf8_lossy(&log.0.lock().expect("not poisoned")).into_owned();
    assert!(text.contains("the log is listening"));
    for canary in ["sk-simulated", "charged twice", "Bad gateway", "chat.completion", "bad schema", "incorrect API"] {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    for (url, key, wrong) in [
        ("ftp://host/v1", "k", "base_url"),
        ("https://user:pw@host/v1", "k", "base_url"),
        ("not a url", "k", "base_url"),
        ("https://host/v1", "", "api_key"),
        ("https://host/v1", "with\nnewline", "api_key"),
    ] {
        let settings = json!({"base_url": url, "api_key": key, "model": "m"});
        let settings: OpenAi = serde_json::from_value(settings).expect("the right types");
        let error = OpenAiModel::new("gpt", &settings).err().expect("must be refused").to_string();
        assert!(error.contains(&format!("models.gpt.{wrong}")), "{error}");
        assert!(!error.contains("pw"), "{error}");
    }
}
