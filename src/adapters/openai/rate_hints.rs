//! `x-ratelimit-*`: what a reply says about the provider's limits.

use std::time::Duration;

use http::HeaderMap;

use crate::pipeline::triage::model::RateHints;

/// What of it was there and understood.
pub(super) fn read(headers: &HeaderMap) -> RateHints {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let count = |name: &str| text(name)?.parse().ok();
    let time = |name: &str| duration(text(name)?);
    RateHints {
        remaining_requests: count("x-ratelimit-remaining-requests"),
        remaining_tokens: count("x-ratelimit-remaining-tokens"),
        reset_requests: time("x-ratelimit-reset-requests"),
        reset_tokens: time("x-ratelimit-reset-tokens"),
    }
}

/// `6m0s`, `1.5s`, `20ms`, or a plain number of seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let unit = &tail[..tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len())];
        let seconds = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = &tail[unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_way_to_write_a_time_is_read_and_nothing_else() {
        for (text, millis) in [
            ("1s", Some(1_000)),
            ("6m0s", Some(360_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("20ms", Some(20)),
            ("12", Some(12_000)),
            ("0.25", Some(250)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("soon", None),
            ("1x", None),
            ("1s2", None),
            ("1..5s", None),
            ("-3", None),
            ("NaN", None),
            ("99999999999999999999999h", None),
            ("2026-01-27T12:00:30Z", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn an_exhausted_limit_says_how_long_to_wait_and_a_fuller_one_does_not() {
        let said = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            read(&headers.collect())
        };
        let (requests, tokens) = ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens");
        let (requests_back, tokens_back) = ("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens");
        let wait = |hints: RateHints| hints.exhausted_for(500).map(|wait| wait.as_millis());
        assert_eq!(wait(said(&[])), None);
        assert_eq!(wait(said(&[(requests, "1"), (requests_back, "9s"), (tokens, "500"), (tokens_back, "9s")])), None);
        assert_eq!(
            wait(said(&[(requests, "0"), (requests_back, "1s"), (tokens, "499"), (tokens_back, "80ms")])),
            Some(1_000)
        );
        assert_eq!(wait(said(&[(tokens, "499"), (tokens_back, "80ms")])), Some(80));
        assert_eq!(wait(said(&[(requests, "0")])), None, "nobody says for how long");
        assert_eq!(said(&[(requests, "many"), (tokens, "-1")]), RateHints::default());
    }
}
