//! Addresses of people and machines: e-mail, IPv4, IPv6.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::surroundings::{is_wordy, said_before, stands_alone};

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
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let length = bytes[start..].iter().take_while(|&&byte| is_part(byte)).count();
        let glued = start > 0 && (is_wordy(bytes[start - 1]) || matches!(bytes[start - 1], b'-'));
        if length > 0 && !glued {
            found.extend(ip_in(text, start, start + length));
        }
        start += length.max(1);
    }
    found
}

/// A run of hexadecimal digits, dots and colons; a full stop or a colon may follow the address.
fn ip_in(text: &str, start: usize, end: usize) -> Option<Range<usize>> {
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
        is_v6(candidate) && !text.as_bytes().get(end).is_some_and(|&byte| is_wordy(byte))
            || is_v4(text, start, candidate, end)
    };
    [run, trimmed].into_iter().chain(with_port).find(fits).map(|address| start..start + address.len())
}

fn is_v4(text: &str, start: usize, candidate: &str, end: usize) -> bool {
    let rest = text[end..].trim_start_matches(':').trim_start_matches(|c: char| c.is_ascii_digit());
    candidate.parse::<Ipv4Addr>().is_ok()
        && (stands_alone(text, start, end) || text[end..].starts_with(['/', ':']) && !rest.starts_with('.'))
        && !said_before(text, start, &OF_RELEASES)
}

/// `a::b` and `1::2` are code; an address has more to it.
fn is_v6(candidate: &str) -> bool {
    const FEWEST_DIGITS: usize = 5;
    candidate.contains(':')
        && candidate.bytes().filter(u8::is_ascii_hexdigit).count() >= FEWEST_DIGITS
        && candidate.parse::<Ipv6Addr>().is_ok()
}
