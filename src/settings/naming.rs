//! What may name an instance, a topic, a tenant.

/// `[A-Za-z0-9._-]`, not empty, at most `max` characters.
#[must_use]
pub fn is_name(text: &str, max: usize) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= max && text.bytes().all(fits)
}
