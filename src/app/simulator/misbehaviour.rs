//! Responses: the good one, and every bad one a provider has been seen to give.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode, header};
use futures_util::stream;
use serde_json::{Value, json};

use super::answers::Request;
use super::control::Mode;
use super::ledger::{Billed, Call};

const PAGE: &str = "<!doctype html><html><body><h1>Bad gateway</h1></body></html>";
const OVERSIZE_BYTES: usize = 100_000_000;

/// What goes over the wire after the headers.
enum Piece {
    Bytes(Bytes),
    Wait(Duration),
    Stall,
    Break,
}

/// The response to a call, by mode.
pub(super) async fn respond(mode: Mode, retry_after: Option<&str>, body: &[u8], call: Call) -> Response<Body> {
    if mode == Mode::Hang {
        // Until the caller hangs up: then this future is dropped, and the call with it.
        let _call = call;
        return std::future::pending().await;
    }
    let mut builder = Response::builder().header(header::CONTENT_TYPE, "application/json");
    match refusal(mode) {
        Some((status, text)) => {
            let location = (mode == Mode::Redirect).then_some("http://127.0.0.1:1/v1/chat/completions");
            if let Some(value) = retry_after {
                builder = builder.header(header::RETRY_AFTER, value);
            }
            if let Some(location) = location {
                builder = builder.header(header::LOCATION, location);
            }
            finish(builder.status(status), call, status, [Piece::Bytes(text.into())])
        }
        None => match Request::read(body) {
            None => finish(
                builder.status(StatusCode::BAD_REQUEST),
                call,
                StatusCode::BAD_REQUEST,
                [Piece::Bytes(error("invalid_request_error", "not a chat request with a JSON schema").into())],
            ),
            Some(request) => completed(mode, builder, &request, call),
        },
    }
}

fn refusal(mode: Mode) -> Option<(StatusCode, String)> {
    let (status, body) = match mode {
        Mode::Outage500 => (500, error("server_error", "the server had an error")),
        Mode::Outage503 => (503, PAGE.to_owned()),
        Mode::RateLimit => (429, error("rate_limit_exceeded", "too many requests")),
        Mode::Quota => (429, error("insufficient_quota", "you exceeded your current quota")),
        Mode::Auth => (401, error("invalid_api_key", "incorrect API key")),
        Mode::Forbidden => (403, error("forbidden", "not for you")),
        Mode::Flagged => {
            let found =
                json!({"reasons": ["violence"], "flagged_input": "I was charged...", "provider_name": "simulator"});
            (403, json!({"error": {"code": 403, "message": "the input was flagged", "metadata": found}}).to_string())
        }
        Mode::Firewall => (403, PAGE.to_owned()),
        Mode::PaymentRequired => (402, json!({"error": {"code": 402, "message": "add credits"}}).to_string()),
        Mode::NotFound => (404, error("model_not_found", "no such model")),
        // An integer code, as llama-server gives it.
        Mode::BadRequest => (400, json!({"error": {"code": 400, "message": "bad schema"}}).to_string()),
        Mode::PromptFilter => (400, error("content_filter", "the prompt was filtered")),
        Mode::TooLarge => (413, error("request_too_large", "too large")),
        Mode::Redirect => (302, String::new()),
        _ => return None,
    };
    Some((StatusCode::from_u16(status).expect("a status of the table above"), body))
}

fn error(code: &str, message: &str) -> String {
    json!({"error": {"code": code, "type": code, "message": message, "param": null}}).to_string()
}

fn completed(mode: Mode, builder: axum::http::response::Builder, request: &Request, mut call: Call) -> Response<Body> {
    let mut answer = request.answer();
    let confidence = |text: &str, number: &str| {
        let from = text.find("\"category_confidence\":").map_or(0, |at| at + "\"category_confidence\":".len());
        let to = text[from..].find([',', '}']).map_or(text.len(), |length| from + length);
        format!("{}{number}{}", &text[..from], &text[to..])
    };
    match mode {
        Mode::ExtraField => drop(answer.insert("priority".to_owned(), json!("URGENT"))),
        Mode::UnknownLabel => drop(answer.insert("category".to_owned(), json!("label_of_nobody"))),
        _ => {}
    }
    let text = Value::Object(answer).to_string();
    let content = match mode {
        Mode::WrongShape => json!({"answer": "billing"}).to_string(),
        Mode::DuplicateKey => text.replacen('{', r#"{"category":"other","#, 1),
        Mode::NotANumber => confidence(&text, "NaN"),
        Mode::HugeNumber => confidence(&text, "1e999"),
        Mode::Overconfident => confidence(&text, "100"),
        Mode::Length => text[..text.floor_char_boundary(text.len() / 2)].to_owned(),
        _ => text,
    };
    let finish_reason = match mode {
        Mode::Length => "length",
        Mode::ContentFilter => "content_filter",
        Mode::ToolCall => "tool_calls",
        Mode::FailedMidway => "error",
        _ => "stop",
    };
    let message = match mode {
        Mode::Refuse => json!({"role": "assistant", "content": null, "refusal": "I cannot help with that."}),
        Mode::ContentFilter | Mode::FailedMidway => json!({"role": "assistant", "content": ""}),
        Mode::ToolCall => json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "close_ticket", "arguments": "{}"}}]}),
        _ => json!({"role": "assistant", "content": content, "refusal": null}),
    };
    let (prompt_tokens, completion_tokens) = (request.prompt_tokens(), (content.len() as u64).div_ceil(4));
    let id = call.response_id();
    call.billed = Billed { status: 200, prompt_tokens, completion_tokens, response_id: Some(id.clone()) };
    let mut completion = json!({
        "id": id, "object": "chat.completion", "model": "simulated-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
                  "total_tokens": prompt_tokens + completion_tokens},
    });
    match mode {
        Mode::NoUsage => completion["usage"] = Value::Null,
        Mode::NegativeUsage => completion["usage"] = json!({"prompt_tokens": -5, "completion_tokens": -1}),
        Mode::ZeroUsage => completion["usage"] = json!({"prompt_tokens": 0, "completion_tokens": 0}),
        _ => {}
    }
    let body = Bytes::from(completion.to_string());
    let half = body.slice(..body.len() / 2);
    let pieces: Vec<Piece> = match mode {
        Mode::Garbage => vec![Piece::Bytes(PAGE.into())],
        Mode::Empty => vec![Piece::Bytes(Bytes::new())],
        Mode::Truncated => vec![Piece::Bytes(half)],
        Mode::BadUtf8 => vec![Piece::Bytes([&body[..40], b"\xff\xfe", &body[40..]].concat().into())],
        Mode::Oversize => {
            let chunk = Bytes::from(vec![b' '; 1 << 20]);
            (0..OVERSIZE_BYTES >> 20).map(|_| Piece::Bytes(chunk.clone())).collect()
        }
        Mode::Bomb => vec![Piece::Bytes(bomb())],
        Mode::SlowBody => (0..body.len())
            .flat_map(|at| [Piece::Wait(Duration::from_secs(1)), Piece::Bytes(body.slice(at..=at))])
            .collect(),
        Mode::StallBody => vec![Piece::Bytes(half), Piece::Stall],
        Mode::ResetBody => vec![Piece::Bytes(half), Piece::Wait(Duration::from_millis(20)), Piece::Break],
        _ => vec![Piece::Bytes(body)],
    };
    let builder = builder
        .header("x-request-id", id)
        .header("x-ratelimit-remaining-requests", "4999")
        .header("x-ratelimit-remaining-tokens", "159000");
    let builder = if mode == Mode::Bomb { builder.header(header::CONTENT_ENCODING, "gzip") } else { builder };
    finish(builder.status(StatusCode::OK), call, StatusCode::OK, pieces)
}

/// 100 MB of spaces in about 100 KB: gzip members may simply follow each other.
fn bomb() -> Bytes {
    let plain = vec![b' '; 1 << 20];
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    member.extend(miniz_oxide::deflate::compress_to_vec(&plain, 6));
    member.extend(crc32fast::hash(&plain).to_le_bytes());
    member.extend((1u32 << 20).to_le_bytes());
    member.repeat(OVERSIZE_BYTES >> 20).into()
}

/// The call travels with the body: it ends when the last piece was taken, or when the caller hangs up before.
fn finish(
    builder: axum::http::response::Builder,
    mut call: Call,
    status: StatusCode,
    pieces: impl IntoIterator<Item = Piece>,
) -> Response<Body> {
    call.billed.status = status.as_u16();
    let pieces: VecDeque<Piece> = pieces.into_iter().collect();
    let body = stream::unfold((pieces, call), |(mut pieces, mut call)| async move {
        loop {
            match pieces.pop_front()? {
                Piece::Bytes(bytes) => {
                    call.handed_over = pieces.is_empty();
                    return Some((Ok(bytes), (pieces, call)));
                }
                Piece::Wait(wait) => tokio::time::sleep(wait).await,
                Piece::Stall => std::future::pending().await,
                Piece::Break => {
                    // It is the provider who goes, not the caller.
                    call.handed_over = true;
                    return Some((Err(std::io::Error::other("broken on purpose")), (pieces, call)));
                }
            }
        }
    });
    builder.body(Body::from_stream(body)).expect("every header of this file is valid")
}
