//! Where secrets are kept: in the value itself, a file (`file:/path`) or a variable (`env:NAME`).
//!
//! Read once, at start. No error says anything about the secret but its length.

use std::path::Path;

use super::secrets::Secrets;

/// A longer file is not a secret but a mistake.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Values that people leave in examples.
const PLACEHOLDERS: [&str; 10] = [
    "changeme",
    "change-me",
    "password",
    "secret",
    "your-api-key",
    "your_api_key",
    "api-key",
    "placeholder",
    "12345678",
    "sk-...",
];

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// `env:` of a variable that is not set.
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    /// `file:` of a file that cannot be read.
    #[error("cannot read the secret in {path}: {source}")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// `file:` of something that is too long for a secret.
    #[error("{path} is longer than {MAX_FILE_BYTES} bytes: that is no secret")]
    TooLong {
        /// Which file.
        path: String,
    },
    /// A place that will be known later.
    #[error("secrets from `{0}:` are not supported yet; use file:/path or env:NAME")]
    NotSupported(&'static str),
    /// Shorter than `secrets.min_length`.
    #[error("the secret has {length} characters, at least {min} are required (secrets.min_length)")]
    TooShort {
        /// Its length.
        length: usize,
        /// What is required.
        min: usize,
    },
    /// Refused by `secrets.refuse_weak`.
    #[error("the secret is a placeholder or one character repeated (secrets.refuse_weak)")]
    Weak,
    /// It would break the header it is sent in.
    #[error("the secret contains a line break or another control character")]
    ControlCharacter,
}

/// The secret that `reference` stands for, checked against the rules.
///
/// # Errors
/// When it cannot be had, or when the rules refuse it.
pub fn resolve(reference: &str, environment: &[(String, String)], rules: Secrets) -> Result<String, SecretError> {
    let secret = fetch(reference, environment)?;
    let length = secret.chars().count();
    if secret.chars().any(char::is_control) {
        return Err(SecretError::ControlCharacter);
    }
    if length < rules.min_length {
        return Err(SecretError::TooShort { length, min: rules.min_length });
    }
    if rules.refuse_weak && is_weak(&secret) {
        return Err(SecretError::Weak);
    }
    Ok(secret)
}

fn fetch(reference: &str, environment: &[(String, String)]) -> Result<String, SecretError> {
    if let Some(name) = reference.strip_prefix("env:") {
        let found = environment.iter().find(|(variable, _)| variable == name);
        return found.map(|(_, value)| value.clone()).ok_or_else(|| SecretError::NoVariable(name.to_owned()));
    }
    if let Some(path) = reference.strip_prefix("file:") {
        return from_file(path);
    }
    for place in ["vault", "aws-sm"] {
        if reference.strip_prefix(place).is_some_and(|rest| rest.starts_with(':')) {
            return Err(SecretError::NotSupported(place));
        }
    }
    Ok(reference.to_owned())
}

fn from_file(path: &str) -> Result<String, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    // Asked first, so that a huge file is refused without reading it.
    if std::fs::metadata(Path::new(path)).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(SecretError::TooLong { path: path.to_owned() });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    // Editors and `echo` end a file with a line break that is no part of the secret.
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn is_weak(secret: &str) -> bool {
    let mut letters = secret.chars();
    let first = letters.next();
    let repeated = letters.all(|letter| Some(letter) == first);
    repeated || PLACEHOLDERS.contains(&secret.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const RULES: Secrets = Secrets { min_length: 8, refuse_weak: true };

    fn resolved(reference: &str) -> Result<String, String> {
        let environment = [("OPENAI_API_KEY".to_owned(), "sk-from-environment".to_owned())];
        resolve(reference, &environment, RULES).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_comes_from_the_value_a_variable_or_a_file_without_its_last_line_break() {
        assert_eq!(resolved("sk-plain-text").as_deref(), Ok("sk-plain-text"));
        assert_eq!(resolved("env:OPENAI_API_KEY").as_deref(), Ok("sk-from-environment"));
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"sk-from-file\r\n").expect("written");
        assert_eq!(resolved(&format!("file:{}", file.path().display())).as_deref(), Ok("sk-from-file"));
    }

    #[test]
    fn what_cannot_be_had_is_named_by_its_place() {
        assert!(resolved("env:NOT_THERE").expect_err("not set").contains("NOT_THERE"));
        assert!(resolved("file:/no/such/file").expect_err("no file").contains("/no/such/file"));
        for place in ["vault:secret/openai#key", "aws-sm:openai#key"] {
            assert!(resolved(place).expect_err("later").contains("not supported yet"), "{place}");
        }
    }

    #[test]
    fn short_weak_and_broken_secrets_are_refused_without_being_shown() {
        for secret in ["short", "changeme", "CHANGEME", "xxxxxxxxxxxx", "sk-two\nlines-of-it"] {
            let error = resolved(secret).expect_err("refused");
            assert!(!error.contains(secret) && !error.contains("lines-of-it"), "{error}");
        }
        let huge = tempfile::NamedTempFile::new().expect("a temporary file");
        huge.as_file().set_len(MAX_FILE_BYTES + 1).expect("grown");
        assert!(resolved(&format!("file:{}", huge.path().display())).expect_err("too long").contains("no secret"));
    }
}
