//! The provider's own record of calls: one JSON line when a call comes in, one when it ends.
//!
//! A start without an end is a call that was under way when the simulator itself died; `client_gone` says that the caller
//! hung up before the reply was handed over whole. What was billed stands in the end line, gone or not: a provider bills
//! what it has generated.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::domain::clock::{Clock as _, SystemClock};

/// The file.
pub(super) struct Ledger {
    file: Option<Mutex<File>>,
    calls: AtomicU64,
}

#[derive(Serialize)]
struct Line<'a> {
    what: &'static str,
    /// Number of the call since the start of this process.
    call: u64,
    call_id: &'a str,
    received_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<End<'a>>,
}

#[derive(Serialize)]
struct End<'a> {
    finished_at: i64,
    client_gone: bool,
    #[serde(flatten)]
    billed: &'a Billed,
}

/// What a call came to.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Billed {
    /// 0: no response was begun.
    pub status: u16,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub response_id: Option<String>,
}

impl Ledger {
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path).map(Mutex::new);
        Ok(Self { file: path.map(open).transpose()?, calls: AtomicU64::new(0) })
    }

    /// A call came in; its end is written when the value goes away.
    pub fn begin(ledger: &Arc<Self>, call_id: &str) -> Call {
        let call = Call {
            number: ledger.calls.fetch_add(1, Ordering::Relaxed) + 1,
            ledger: Arc::clone(ledger),
            call_id: call_id.to_owned(),
            received_at: SystemClock.now().0,
            billed: Billed::default(),
            handed_over: false,
        };
        ledger.append(&call.line("start", None));
        call
    }

    fn append(&self, line: &Line<'_>) {
        let Some(file) = &self.file else { return };
        let mut text = serde_json::to_vec(line).expect("plain values always serialise");
        text.push(b'\n');
        // A ledger that cannot be written proves nothing any more: the whole run must fail, not go on without it.
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(&text) {
            tracing::error!(%error, "the call ledger cannot be written");
            #[expect(
                clippy::disallowed_methods,
                reason = "from the drop of a call there is no other way to end it all"
            )]
            std::process::exit(1);
        }
    }
}

/// A call under way.
pub(super) struct Call {
    ledger: Arc<Ledger>,
    number: u64,
    call_id: String,
    received_at: i64,
    pub billed: Billed,
    pub handed_over: bool,
}

impl Call {
    pub fn response_id(&self) -> String {
        format!("chatcmpl-sim-{:x}-{}", self.received_at, self.number)
    }

    fn line<'a>(&'a self, what: &'static str, end: Option<End<'a>>) -> Line<'a> {
        Line { what, call: self.number, call_id: &self.call_id, received_at: self.received_at, end }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let end = End { finished_at: SystemClock.now().0, client_gone: !self.handed_over, billed: &self.billed };
        self.ledger.append(&self.line("end", Some(end)));
    }
}
