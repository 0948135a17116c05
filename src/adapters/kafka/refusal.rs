//! Why the cluster, or the group, does not let us in, read out of librdkafka's words, and what to do about it. Pure.
//!
//! librdkafka tries again for ever, whatever the reason; but a wrong password does not become right by waiting. Its codes
//! are too coarse (a missing client certificate is `BrokerTransportFailure`, like a broker that restarts), so its words and
//! OpenSSL's are read. They stand in tests as they were heard from a real broker; words that are not known are trouble like
//! any other, and told as they are.

use rdkafka::types::RDKafkaErrorCode as Code;

/// Why the cluster does not let us in, or the group.
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
    /// No right to read in this group.
    GroupRights,
    /// The group has as many members as it may have.
    GroupFull,
    /// The group has a member of our name.
    GroupName,
    /// Its members assign partitions in another way.
    GroupMixed,
    /// Our session is too short or too long.
    GroupSession,
    /// The brokers do not know how to assign by range.
    GroupAssignor,
    /// The brokers do not know the protocol.
    GroupProtocol,
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
            Some(Code::GroupAuthorizationFailed) => Some(Self::GroupRights),
            Some(Code::GroupMaxSizeReached) => Some(Self::GroupFull),
            Some(Code::UnreleasedInstanceId) => Some(Self::GroupName),
            Some(Code::InconsistentGroupProtocol) => Some(Self::GroupMixed),
            Some(Code::InvalidSessionTimeout) => Some(Self::GroupSession),
            Some(Code::UnsupportedAssignor) => Some(Self::GroupAssignor),
            // Said of other questions too, and of those to which nobody else knows an answer either.
            Some(Code::UnsupportedVersion | Code::UnsupportedFeature) if says("ConsumerGroupHeartbeat") => {
                Some(Self::GroupProtocol)
            }
            _ => None,
        }
    }

    /// Whether the cluster lets us in, and the group does not.
    pub fn is_of_the_group(self) -> bool {
        match self {
            Self::Password | Self::Token | Self::Mechanism | Self::BrokerCertificate | Self::ClientCertificate => false,
            Self::GroupRights
            | Self::GroupFull
            | Self::GroupName
            | Self::GroupMixed
            | Self::GroupSession
            | Self::GroupAssignor
            | Self::GroupProtocol => true,
        }
    }

    /// Whether a running processor may be let in later: somebody grants it, leaves, or sets up the brokers anew.
    pub fn may_pass(self) -> bool {
        self != Self::GroupProtocol
    }

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token => "token",
            Self::Mechanism => "mechanism",
            Self::BrokerCertificate => "broker_certificate",
            Self::ClientCertificate => "client_certificate",
            Self::GroupRights => "group_rights",
            Self::GroupFull => "group_full",
            Self::GroupName => "group_name",
            Self::GroupMixed => "group_mixed",
            Self::GroupSession => "group_session",
            Self::GroupAssignor => "group_assignor",
            Self::GroupProtocol => "group_protocol",
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
            Self::GroupRights => {
                "this user may not read in the group log.kafka.group_id: `gatekeeper topics --acls` prints what to grant"
            }
            Self::GroupFull => "the brokers' group.max.size (or group.consumer.max.size) allows no more instances",
            Self::GroupName => {
                "the group still has a member of the name log.kafka.transactional_id: it is let go when its session ends, \
                 unless it runs still"
            }
            Self::GroupMixed => {
                "other members of log.kafka.group_id use another log.kafka.group_protocol, or are no processors of ours"
            }
            Self::GroupSession => {
                "log.kafka.session_timeout must be within the brokers' group.min.session.timeout.ms and \
                 group.max.session.timeout.ms"
            }
            Self::GroupAssignor => "the brokers' group.consumer.assignors must have range in it",
            Self::GroupProtocol => {
                "the brokers do not offer log.kafka.group_protocol = \"consumer\": it needs brokers from 4.0 on that have it in \
                 group.coordinator.rebalance.protocols; \"classic\" works with any"
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
    fn a_group_that_does_not_let_us_in_is_told_from_a_cluster_and_only_what_may_change_is_waited_for() {
        let heartbeat = "Fatal error: Broker: UnsupportedVersion: ConsumerGroupHeartbeat fatal error";
        let find = "FindCoordinator response error: Group authorization failed.";
        for (code, words, refusal, may_pass) in [
            (Code::GroupAuthorizationFailed, find, Refusal::GroupRights, true),
            (Code::GroupAuthorizationFailed, "JoinGroup failed", Refusal::GroupRights, true),
            (Code::GroupMaxSizeReached, "JoinGroup failed", Refusal::GroupFull, true),
            (Code::UnreleasedInstanceId, "ConsumerGroupHeartbeat fatal error", Refusal::GroupName, true),
            (Code::InconsistentGroupProtocol, "JoinGroup failed", Refusal::GroupMixed, true),
            (Code::InvalidSessionTimeout, "JoinGroup failed", Refusal::GroupSession, true),
            (Code::UnsupportedAssignor, "ConsumerGroupHeartbeat fatal error", Refusal::GroupAssignor, true),
            (Code::UnsupportedVersion, heartbeat, Refusal::GroupProtocol, false),
            (Code::UnsupportedFeature, heartbeat, Refusal::GroupProtocol, false),
        ] {
            assert_eq!(Refusal::of(Some(code), words), Some(refusal), "{code:?}: {words}");
            assert!(refusal.is_of_the_group() && refusal.may_pass() == may_pass, "{refusal:?}");
        }
        assert!(!Refusal::Password.is_of_the_group());
        assert_eq!(Refusal::of(Some(Code::UnsupportedFeature), "OffsetForLeaderEpoch"), None);
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
