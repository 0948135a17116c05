//! What `ledger.url` may say: a file, or a server.

use std::net::IpAddr;

/// Where the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// `sqlite:PATH`.
    File(&'a str),
    /// `postgres://USER@HOST/DATABASE`.
    Server(Tls),
}

/// How well the server is known to be the one that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It runs on this machine.
    Loopback,
    /// Its certificate is checked, and its name in it.
    Verified,
    /// The URL asks for less.
    Weaker,
}

/// Parameters that say how to reach the server. Others would say what a session does, and the ledger sets its own.
const PARAMETERS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Read the URL. The server's URL itself stays the adapter's to parse; this knows what may be in it.
///
/// # Errors
/// What is wrong with it, without showing it.
pub fn place(url: &str) -> Result<Place<'_>, &'static str> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return server(url).map(Place::Server);
    }
    let path = url.strip_prefix("sqlite:").ok_or("expected sqlite:PATH or postgres://USER@HOST/DATABASE")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.contains('?') {
        return Err("options after `?` are not taken: the ledger sets its own");
    }
    if path.is_empty() || path.contains(":memory:") {
        return Err("expected a file: a ledger that forgets in a crash pays again");
    }
    Ok(Place::File(path))
}

fn server(url: &str) -> Result<Tls, &'static str> {
    let url: ::http::Uri = url.parse().map_err(|_| "expected postgres://USER@HOST/DATABASE")?;
    let authority = url.authority().ok_or("expected postgres://USER@HOST/DATABASE")?;
    let user = authority.as_str().rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') {
        return Err("no password in a URL: use ledger.postgres.password");
    }
    if user.is_empty() || authority.host().is_empty() || url.path().trim_matches('/').is_empty() {
        return Err("expected postgres://USER@HOST/DATABASE");
    }
    let mut mode = None;
    for parameter in url.query().unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", value)) if MODES.contains(&value) => mode = Some(value),
            Some((name, _)) if name != "sslmode" && PARAMETERS.contains(&name) => {}
            _ => return Err("takes sslmode (disable to verify-full), sslrootcert, sslcert and sslkey only"),
        }
    }
    Ok(match mode {
        _ if is_loopback(authority.host()) => Tls::Loopback,
        // The adapter asks for it where the URL is silent.
        None | Some("verify-full") => Tls::Verified,
        Some(_) => Tls::Weaker,
    })
}

/// Whether this host is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_would_be_misunderstood_is_refused() {
        for url in [
            "",
            "mysql://host/db",
            "postgres:host/db",
            "postgres://host/db",
            "postgres://me@host",
            "postgres://me@host/",
            "postgres://@host/db",
            "postgres://me:secret@host/db",
            "postgres://me@host/db?sslmode=maybe",
            "postgres://me@host/db?sslmode",
            "postgres://me@host/db?options=-csynchronous_commit%3Doff",
            "postgres://me@host/db?host=elsewhere",
            "postgres://me@host/db?password=secret",
        ] {
            let error = place(url).expect_err(url);
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_server_elsewhere_is_verified_unless_the_url_asks_for_less() {
        for (url, tls) in [
            ("postgres://me@localhost/db", Tls::Loopback),
            ("postgres://me@127.0.0.1:5433/db?sslmode=disable", Tls::Loopback),
            ("postgresql://me@[::1]/db", Tls::Loopback),
            ("postgres://me@db.example/gk", Tls::Verified),
            ("postgres://me@db.example/gk?sslmode=verify-full&sslrootcert=/etc/ca.pem", Tls::Verified),
            ("postgres://me@db.example/gk?sslmode=verify-ca", Tls::Weaker),
            ("postgres://me@db.example/gk?sslmode=require", Tls::Weaker),
            ("postgres://me@localhost.example/gk?sslmode=prefer", Tls::Weaker),
        ] {
            assert_eq!(place(url), Ok(Place::Server(tls)), "{url}");
        }
    }
}
