//! The bodies: what is asked, and what a completion looks like when it is one.
//!
//! Lenient where servers differ (numbers that are missing, fields that are new), strict where it matters: without
//! `choices[0].message` it is not a completion. The message's content is not looked into here.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MAX_PLAUSIBLE_TOKENS;
use crate::pipeline::triage::model::{CallError, Content, Prompt, RateHints, Reply};

/// The request body, written as it is: the schema alone would be a hundred pieces to copy. No temperature: reasoning models
/// refuse any.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    messages: [Said<'a>; 2],
    response_format: ResponseFormat<'a>,
    max_completion_tokens: u32,
    stream: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", content = "content", rename_all = "snake_case")]
enum Said<'a> {
    System(&'a str),
    /// The ticket, never in the system's role.
    User(&'a str),
}

#[derive(Serialize)]
#[serde(tag = "type", content = "json_schema", rename_all = "snake_case")]
enum ResponseFormat<'a> {
    JsonSchema { name: &'a str, strict: bool, schema: &'a Value },
}

/// What is asked with this prompt.
pub(super) fn request<'a>(model: &'a str, prompt: &'a Prompt, max_completion_tokens: u32) -> Request<'a> {
    Request {
        model,
        messages: [Said::System(&prompt.system), Said::User(&prompt.user)],
        response_format: ResponseFormat::JsonSchema { name: "triage", strict: true, schema: &prompt.schema },
        max_completion_tokens,
        stream: false,
    }
}

/// A completion, as far as we read it.
#[derive(Deserialize)]
pub(super) struct Completion {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
    /// Some servers have begun to answer with 200 before the model behind them fails.
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

/// A provider's words in our records are short.
const MAX_NAME_CHARS: usize = 200;

impl Completion {
    /// The reply of the first choice.
    pub fn into_reply(self, prompt: &Prompt, rate: RateHints, latency: Duration) -> Result<Reply, CallError> {
        let choice = self.choices.into_iter().next();
        let Choice { message, finish_reason, error } =
            choice.ok_or_else(|| CallError::Garbled("a completion without a choice".to_owned()))?;
        if error.is_some() || finish_reason.as_deref() == Some("error") {
            return Err(failed(&error.unwrap_or_default()));
        }
        let content = match (message.content, message.refusal) {
            (None, Some(refusal)) => Content::Refusal(refusal),
            (Some(content), Some(refusal)) if content.is_empty() => Content::Refusal(refusal),
            // A tool call has neither: an empty answer, which no parser accepts.
            (content, _) => Content::Text(content.unwrap_or_default()),
        };
        let words = match &content {
            Content::Text(text) | Content::Refusal(text) => text.len() as u64,
            Content::Scores { .. } => 0,
        };
        let tokens = |field: &str, estimate: u64| {
            let said = self.usage.as_ref().and_then(|usage| usage.get(field)).and_then(Value::as_u64);
            said.filter(|tokens| (1..=MAX_PLAUSIBLE_TOKENS).contains(tokens)).unwrap_or(estimate)
        };
        let short = |text: Option<String>| text.map(|text| text.chars().take(MAX_NAME_CHARS).collect());
        Ok(Reply {
            input_tokens: tokens("prompt_tokens", prompt.estimated_tokens.into()),
            output_tokens: tokens("completion_tokens", words.div_ceil(4)),
            content,
            response_id: short(self.id),
            response_model: short(self.model),
            finish_reason: short(finish_reason),
            rate,
            latency,
        })
    }
}

/// A completion that ended in this error.
fn failed(error: &Value) -> CallError {
    const BAD_GATEWAY: u16 = 502;
    if says_filtered(error) {
        return CallError::Filtered;
    }
    let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    CallError::Server {
        status: status.filter(|code| (400..600).contains(code)).unwrap_or(BAD_GATEWAY),
        retry_after: None,
    }
}

/// What an error body says went wrong; none: it is no error body. Some servers put it into a list.
pub(super) fn error_of(body: &[u8]) -> Option<Value> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let whole = if body.is_array() { body.get_mut(0)? } else { &mut body };
    let error = whole.get_mut("error")?.take();
    (error.is_object() || error.is_string()).then_some(error)
}

/// Whether an error says that the account's quota is used up: by its code or type, never by its words.
pub(super) fn says_quota(error: &Value) -> bool {
    ["code", "type"].iter().any(|field| {
        matches!(
            error[field].as_str(),
            Some("insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active")
        )
    })
}

/// Whether an error says that the prompt was filtered: by its code, or by what moderation found in it.
pub(super) fn says_filtered(error: &Value) -> bool {
    let found = &error["metadata"];
    matches!(error["code"].as_str(), Some("content_filter" | "content_policy_violation"))
        || found["reasons"].is_array()
        || found["flagged_input"].is_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_completion_that_ended_in_an_error_is_no_reply_and_has_the_errors_status() {
        let prompt =
            Prompt { system: "sort".into(), user: String::new(), schema: Arc::new(json!({})), estimated_tokens: 1 };
        let class = |choice: Value| {
            let body = json!({"choices": [choice]}).to_string();
            let completion: Completion = serde_json::from_str(&body).expect("a completion");
            completion.into_reply(&prompt, RateHints::default(), Duration::ZERO).err()
        };
        let message = json!({"role": "assistant", "content": ""});
        let failed = |status| Some(CallError::Server { status, retry_after: None });
        assert_eq!(class(json!({"message": message, "finish_reason": "error"})), failed(502));
        let with = |error: Value| class(json!({"message": message, "finish_reason": "stop", "error": error}));
        assert_eq!(with(json!({"code": 503, "message": "overloaded"})), failed(503));
        assert_eq!(with(json!({"code": 7})), failed(502), "no status");
        assert_eq!(with(json!({"code": "server_error"})), failed(502));
        assert_eq!(with(json!({"code": 403, "metadata": {"reasons": ["violence"]}})), Some(CallError::Filtered));
        assert_eq!(with(Value::Null), None);
    }

    #[test]
    fn requests_of_one_taxonomy_differ_in_the_ticket_only() {
        let body = |user: &str| {
            let schema = Arc::new(json!({"type": "object"}));
            let prompt = Prompt { system: "sort".into(), user: user.to_owned(), schema, estimated_tokens: 1 };
            serde_json::to_string(&request("model", &prompt, 600)).expect("plain text")
        };
        let (one, two) = (body("ticket-one"), body("ticket-two"));
        assert_eq!(one.replace("ticket-one", "T"), two.replace("ticket-two", "T"));
        let (system, ticket) = (one.find("\"sort\"").expect("it is sent"), one.find("ticket-one").expect("it is sent"));
        assert!(system < ticket, "a provider caches what stands first: {one}");
        let read: Value = serde_json::from_str(&one).expect("JSON");
        let format = json!({"type": "json_schema", "json_schema": {
            "name": "triage", "strict": true, "schema": {"type": "object"}}});
        assert_eq!(
            read,
            json!({"model": "model", "max_completion_tokens": 600, "stream": false, "response_format": format,
                "messages": [{"role": "system", "content": "sort"}, {"role": "user", "content": "ticket-one"}]})
        );
    }
}
