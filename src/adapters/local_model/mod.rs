//! The linear model in this process: no network, no key, no money, tens of thousands of tickets a second.
//!
//! ```text
//! learning   rows ----> features ----> train ----> weights ----> file
//!                                         `-> evaluation -> report
//! asking     event ---> features ----> weights ----> labels, or why not    (reading)
//! ```
//!
//! **Generic weights** ship with the product (`generic.gkw`): eight categories, learnt from public texts. They are a
//! starting point and no more: on the tickets of a company they never saw they are often wrong and still sure, so their
//! confidence counts as uncalibrated, and an uncalibrated answer never acts. With some 1,300 labelled tickets of one's
//! own, `gatekeeper train` makes better ones in a second.
//!
//! Measured on 10,406 texts of the same sources that they were not trained on: accuracy 0.937, macro-F1 0.918,
//! confidence off by 0.007, and at 0.90 and above 81 % of the texts, 98 % of them right. Made by `gatekeeper train` with
//! seed 1. One core of a small server reads 270,000 short texts a second, and 30,000 IT tickets of 290 letters, every
//! fourth of which needs the language recogniser.
//!
//! The texts themselves are not part of the product. They are: banking77 (PolyAI; Casanueva et al. 2020), CC BY 4.0;
//! CLINC150 (Larson et al. 2019), CC BY 3.0; MultiDoGO (Amazon; Peskov et al. 2019), CDLA-Permissive-1.0. Their intents
//! were mapped to the eight categories; see `NOTICE`.
//!
//! What does not belong here: thresholds and whether to act (policy), retries and breakers (a function call needs none).

mod evaluation;
mod examiner;
mod features;
mod file;
mod language;
mod learner;
mod reading;
#[cfg(test)]
mod sample;
mod train;
mod weights;

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use self::features::MAX_TEXT_BYTES;
use self::file::Versioned;
use self::reading::{Reading, read};
use self::weights::Weights;
use crate::domain::event::SupportEvent;
use crate::pipeline::triage::model::{CallError, CallLimits, Content, Model, ModelCard, Question, RateHints, Reply};
use crate::settings::models::Local;

pub use self::examiner::LinearExaminer;
pub use self::file::{Refusal, WeightsError};
pub use self::learner::LinearLearner;

static GENERIC: &[u8] = include_bytes!("generic.gkw");

/// Nothing waits here; the longest text takes a millisecond.
const HARD_DEADLINE: Duration = Duration::from_secs(1);

/// A longer subject must not push the message out of what is read.
const MAX_SUBJECT_BYTES: usize = 1024;

/// The model.
#[derive(Debug)]
pub struct LocalModel {
    card: ModelCard,
    weights: Weights,
    min_known_share: f64,
}

impl LocalModel {
    /// With the weights the settings name; the generic ones if they name none.
    ///
    /// # Errors
    /// The weights cannot be read, or not be believed.
    pub fn load(name: &str, settings: &Local) -> Result<Self, WeightsError> {
        match &settings.weights {
            Some(path) => Ok(Self::new(name, settings, file::load(path)?)),
            None => Ok(Self::generic(name, settings)),
        }
    }

    /// With the weights that ship.
    #[must_use]
    pub fn generic(name: &str, settings: &Local) -> Self {
        let weights = file::decode(GENERIC).expect("the shipped weights are part of this build, and a test reads them");
        Self::new(name, settings, weights)
    }

    fn new(name: &str, settings: &Local, Versioned { weights, version }: Versioned) -> Self {
        let card = ModelCard {
            name: name.to_owned(),
            provider: "local".to_owned(),
            request_model: format!("linear/{}-{version}", weights.about.name),
            remote: false,
            calibrated: weights.about.calibrated,
            input_micros_per_1k: 0,
            output_micros_per_1k: 0,
            hard_deadline: HARD_DEADLINE,
            limits: CallLimits::default(),
        };
        Self { card, weights, min_known_share: settings.min_known_share }
    }

    fn answer(&self, event: &SupportEvent) -> Reply {
        let started = Instant::now();
        let told = event.message.as_ref().and_then(|message| message.language.as_deref());
        let Reading { language, answer } = read(&self.weights, self.min_known_share, &text(event), told);
        let (categories, abstained) = match answer {
            Ok(categories) => (categories, None),
            Err(abstention) => (Vec::new(), Some(abstention)),
        };
        Reply {
            content: Content::Scores { categories, language, abstained },
            response_id: None,
            response_model: Some(self.card.request_model.clone()),
            finish_reason: None,
            input_tokens: 0,
            output_tokens: 0,
            rate: RateHints::default(),
            latency: started.elapsed(),
        }
    }
}

impl Model for LocalModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Reply, CallError>> {
        async move { Ok(self.answer(&question.event)) }.boxed()
    }
}

/// Subject and newest message. Earlier messages are left out: what a ticket was about is not what it is about now.
fn text(event: &SupportEvent) -> String {
    let subject = event.ticket.subject.as_deref().unwrap_or_default();
    let body = event.message.as_ref().map_or("", |message| &message.body);
    let subject = &subject[..subject.floor_char_boundary(MAX_SUBJECT_BYTES)];
    let body = &body[..body.floor_char_boundary(MAX_TEXT_BYTES)];
    format!("{subject}\n{body}")
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::answer::Abstention;
    use crate::domain::clock::Timestamp;
    use crate::domain::tenant::generic_taxonomy;
    use crate::operations::train::{Row, Step, TrainError, TrainOptions, run};

    fn settings(weights: Option<PathBuf>) -> Local {
        Local { weights, min_known_share: 0.5 }
    }

    fn event(subject: Option<&str>, body: Option<&str>) -> SupportEvent {
        let message = |id: &str, body: &str| json!({"message_id": id, "author": {"type": "END_USER"}, "body": body, "created_at": 0});
        serde_json::from_value(json!({
            "event_id": "e", "source": "/test", "tenant_id": "acme", "ticket_id": "1", "occurred_at": 0,
            "actor": {"type": "END_USER"},
            "ticket": {"subject": subject},
            "message": body.map(|body| message("new", body)),
            "history": [message("old", "my card was stolen, block it")],
        }))
        .expect("an event")
    }

    fn ask(model: &LocalModel, event: SupportEvent) -> Reply {
        let tenant = serde_json::from_value(json!({"id": "acme"})).expect("a tenant");
        let question =
            Question { call_id: "call".to_owned(), tenant: Arc::new(tenant), event: Arc::new(event), prompt: None };
        model.ask(question).now_or_never().expect("it never waits").expect("it never fails")
    }

    fn scores(reply: Reply) -> (Vec<(String, f64)>, Option<Abstention>) {
        match reply.content {
            Content::Scores { categories, abstained, .. } => (categories, abstained),
            other => panic!("not scores: {other:?}"),
        }
    }

    fn train(folder: &Path, rows: &str) -> Result<PathBuf, TrainError> {
        let (file, out) = (folder.join("rows.csv"), folder.join("own.gkw"));
        std::fs::write(&file, rows).expect("rows are written");
        let options = TrainOptions {
            file,
            text_column: "text".to_owned(),
            label_column: "label".to_owned(),
            out: out.clone(),
            name: "own".to_owned(),
            seed: 1,
            limit: None,
            languages: vec!["en".to_owned()],
            trained_at: Timestamp(0),
        };
        let mut steps = Vec::new();
        run(&options, &LinearLearner, &mut |progress| steps.push(progress.step))?;
        steps.dedup();
        assert_eq!(steps, [Step::Reading, Step::Learning, Step::Measuring]);
        Ok(out)
    }

    #[test]
    fn weights_that_cannot_be_read_are_no_reason_to_fall_back_to_others_in_silence() {
        assert!(LocalModel::load("local", &settings(Some("/nowhere/a.gkw".into()))).is_err());
    }

    #[test]
    fn it_abstains_with_a_reason_and_no_labels() {
        let model = LocalModel::generic("local", &settings(None));
        assert_eq!(scores(ask(&model, event(None, None))), (Vec::new(), Some(Abstention::NoText)));
        assert_eq!(
            scores(ask(&model, event(Some("zzkq"), Some("wvvp")))),
            (Vec::new(), Some(Abstention::OutOfVocabulary))
        );
    }

    #[test]
    fn hostile_text_is_answered_or_abstained_on() {
        let model = LocalModel::generic("local", &settings(None));
        let hostile =
            ["\0".repeat(70_000), "😀".repeat(300_000), "\u{202e}refund\u{202c}".repeat(9_000), "İ".repeat(500_000)];
        for body in hostile {
            let (categories, abstained) = scores(ask(&model, event(Some(&body), Some(&body))));
            assert_ne!(categories.is_empty(), abstained.is_none());
        }
    }

    #[test]
    fn subject_and_newest_message_count_and_earlier_messages_do_not() {
        let model = LocalModel::generic("local", &settings(None));
        let best = |event| scores(ask(&model, event)).0[0].0.clone();
        assert_eq!(best(event(Some("refund please"), None)), "refund_cancel");
        assert_eq!(best(event(None, Some("refund please"))), "refund_cancel");
        let both = scores(ask(&model, event(Some("refund"), Some("please")))).0;
        assert_eq!(both, read(&model.weights, 0.5, "refund\nplease", None).answer.expect("an answer"));
    }

    #[test]
    fn an_event_has_the_very_features_that_its_words_had_in_training() {
        let model = LocalModel::generic("local", &settings(None));
        let words = "I can't find invoice #4711, PLEASE re\u{200b}send it";
        let mut trained = features::Extractor::default();
        trained.read(words);
        let mut asked: Vec<f64> = scores(ask(&model, event(None, Some(words)))).0.into_iter().map(|(_, p)| p).collect();
        let mut expected = model.weights.probabilities(trained.features());
        asked.sort_by(f64::total_cmp);
        expected.sort_by(f64::total_cmp);
        assert_eq!(asked, expected);
    }

    #[test]
    fn a_long_subject_does_not_push_the_newest_message_out_of_what_is_read() {
        let model = LocalModel::generic("local", &settings(None));
        let padding = "hello ".repeat(50_000);
        let padded = scores(ask(&model, event(Some(&padding), Some("my card was stolen")))).0;
        let alone = scores(ask(&model, event(Some(&padding), None))).0;
        assert_ne!(padded, alone);
    }

    #[test]
    fn the_generic_weights_say_what_they_are() {
        let model = LocalModel::load("local", &settings(None)).expect("the generic weights");
        let card = model.card();
        assert!(card.request_model.starts_with("linear/generic-"), "{}", card.request_model);
        assert_eq!((card.provider.as_str(), card.remote, card.calibrated), ("local", false, false));
        let about = &model.weights.about;
        assert!(about.accuracy > 0.93, "{}", about.accuracy);
        let mut taxonomy: Vec<_> = generic_taxonomy().categories.into_iter().map(|label| label.name).collect();
        taxonomy.sort_unstable();
        assert_eq!(about.labels, taxonomy, "every label is one of the generic taxonomy's");
    }

    #[test]
    fn what_an_operator_trains_is_what_answers() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut rows = "text,label\n".to_owned();
        for Row { text, label, .. } in sample::lesson().rows {
            rows.push_str(&format!("\"{text}\",{label}\n"));
        }
        let weights = train(folder.path(), &rows).expect("trained");
        let model = LocalModel::load("local", &settings(Some(weights))).expect("loaded");
        assert!(model.card().request_model.starts_with("linear/own-"));
        let (categories, _) = scores(ask(&model, event(Some("the parcel"), Some("it has not arrived, please help"))));
        assert_eq!(categories[0].0, "delivery");
    }

    #[test]
    fn a_broken_table_trains_nothing_and_leaves_the_old_weights() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("own.gkw"), "old").expect("written");
        let error = train(folder.path(), "text,label\na,b,c\n").expect_err("a broken line").to_string();
        assert!(error.contains("rows.csv: line 2: 3 fields"), "{error}");
        assert_eq!(std::fs::read(folder.path().join("own.gkw")).expect("still there"), b"old");
    }
}
