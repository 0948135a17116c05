//! Who this member is to its group, readable.
//!
//! The crate's own type is opaque. Brokers accept the shape of a client that never joined (generation -1, no member)
//! without any fencing, so a burst must look before it uses one.

use std::ffi::CString;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka_sys as sys;

use super::super::ownership::{Member, Membership};
use super::text;

/// Whether its group has given it a member id that it has not given up; the generation may be in the making.
pub fn has_member_id(consumer: &BaseConsumer) -> bool {
    // SAFETY: the client is alive; librdkafka makes a copy that is ours, or null.
    let id = unsafe { sys::rd_kafka_memberid(consumer.client().native_ptr()) };
    if id.is_null() {
        return false;
    }
    // SAFETY: just checked; it ends with a zero.
    let is_given = unsafe { *id != 0 };
    // SAFETY: ours, freed once, by the allocator that made it.
    unsafe { sys::rd_kafka_mem_free(consumer.client().native_ptr(), id.cast()) };
    is_given
}

/// Generation and member id, in the form that a transaction sends.
pub struct GroupMetadata {
    native: *mut sys::rd_kafka_consumer_group_metadata_t,
    member: Member,
}

// SAFETY: librdkafka never changes it after it was made; it is only read, and destroyed by its owner.
unsafe impl Send for GroupMetadata {}
// SAFETY: as above.
unsafe impl Sync for GroupMetadata {}

impl GroupMetadata {
    /// As it is now; `None` unless the consumer is a member of its group.
    pub fn of(consumer: &BaseConsumer) -> Option<Self> {
        // SAFETY: the client is alive; what comes back is ours, and destroyed on drop.
        let native = unsafe { sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr()) };
        if native.is_null() {
            return None;
        }
        // SAFETY: just checked; the member id belongs to the metadata and ends with a zero.
        let member = unsafe {
            let id = sys::rd_kafka_consumer_group_metadata_member_id(native);
            Member { generation: sys::rd_kafka_consumer_group_metadata_generation_id(native), id: text(id) }
        };
        // Made before the check, so that the check cannot leak it.
        let metadata = Self { native, member };
        metadata.member.has_joined().then_some(metadata)
    }

    /// Of a client that never joined this group: what must never be sent, for sabotage only.
    pub fn of_a_stranger(group_id: &str) -> Self {
        let group_id = CString::new(group_id).unwrap_or_default();
        // SAFETY: librdkafka copies the name; what comes back is ours, and destroyed on drop.
        let native = unsafe { sys::rd_kafka_consumer_group_metadata_new(group_id.as_ptr()) };
        Self { native, member: Member { generation: -1, id: String::new() } }
    }

    pub(super) fn native(&self) -> *const sys::rd_kafka_consumer_group_metadata_t {
        self.native
    }
}

impl Membership for GroupMetadata {
    fn member(&self) -> &Member {
        &self.member
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.native) }
    }
}
