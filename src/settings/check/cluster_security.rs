//! Rules about `log.kafka.security`: what the chosen protocol and mechanism need is there, and nothing that they do not use.
//!
//! A key without an effect is refused, because whoever wrote it believes in it.

use super::super::kafka_security::{Mechanism, OAuth, Protocol, Security};
use super::super::ledger_url::is_loopback;
use super::super::problem::Violation;

/// Every rule about it that is broken.
pub(super) fn check(security: &Security, broken: &mut Vec<Violation>) {
    let tls = security.protocol != Protocol::Plaintext;
    let sasl = security.protocol == Protocol::SaslTls;
    let (tokens, password) = (security.uses_tokens(), sasl && security.mechanism != Mechanism::OAuthBearer);
    let OAuth { token_endpoint, client_id, client_secret, scope, ca_file, .. } = &security.oauth;

    let by_password = "protocol = sasl_tls and mechanism = scram-sha-512 or plain";
    let by_token = "protocol = sasl_tls and mechanism = oauthbearer";
    let by_tls = "protocol = tls or sasl_tls";
    let mut rule = |key: &str, given: bool, used: bool, needed: bool, with: &str| {
        let key = format!("log.kafka.security.{key}");
        if given && !used {
            broken.push(Violation::new(&[&key], format!("has no effect without {with}")));
        }
        if needed && !given {
            broken.push(Violation::new(&[&key], format!("is required with {with}")));
        }
    };
    rule("username", security.username.is_some(), password, password, by_password);
    rule("password", security.password.is_some(), password, password, by_password);
    rule("ca_file", security.ca_file.is_some(), tls, false, by_tls);
    rule("certificate_file", security.certificate_file.is_some(), tls, false, by_tls);
    rule("oauth.token_endpoint", token_endpoint.is_some(), tokens, tokens, by_token);
    rule("oauth.client_id", client_id.is_some(), tokens, tokens, by_token);
    rule("oauth.client_secret", client_secret.is_some(), tokens, tokens, by_token);
    rule("oauth.scope", scope.is_some(), tokens, false, by_token);
    rule("oauth.ca_file", ca_file.is_some(), tokens, false, by_token);
    let certificate = security.certificate_file.is_some();
    rule("key_file", security.key_file.is_some(), certificate, certificate, "certificate_file");
    rule("key_password", security.key_password.is_some(), security.key_file.is_some(), false, "key_file");

    if let Some(message) = token_endpoint.as_deref().and_then(fault) {
        broken.push(Violation::new(&["log.kafka.security.oauth.token_endpoint"], message));
    }
}

/// What is wrong with the endpoint's address. The client's secret goes there.
fn fault(endpoint: &str) -> Option<&'static str> {
    let Ok(url) = endpoint.parse::<::http::Uri>() else { return Some("expected https://host/path") };
    let Some(authority) = url.authority() else { return Some("expected https://host/path") };
    if authority.as_str().contains('@') {
        return Some("no credentials in a URL: use client_id and client_secret");
    }
    match url.scheme_str() {
        Some("https") => None,
        Some("http") if is_loopback(authority.host()) => None,
        _ => Some("expected https://host/path: the client's secret goes there"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused;

    fn of_security(sets: &[&str]) -> Vec<String> {
        let sets: Vec<String> = sets.iter().map(|set| format!("log.kafka.security.{set}")).collect();
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let short = |key: String| key.trim_start_matches("log.kafka.security.").to_owned();
        refused(None, &sets).into_iter().map(short).collect()
    }

    const SCRAM: [&str; 3] = ["protocol=sasl_tls", "username=me", "password=long-enough-1"];
    const OAUTH: [&str; 5] = [
        "protocol=sasl_tls",
        "mechanism=oauthbearer",
        "oauth.token_endpoint=https://login.example/token",
        "oauth.client_id=me",
        "oauth.client_secret=long-enough-1",
    ];
    const MUTUAL: [&str; 3] = ["protocol=tls", "certificate_file=me.pem", "key_file=me.key"];

    #[test]
    fn each_way_in_needs_all_of_its_keys() {
        for whole in [&SCRAM[..], &OAUTH, &MUTUAL] {
            assert_eq!(of_security(whole), [""; 0]);
            for (left_out, set) in whole.iter().enumerate().filter(|(_, set)| !set.contains("protocol=")) {
                let rest: Vec<&str> =
                    whole.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, s)| *s).collect();
                assert!(!of_security(&rest).is_empty(), "{set} can be left out");
            }
        }
        assert_eq!(of_security(&["protocol=sasl_tls"]), ["username", "password"]);
    }

    #[test]
    fn a_key_that_would_only_look_like_protection_is_refused() {
        for set in ["username=me", "password=long-enough-1", "ca_file=ca.pem", "oauth.client_id=me", "oauth.scope=all"]
        {
            let key = set.split('=').next().unwrap_or_default();
            assert_eq!(of_security(&[set]), [key]);
        }
        assert_eq!(of_security(&["protocol=tls", "key_file=me.key"]), ["key_file"]);
        assert_eq!(of_security(&["protocol=tls", "password=long-enough-1"]), ["password"]);
        let and_a_password = [&OAUTH[..], &["password=long-enough-1"]].concat();
        assert_eq!(of_security(&and_a_password), ["password"]);
        let and_a_certificate = [&SCRAM[..], &MUTUAL[1..], &["key_password=long-enough-1", "ca_file=ca.pem"]].concat();
        assert_eq!(of_security(&and_a_certificate), [""; 0]);
    }

    #[test]
    fn the_secret_goes_to_an_endpoint_that_proves_its_name() {
        for (endpoint, good) in [
            ("https://login.example/token", true),
            ("http://127.0.0.1:8080/token", true),
            ("http://login.example/token", false),
            ("https://me:pw@login.example/token", false),
            ("login.example/token", false),
            ("ftp://login.example/token", false),
        ] {
            let mut sets = OAUTH;
            let set = format!("oauth.token_endpoint={endpoint}");
            sets[2] = &set;
            assert_eq!(of_security(&sets).is_empty(), good, "{endpoint}");
        }
    }

    #[test]
    fn verification_cannot_be_switched_off() {
        for (property, value) in [
            ("enable.ssl.certificate.verification", "false"),
            ("ssl.endpoint.identification.algorithm", "none"),
            ("security.protocol", "plaintext"),
            ("ssl.ca.location", "/tmp/mine.pem"),
        ] {
            let set = format!("log.kafka.client.\"{property}\"={value}");
            assert_eq!(refused(None, &[&set]), [format!("log.kafka.client.\"{property}\"")]);
        }
    }
}
