//! What librdkafka says, in the port's words: may it work later, or does asking again not help?

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::entry::CannotEnter;
use super::super::raw::DescribeError;
use crate::operations::log_browser::BrowseError;

/// An error of any call.
pub fn browse_error(error: &KafkaError) -> BrowseError {
    match error {
        // What it was configured with.
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => BrowseError::Unusable(error.to_string()),
        KafkaError::AdminOp(code) => coded(Some(*code), error.to_string()),
        _ => coded(error.rdkafka_error_code(), error.to_string()),
    }
}

/// No way in.
pub fn not_in(error: &CannotEnter) -> BrowseError {
    if error.may_pass() {
        BrowseError::Unavailable(error.to_string())
    } else {
        BrowseError::Unusable(error.to_string())
    }
}

/// An error of a question about topics.
pub fn described(error: DescribeError) -> BrowseError {
    coded(Some(error.code), error.text)
}

/// An error by its code.
pub fn coded(code: Option<Code>, text: String) -> BrowseError {
    match code {
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed,
        ) => BrowseError::Unusable(format!("{text}; `gatekeeper topics --acls` prints what must be granted")),
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => BrowseError::TooLarge(text),
        Some(
            Code::InvalidRecord
            | Code::InvalidConfig
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::PolicyViolation
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedVersion,
        ) => BrowseError::Unusable(text),
        _ => BrowseError::Unavailable(text),
    }
}
