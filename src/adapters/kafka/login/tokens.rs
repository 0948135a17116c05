//! A token that is always fresh, and everybody who is told of it.
//!
//! ```text
//!  fetched ---- 4/5 of its life ----> fetch again -+-> told to every client
//!                                                  +-> not to be had: said, tried again after 1, 2, 4, 8, 10, 10 .. s
//! ```
//!
//! While the endpoint is away the old token serves until its end. After that brokers refuse it, which clients report
//! themselves; the next token makes them go on. What must hold: a client is never told of a token after it was dropped
//! ([`Renewal`] is dropped first, under the lock that telling takes).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::token_endpoint::{Token, TokenEndpoint, TokenError};
use crate::adapters::kafka::raw::NativeClient;
use crate::domain::clock::{Clock as _, SystemClock, Timestamp};
use crate::telemetry::happenings::{TokenNotRenewed, TokenRenewed};

/// After the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// After many.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often the time is looked at: a machine that slept woke up with an old token.
const STEP: Duration = Duration::from_secs(1);

/// The token, shared by all clients of one login. The thread ends with the last of them.
pub struct Tokens {
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// Of the last request, if it failed.
    failure: Option<TokenError>,
    clients: Vec<NativeClient>,
    ending: bool,
}

impl State {
    fn fresh(&self) -> Option<&Token> {
        self.token.as_ref().filter(|token| token.ends > SystemClock.now())
    }

    /// A token, or why there is none; `None`: the first request is on its way.
    fn known(&self) -> Option<Result<Token, TokenError>> {
        match (self.fresh(), &self.failure) {
            (Some(token), _) => Some(Ok(token.clone())),
            (None, Some(failure)) => Some(Err(failure.clone())),
            (None, None) => None,
        }
    }
}

impl Shared {
    // Each change is whole by itself: what a panicking thread left is readable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a client among those that are told.
pub struct Renewal {
    shared: Arc<Shared>,
    client: NativeClient,
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.shared.lock().clients.retain(|client| *client != self.client);
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
    }
}

impl Tokens {
    /// From this endpoint, by a thread of its own.
    pub fn keep(endpoint: TokenEndpoint) -> Result<Self, TokenError> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        // One request may wait for its time-out; whoever waits for it hears its end.
        let patience = endpoint.timeout() + STEP;
        let kept = shared.clone();
        let thread = std::thread::Builder::new().name("kafka-token".to_owned());
        thread.spawn(move || keep(&kept, &endpoint)).map_err(|error| TokenError::NoClient(error.to_string()))?;
        Ok(Self { shared, patience })
    }

    /// Until there is a token, or it is known why not.
    pub fn wait(&self) -> Result<(), TokenError> {
        self.token().map(drop)
    }

    fn token(&self) -> Result<Token, TokenError> {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, self.patience, |state| state.known().is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.known().unwrap_or(Err(TokenError::NoAnswer("it takes too long".to_owned())))
    }

    /// Give this client the token, and each next one while what comes back is kept.
    pub fn push_to(&self, client: NativeClient) -> Result<Renewal, TokenError> {
        let token = self.token()?;
        let mut state = self.shared.lock();
        // It may have been renewed meanwhile.
        let token = state.fresh().unwrap_or(&token);
        token.hand_to(client).map_err(TokenError::Garbled)?;
        state.clients.push(client);
        Ok(Renewal { shared: self.shared.clone(), client })
    }
}

fn keep(shared: &Shared, endpoint: &TokenEndpoint) {
    let mut pause = FIRST_PAUSE;
    loop {
        let next = match endpoint.fetch() {
            Ok(token) => {
                pause = FIRST_PAUSE;
                let now = SystemClock.now();
                let life = Duration::from_millis(token.ends.millis_since(now).unsigned_abs());
                TokenRenewed { ends: token.ends, life }.record();
                renew(shared, token);
                now.after((life * 4 / 5).max(FIRST_PAUSE))
            }
            Err(error) => {
                let mut state = shared.lock();
                let left = state.fresh().map(|token| token.ends.millis_since(SystemClock.now()).unsigned_abs());
                TokenNotRenewed { reason: &error.to_string(), left: left.map(Duration::from_millis) }.record();
                state.failure = Some(error);
                let wait = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                SystemClock.now().after(wait)
            }
        };
        shared.changed.notify_all();
        if ends_before(shared, next) {
            return;
        }
    }
}

fn renew(shared: &Shared, token: Token) {
    let mut state = shared.lock();
    for client in &state.clients {
        if let Err(why) = token.hand_to(*client) {
            TokenNotRenewed { reason: &format!("a client does not take it: {why}"), left: None }.record();
        }
    }
    state.failure = None;
    state.token = Some(token);
}

/// Wait until then, or until nobody needs tokens any more.
fn ends_before(shared: &Shared, then: Timestamp) -> bool {
    let mut state = shared.lock();
    while !state.ending && SystemClock.now() < then {
        let begun = Instant::now();
        let waited = shared.changed.wait_timeout_while(state, STEP, |state| !state.ending && begun.elapsed() < STEP);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    state.ending
}
