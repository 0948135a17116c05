//! Headers as one BLOB: their order, repetitions and null values survive.
//!
//! Each header is a length and the name, then a length and the value; lengths are little-endian `u32`, and the length
//! `0xFFFF_FFFF` stands for a null value. No headers at all are NULL in the table.

use crate::domain::record::{Header, Payload};

const NULL: u32 = u32::MAX;

/// Bytes that are not headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("headers that cannot be read")]
pub(super) struct Unreadable;

/// Append the headers to `out`. Lengths fit: SQLite takes no BLOB of more than a billion bytes.
pub(super) fn encode(headers: &[Header], out: &mut Vec<u8>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(NULL - 1).to_le_bytes();
    for header in headers {
        out.extend(length(header.name.as_bytes()));
        out.extend(header.name.as_bytes());
        match &header.value {
            Some(value) => {
                out.extend(length(value));
                out.extend(&value[..]);
            }
            None => out.extend(NULL.to_le_bytes()),
        }
    }
}

/// The headers in `bytes`; their values share its memory.
pub(super) fn decode(mut bytes: Payload) -> Result<Vec<Header>, Unreadable> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name = part(&mut bytes)?.ok_or(Unreadable)?;
        let name = String::from_utf8(name.into()).map_err(|_| Unreadable)?;
        let value = part(&mut bytes)?;
        headers.push(Header { name: name.into(), value });
    }
    Ok(headers)
}

fn part(bytes: &mut Payload) -> Result<Option<Payload>, Unreadable> {
    let length = bytes.split_first_chunk::<4>().map(|(length, _)| u32::from_le_bytes(*length)).ok_or(Unreadable)?;
    bytes::Buf::advance(bytes, 4);
    if length == NULL {
        return Ok(None);
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len()).ok_or(Unreadable)?;
    Ok(Some(bytes.split_to(length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> impl Strategy<Value = Header> {
        let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40));
        (".{0,12}", value).prop_map(|(name, value)| Header { name: name.into(), value: value.map(Payload::from) })
    }

    proptest! {
        #[test]
        fn any_headers_come_back_as_they_were(headers in proptest::collection::vec(header(), 0..8)) {
            let mut bytes = Vec::new();
            encode(&headers, &mut bytes);
            prop_assert_eq!(decode(bytes.into()), Ok(headers));
        }

        #[test]
        fn any_bytes_are_headers_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(headers) = decode(bytes.clone().into()) {
                let mut again = Vec::new();
                encode(&headers, &mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn a_cut_is_an_error() {
        let mut bytes = Vec::new();
        encode(&[Header::text("ce_id", "1")], &mut bytes);
        for end in 1..bytes.len() {
            assert_eq!(decode(Payload::copy_from_slice(&bytes[..end])), Err(Unreadable), "cut at {end}");
        }
    }
}
