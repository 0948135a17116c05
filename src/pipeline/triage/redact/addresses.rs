//! Addresses of people and machines: e-mail, IPv4, IPv6.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::surroundings::{begins_alone, ends_alone, ends_at, goes_on_before, said_before};

/// After these, four numbers with dots are a release.
const OF_RELEASES: [&str; 12] = [
    "version", "versions", "ver", "v", "release", "build", "firmware", "driver", "patch", "update", "chapter",
    "section",
];

/// Where mail addresses stand. One that is broken over two lines at its sign, or says `[at]`, is one all the same.
pub(super) fn find_emails(text: &str) -> Vec<Range<usize>> {
    static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?x)
            [\p{L}\p{N}_] [\p{L}\p{N}\p{M}._%+'&~\#/!$*?^{|}-]*
            (?: \n?@\n? | \x20?[\[(]\x20?at\x20?[\])]\x20? )
            [\p{L}\p{N}][\p{L}\p{N}\p{M}-]* (?: (?:\. | \x20?[\[(]\x20?dot\x20?[\])]\x20?) [\p{L}\p{N}][\p{L}\p{N}\p{M}-]* )*
            (?:\. | \x20?[\[(]\x20?dot\x20?[\])]\x20?) (?: xn--[a-zA-Z0-9-]+ | \p{L}{2,} )",
        )
        .expect("a pattern of this file, compiled by every test")
    });
    EMAIL.find_iter(text).map(|found| found.range()).collect()
}

/// Where addresses of machines stand, with neither port nor mask.
pub(super) fn find_ips(text: &str) -> Vec<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let mut found: Vec<Range<usize>> = Vec::new();
    let bytes = text.as_bytes();
    // Where the last run ended in which there was one.
    let mut found_until = None;
    let mut start = 0;
    while start < bytes.len() {
        let length = bytes[start..].iter().take_while(|&&byte| is_part(byte)).count();
        let end = start + length;
        if length > 0 {
            // The next one of a list, or the last one of a range.
            let follows = found_until.is_some_and(|at| at + 1 == start && matches!(bytes[at], b',' | b'-'));
            let is_glued = !follows && (goes_on_before(text, start) || bytes[..start].ends_with(b"-"));
            // `IP:203.0.113.5`, `node:10.0.0.1`: a name may end in hexadecimal digits.
            let named = text[start..end].find(':').map(|colon| start + colon + 1);
            let begins = [(!is_glued).then_some((start, follows)), named.map(|at| (at, false))];
            let address = begins.into_iter().flatten().find_map(|(start, follows)| ip_in(text, start, end, follows));
            if let Some(address) = address {
                found.push(address);
                found_until = Some(end);
            }
        }
        start += length.max(1);
    }
    found
}

/// A run of hexadecimal digits, dots and colons; a full stop or a colon may follow the address.
fn ip_in(text: &str, start: usize, end: usize, follows: bool) -> Option<Range<usize>> {
    const LONGEST: usize = 64;
    if end - start > LONGEST {
        return None;
    }
    let run = &text[start..end];
    let trimmed = run.trim_end_matches(['.', ':']);
    // `::` may end an address, and `1.2.3.4:80` has a port.
    let with_port = trimmed.rsplit_once(':').map(|(host, _)| host);
    let fits = |candidate: &&str| {
        let end = start + candidate.len();
        is_v6(candidate) && ends_at(text, end) || is_v4(text, start, candidate, end, follows)
    };
    [run, trimmed].into_iter().chain(with_port).find(fits).map(|address| start..start + address.len())
}

/// `follows`: another address stands right before it.
fn is_v4(text: &str, start: usize, candidate: &str, end: usize, follows: bool) -> bool {
    let after = &text[end..];
    let rest = after.trim_start_matches(':').trim_start_matches(|c: char| c.is_ascii_digit());
    let ends =
        || ends_alone(text, end) || after.starts_with(',') || after.strip_prefix('-').is_some_and(begins_with_v4);
    candidate.parse::<Ipv4Addr>().is_ok()
        && ((follows || begins_alone(text, start)) && ends() || after.starts_with(['/', ':']) && !rest.starts_with('.'))
        && !said_before(text, start, &OF_RELEASES)
}

/// `10.0.0.1-10.0.0.20` is a range, `1.2.3.4-1` a release.
fn begins_with_v4(text: &str) -> bool {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text[..end].trim_end_matches('.').parse::<Ipv4Addr>().is_ok()
}

/// `a::b` and `1::2` are code; an address has more to it.
fn is_v6(candidate: &str) -> bool {
    const FEWEST_DIGITS: usize = 5;
    candidate.contains(':')
        && candidate.bytes().filter(u8::is_ascii_hexdigit).count() >= FEWEST_DIGITS
        && candidate.parse::<Ipv6Addr>().is_ok()
}
