//! Why a broker's certificate is not taken, in words that say what to change.
//!
//! OpenSSL says "certificate verify failed" whatever the reason, and librdkafka does not ask it for more. So the handshake
//! is made once more with the other TLS library of this program, whose reasons are values. This decides nothing: the
//! connection was refused before, and this one is thrown away.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};

/// Of connecting, and of each read and write.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is wrong with the certificate of the broker that librdkafka's words are about. `authorities`: those it should come
/// from; with the system's, nothing is found out.
pub fn why_not(words: &str, authorities: Option<&Path>) -> Option<String> {
    let broker = words.split_once("://")?.1.split_once('/')?.0;
    let host = broker.rsplit_once(':')?.0.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut session = ClientConnection::new(Arc::new(trusting(authorities?)?), name).ok()?;
    let mut socket = TcpStream::connect_timeout(&broker.to_socket_addrs().ok()?.next()?, PATIENCE).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    let error = session.complete_io(&mut socket).err()?;
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(why) => Some(in_words(why, host)),
        _ => None,
    }
}

fn trusting(authorities: &Path) -> Option<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(authorities).ok()? {
        roots.add(authority.ok()?).ok()?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(config.with_root_certificates(roots).with_no_client_auth())
}

fn in_words(why: &CertificateError, host: &str) -> String {
    match why {
        CertificateError::UnknownIssuer => "it comes from no authority in log.kafka.security.ca_file".to_owned(),
        CertificateError::NotValidForName => format!("it is not for the name {host}"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("it is not for the name {host}, only for {}", presented.join(", "))
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has ended".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: do the clocks agree?".to_owned()
        }
        other => other.to_string(),
    }
}
