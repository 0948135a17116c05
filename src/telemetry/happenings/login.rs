//! Who we are to a Kafka cluster: tokens, and clients that are not let in.

use std::time::Duration;

use metrics::{counter, gauge};
use tracing::{info, warn};

use crate::domain::clock::Timestamp;
use crate::telemetry::metric_names as names;

/// The cluster does not let a client in. It is tried again, but somebody has to do something.
#[derive(Debug, Clone, Copy)]
pub struct ClientNotLetIn<'a> {
    /// Which client.
    pub client: &'static str,
    /// What it is about: password, token, mechanism, broker_certificate, client_certificate; or what the group has against us,
    /// which begins with group_.
    pub why: &'static str,
    /// librdkafka's words.
    pub reason: &'a str,
    /// What to do.
    pub cure: &'a str,
}

impl ClientNotLetIn<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::KAFKA_REFUSALS, "client" => self.client, "reason" => self.why).increment(1);
        warn!(client = self.client, why = self.why, reason = self.reason, "we are not let in: {}", self.cure);
    }
}

/// A token came.
#[derive(Debug, Clone, Copy)]
pub struct TokenRenewed {
    /// When it ends.
    pub ends: Timestamp,
    /// How long that is from now.
    pub life: Duration,
}

impl TokenRenewed {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::KAFKA_TOKENS, "outcome" => "renewed").increment(1);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch are below 2^53")]
        gauge!(names::KAFKA_TOKEN_ENDS).set(self.ends.0 as f64 / 1_000.0);
        info!(ends = %self.ends, life_s = self.life.as_secs(), "the token for the cluster is renewed");
    }
}

/// No token came; it is asked for again.
#[derive(Debug, Clone, Copy)]
pub struct TokenNotRenewed<'a> {
    /// Why.
    pub reason: &'a str,
    /// How long the old one still serves; `None`: there is none.
    pub left: Option<Duration>,
}

impl TokenNotRenewed<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::KAFKA_TOKENS, "outcome" => "failed").increment(1);
        match self.left {
            Some(left) => warn!(
                reason = self.reason,
                left_s = left.as_secs(),
                "the token for the cluster is not renewed; the old one still serves"
            ),
            None => warn!(reason = self.reason, "there is no token for the cluster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn tokens_and_refusals_are_counted_by_what_they_are_about() {
        let lines = recorded(|| {
            ClientNotLetIn { client: "consumer", why: "password", reason: "no", cure: "check it" }.record();
            TokenRenewed { ends: Timestamp(1_500), life: Duration::from_secs(1) }.record();
            TokenNotRenewed { reason: "503", left: Some(Duration::from_secs(9)) }.record();
            TokenNotRenewed { reason: "503", left: None }.record();
        });
        for line in [
            "gatekeeper_kafka_refusals_total{client=\"consumer\",reason=\"password\"} 1",
            "gatekeeper_kafka_tokens_total{outcome=\"renewed\"} 1",
            "gatekeeper_kafka_tokens_total{outcome=\"failed\"} 2",
            "gatekeeper_kafka_token_ends_timestamp_seconds 1.5",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }
}
