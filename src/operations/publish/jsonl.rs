//! One line of JSON to one value.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Flaw;

/// The line's value, or what is wrong with it; `None`: a blank line.
pub(super) fn read(line: &[u8]) -> Result<Option<Value>, Flaw> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(line)
        .map_err(|error| Flaw::of_row(format!("not UTF-8 from byte {} on", error.valid_up_to() + 1)))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = EachKeyOnce.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    // The library counts lines within what it is given; the line in the file is said by the row.
    value.map(Some).map_err(|error| {
        Flaw::of_row(format!("not JSON: {}", error.to_string().replace(" at line 1 column ", " at column ")))
    })
}

/// Any JSON value. An object that says something twice is refused, as ingest would: a later word must not silently
/// replace an earlier one on the way.
struct EachKeyOnce;

impl<'de> DeserializeSeed<'de> for EachKeyOnce {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EachKeyOnce {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(Self)?;
            if object.contains_key(&key) {
                return Err(A::Error::custom("a key stands twice in an object"));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn why(line: &[u8]) -> String {
        read(line).expect_err("a flaw").why
    }

    #[test]
    fn values_are_read_as_they_stand() {
        let line = br#" {"a": [1, -2, 0.5, true, null, "x\u0000"], "b": {"a": ""}} "#;
        assert_eq!(read(line), Ok(Some(json!({"a": [1, -2, 0.5, true, null, "x\0"], "b": {"a": ""}}))));
        assert_eq!(read(b" \t"), Ok(None));
    }

    #[test]
    fn lines_that_are_not_json_say_where_they_stop_being_it() {
        assert!(why(b"{\"a\":").contains("at column 5"), "{}", why(b"{\"a\":"));
        assert!(why(b"{} {}").starts_with("not JSON: trailing characters"));
        assert!(why(b"{\"a\":\"\0\"}").starts_with("not JSON: control character"));
        assert_eq!(why(b"{\"a\":\"\xe4\"}"), "not UTF-8 from byte 7 on");
        assert!(why(b"{\"a\":1,\"a\":2}").contains("a key stands twice"));
        assert!(why("[".repeat(10_000).as_bytes()).contains("recursion"));
    }
}
