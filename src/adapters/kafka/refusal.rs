//! Why the cluster does not let us in, read out of librdkafka's words, and what to do about it. Pure.
//!
//! librdkafka tries again for ever, whatever the reason; but a wrong password does not become right by waiting. Its codes
//! are too coarse (a missing client certificate is `BrokerTransportFailure`, like a broker that restarts), so its words and
//! OpenSSL's are read. They stand in tests as they were heard from a real broker; words that are not known are trouble like
//! any other, and told as they are.

use rdkafka::types::RDKafkaErrorCode as Code;

/// Why the cluster does not let us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// User or password.
    Password,
    /// The token.
    Token,
    /// The listener does not offer our mechanism.
    Mechanism,
    /// The broker could be anybody.
    BrokerCertificate,
    /// The broker wants a certificate of ours that it can trust.
    ClientCertificate,
}

impl Refusal {
    /// What librdkafka says, understood.
    pub fn of(code: Option<Code>, words: &str) -> Option<Self> {
        let says = |part: &str| words.contains(part);
        if says("certificate verify failed") || says("verify broker certificate") || says("not provide a certificate") {
            return Some(Self::BrokerCertificate);
        }
        // An alert is the broker's word about us.
        if says("alert certificate") || says("alert bad certificate") || says("alert unknown ca") {
            return Some(Self::ClientCertificate);
        }
        if says("mechanism handshake failed") {
            return Some(Self::Mechanism);
        }
        match code {
            Some(Code::Authentication | Code::SaslAuthenticationFailed)
                if says("OAUTHBEARER") || says("invalid_token") =>
            {
                Some(Self::Token)
            }
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => Some(Self::Password),
            _ => None,
        }
    }

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token => "token",
            Self::Mechanism => "mechanism",
            Self::BrokerCertificate => "broker_certificate",
            Self::ClientCertificate => "client_certificate",
        }
    }

    /// What to do about it.
    pub fn cure(self) -> &'static str {
        match self {
            Self::Password => "check log.kafka.security.username and password",
            Self::Token => {
                "the broker does not take the token: check log.kafka.security.oauth, and the issuer, audience and keys that \
                 the broker expects"
            }
            Self::Mechanism => "the listener offers other mechanisms than log.kafka.security.mechanism",
            Self::BrokerCertificate => {
                "the broker's certificate must come from log.kafka.security.ca_file (or the system's authorities) and be for \
                 the name that the broker is found under; verification cannot be switched off"
            }
            Self::ClientCertificate => {
                "the broker wants a client certificate that it can trust: set or check \
                 log.kafka.security.certificate_file and key_file"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_brokers_words_are_understood() {
        let unverified = "sasl_ssl://127.0.0.1:21081/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate \
                          verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly \
                          configured or root CA certificates are installed (install ca-certificates package) (after 3ms in \
                          state SSL_HANDSHAKE)";
        let no_certificate = "ssl://127.0.0.1:22225/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad \
                              certificate: SSL alert number 42 (after 0ms in state APIVERSION_QUERY)";
        let password = "sasl_ssl://127.0.0.1:21081/bootstrap: SASL authentication error: Authentication failed during \
                        authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 323ms in state \
                        AUTH_REQ)";
        let mechanism = "sasl_ssl://127.0.0.1:21081/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL \
                         mechanism: broker's supported mechanisms: SCRAM-SHA-512 (after 302ms in state AUTH_HANDSHAKE)";
        let token = "sasl_ssl://127.0.0.1:32055/bootstrap: SASL authentication error: {\"status\":\"invalid_token\"} (after 301ms \
                     in state AUTH_REQ)";
        for (code, words, refusal) in [
            (Code::SSL, unverified, Refusal::BrokerCertificate),
            (Code::BrokerTransportFailure, no_certificate, Refusal::ClientCertificate),
            (Code::Authentication, password, Refusal::Password),
            (Code::Authentication, mechanism, Refusal::Mechanism),
            (Code::Authentication, token, Refusal::Token),
        ] {
            assert_eq!(Refusal::of(Some(code), words), Some(refusal), "{words}");
        }
    }

    #[test]
    fn a_broker_that_restarts_refuses_nobody() {
        for (code, words) in [
            (Code::AllBrokersDown, "1/1 brokers are down"),
            (
                Code::BrokerTransportFailure,
                "ssl://127.0.0.1:19942/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting \
                 to a PLAINTEXT broker listener? (after 1ms in state SSL_HANDSHAKE)",
            ),
            (
                Code::BrokerTransportFailure,
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
            ),
        ] {
            assert_eq!(Refusal::of(Some(code), words), None, "{words}");
        }
    }
}
