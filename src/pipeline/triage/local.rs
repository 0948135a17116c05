//! Asking a model in this process.

use std::sync::Arc;

use super::answer;
use super::attempts::End;
use super::call_errors::meaning;
use super::failure::Failure;
use super::job::Job;
use super::model::{Model, Question};
use super::spent::Spent;
use crate::domain::reason_code::ReasonCode;

/// No prompt, no lease, no breaker, no name for the call.
pub(super) async fn ask_local(model: &dyn Model, job: &Job, spent: &mut Spent) -> End {
    let question = Question {
        call_id: String::new(),
        tenant: Arc::clone(&job.tenant),
        event: Arc::clone(&job.event),
        prompt: None,
    };
    match model.ask(question).await {
        Ok(reply) => {
            spent.bill(model.card(), &reply, 1);
            match answer::parse(&reply.content, reply.finish_reason.as_deref(), &job.tenant.taxonomy) {
                Ok(predicted) => End::Answered(Box::new(predicted)),
                Err(invalid) => End::Failed(Failure { code: ReasonCode::OutputInvalid, detail: invalid.to_string() }),
            }
        }
        Err(error) => End::Failed(Failure { code: meaning(&error).code, detail: error.to_string() }),
    }
}
