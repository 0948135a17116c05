//! `secrets.*`: rules for the secrets in these settings.

use serde::Deserialize;

/// Rules for every `api_key`, `password`, `token` and `secret`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// A shorter one is refused; in characters.
    pub min_length: usize,
    /// Whether placeholders and repetitions of one character are refused.
    pub refuse_weak: bool,
}
