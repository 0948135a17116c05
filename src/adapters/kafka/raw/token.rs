//! Handing a token to a client from outside. The crate only answers librdkafka's own question for one, which clients that
//! are never polled do not get to see.

use std::ffi::CString;
use std::ptr;

use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;

use super::text;

/// A client of librdkafka's. Whoever keeps one sees to it that it is forgotten before the client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeClient(*mut sys::rd_kafka_t);

// SAFETY: librdkafka's clients are thread safe.
unsafe impl Send for NativeClient {}

// SAFETY: the same.
unsafe impl Sync for NativeClient {}

impl NativeClient {
    /// The one inside.
    pub fn of<C: ClientContext>(client: &Client<C>) -> Self {
        Self(client.native_ptr())
    }

    /// From now on this client shows this token, which ends at that time (milliseconds since the epoch). Connections that
    /// waited for one go on.
    ///
    /// # Errors
    /// librdkafka's words; it takes no token that has ended, or that breaks the protocol's frame.
    pub fn set_token(self, token: &str, ends: i64, principal: &str) -> Result<(), String> {
        let broken = |_| "it holds a zero byte".to_owned();
        let (token, principal) = (CString::new(token).map_err(broken)?, CString::new(principal).map_err(broken)?);
        let mut why = [0; 512];
        // SAFETY: the client is alive by the keeper's word; both texts outlive the call, which copies them; the buffer is as
        // long as is said.
        let code = unsafe {
            sys::rd_kafka_oauthbearer_set_token(
                self.0,
                token.as_ptr(),
                ends,
                principal.as_ptr(),
                ptr::null_mut(),
                0,
                why.as_mut_ptr(),
                why.len(),
            )
        };
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        // SAFETY: librdkafka ends what it writes there with a zero, and it was all zeros before.
        Err(unsafe { text(why.as_ptr()) })
    }
}
