//! Keys, tokens and passwords, by the prefixes their makers gave them and by what stands before them.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

const KEY: &str = r"(?x)
    (?-u:\b)(?:
        sk-[A-Za-z0-9_-]{16,} | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,} | whsec_[A-Za-z0-9]{16,}
      | (?:AKIA|ASIA)[0-9A-Z]{16} | AIza[0-9A-Za-z_-]{35} | ya29\.[0-9A-Za-z_-]{20,}
      | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | gl(?:pat|dt|rt)-[A-Za-z0-9_-]{20,}
      | xox[abeoprs]-[A-Za-z0-9-]{10,} | xapp-[A-Za-z0-9-]{10,} | hv[sb]\.[A-Za-z0-9_-]{20,}
      | npm_[A-Za-z0-9]{36} | pypi-[A-Za-z0-9_-]{16,} | hf_[A-Za-z0-9]{20,} | dop_v1_[a-f0-9]{64} | dckr_pat_[A-Za-z0-9_-]{20,}
      | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,} | SK[0-9a-f]{32} | shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}
      | dapi[a-f0-9]{32} | lin_api_[A-Za-z0-9]{32,} | sntry[su]_[A-Za-z0-9+/=_-]{20,} | key-[0-9a-f]{32}
      | [0-9]{8,10}:AA[A-Za-z0-9_-]{33} | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,3}
        # Of a long one the end may lie behind the cut.
      | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,} | eyJ[A-Za-z0-9_.-]{64,}\z
    )
  | hooks\.slack\.com/services/[A-Za-z0-9/_-]{20,}
  | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY(?:\ BLOCK)?-----[^-]*(?:-----END\ [A-Z\ ]*PRIVATE\ KEY(?:\ BLOCK)?-----)?";

/// `scheme://user:password@`, a bearer's token, and what a name with an equals sign or a colon says is secret.
const PASSWORD: &str = r#"(?xi)
    [a-z][a-z0-9+.-]*://(?P<url>[^\s/@:?\#"']*:[^\s/?\#"']+)@
  | (?-u:\b)(?:bearer|basic)\x20(?P<bearer>[a-z0-9._~+/-]{16,}=*)
  | (?:password|passwd|passphrase|pwd|passwort|kennwort|contraseña|mot\x20de\x20passe|senha|wachtwoord
      |secret|token|credential|api[_-]?key|accountkey|access[_-]?key|auth[_-]?key|private[_-]?key|client[_-]?secret)
    ["']? \x20?[:=]\x20? ["']? (?P<value>[^\s"'&,;<>\[\]]{6,})"#;

/// Where keys stand.
pub(super) fn find_keys(text: &str) -> Vec<Range<usize>> {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(KEY).expect("a pattern of this file, compiled by every test"));
    PATTERN.find_iter(text).map(|found| found.range()).collect()
}

/// Where passwords stand: without the name, the scheme and the host, which tell what it was for.
pub(super) fn find_passwords(text: &str) -> Vec<Range<usize>> {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(PASSWORD).expect("a pattern of this file, compiled by every test"));
    let captured = PATTERN.captures_iter(text).filter_map(|captures| {
        let sure = captures.name("url").or_else(|| captures.name("bearer"));
        sure.or_else(|| captures.name("value").filter(|value| is_mixed(value.as_str())))
    });
    captured.map(|found| found.range()).collect()
}

/// Letters with digits or signs among them: `password: forgotten` is a sentence.
fn is_mixed(value: &str) -> bool {
    let value = value.trim_end_matches(['.', '!', '?', ')', ':']);
    value.chars().any(char::is_alphabetic) && value.chars().any(|c| !c.is_alphabetic() && !matches!(c, '-' | '_' | '/'))
}
