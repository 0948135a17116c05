//! A record as the log carries it: bytes and headers, not yet understood.

use std::borrow::Cow;

use super::clock::Timestamp;
use super::position::TopicRole;

/// Stands in place of a record's headers where the log cannot take them apart (a hundred thousand of them, say). One that was
/// sent under this name means the same.
pub const HEADERS_UNREADABLE: &str = "gk-headers-unreadable";

/// What a header takes in memory beside its name and value, about. Without it a record of nothing but empty headers would
/// count nothing and take megabytes.
const HEADER_ITSELF: usize = 64;

/// Bytes as they stand in the log; cheap to clone.
pub type Payload = bytes::Bytes;

/// One header; a header may repeat, and its value may be null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Name, as sent; those that we write are known at compile time.
    pub name: Cow<'static, str>,
    /// Value, as sent.
    pub value: Option<Payload>,
}

impl Header {
    /// A header with text in it.
    #[must_use]
    pub fn text(name: impl Into<Cow<'static, str>>, value: &str) -> Self {
        Self { name: name.into(), value: Some(Payload::copy_from_slice(value.as_bytes())) }
    }

    /// A header that always says the same.
    #[must_use]
    pub fn fixed(name: &'static str, value: &'static str) -> Self {
        Self { name: name.into(), value: Some(Payload::from_static(value.as_bytes())) }
    }
}

/// A record read from a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Offset in its partition.
    pub offset: u64,
    /// When the log or the producer says it was written; 0 if neither does.
    pub timestamp: Timestamp,
    /// Key, untouched.
    pub key: Option<Payload>,
    /// Value, untouched; null is a tombstone.
    pub value: Option<Payload>,
    /// Headers in order.
    pub headers: Vec<Header>,
}

impl Record {
    /// First header of that name that has a value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|header| &*header.name == name).and_then(|header| header.value.as_deref())
    }

    /// Bytes of key, value and headers, and what there is to each header besides.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.envelope_bytes() + size(self.value.as_ref())
    }

    /// The same without the value.
    #[must_use]
    pub fn envelope_bytes(&self) -> usize {
        size(self.key.as_ref()) + headers_bytes(&self.headers)
    }
}

fn size(bytes: Option<&Payload>) -> usize {
    bytes.map_or(0, Payload::len)
}

fn headers_bytes(headers: &[Header]) -> usize {
    headers.iter().map(|header| HEADER_ITSELF + header.name.len() + size(header.value.as_ref())).sum()
}

/// A record to be written. Its partition is explicit: outputs go to the number of the record they stem from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutRecord {
    /// Which topic.
    pub topic: TopicRole,
    /// Which partition of it.
    pub partition: u32,
    /// Key.
    pub key: Option<Payload>,
    /// Value.
    pub value: Option<Payload>,
    /// Headers in order.
    pub headers: Vec<Header>,
}

impl OutRecord {
    /// Bytes of key, value and headers, and what there is to each header besides; framing comes on top.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size(self.key.as_ref()) + size(self.value.as_ref()) + headers_bytes(&self.headers)
    }
}
