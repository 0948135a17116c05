//! Any event that can be written down.
//!
//! The parts are boxed: the strategies' trees are moved about on the stack, and as one type they outgrow a test's.

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

use crate::domain::clock::Timestamp;
use crate::domain::event::{
    Actor, ActorType, Attachment, AutoSubmitted, ChangeSet, Channel, EventType, FieldChange, Level, Message, Priority,
    SlaClock, SupportEvent, TicketSnapshot, TicketStatus, TicketType,
};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z0-9/_-]{1,12}", 1 => ".{0,40}"]
}

fn a_time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

fn a_level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Low), Just(Level::Medium), Just(Level::High), Just(Level::Unknown)]
}

fn an_actor() -> BoxedStrategy<Actor> {
    let kind = prop_oneof![Just(ActorType::EndUser), Just(ActorType::AiAgent), Just(ActorType::Unknown)];
    (kind, of(text()), of(text()), of(text()), of(text()))
        .prop_map(|(kind, id, display_name, locale, tier)| Actor { kind, id, display_name, locale, tier })
        .boxed()
}

fn a_message() -> BoxedStrategy<Message> {
    let attachment =
        (text(), text(), any::<i64>(), of(text())).prop_map(|(filename, content_type, size_bytes, dataref)| {
            Attachment { filename, content_type, size_bytes, dataref }
        });
    let auto = prop_oneof![Just(AutoSubmitted::No), Just(AutoSubmitted::Bounce), Just(AutoSubmitted::Unknown)];
    let parts = (text(), an_actor(), ".{0,80}", any::<bool>(), a_time(), of(text()), auto, vec(attachment, 0..3));
    (parts, of(text()))
        .prop_map(
            |((message_id, author, body, is_public, created_at, language, auto_submitted, attachments), dataref)| {
                Message {
                    message_id,
                    author,
                    body,
                    is_public,
                    created_at,
                    language,
                    auto_submitted,
                    attachments,
                    dataref,
                }
            },
        )
        .boxed()
}

fn a_ticket() -> BoxedStrategy<TicketSnapshot> {
    let status = prop_oneof![Just(TicketStatus::Open), Just(TicketStatus::Closed), Just(TicketStatus::Unknown)];
    let kind = of(prop_oneof![Just(TicketType::Incident), Just(TicketType::Unknown)]);
    let priority = of(prop_oneof![Just(Priority::Urgent), Just(Priority::Low), Just(Priority::Unknown)]);
    let channel = prop_oneof![Just(Channel::Email), Just(Channel::Api), Just(Channel::Unknown)];
    let sla = (of(text()), of(a_time()), of(a_time()), any::<bool>()).prop_map(
        |(policy, first_reply_due_at, resolution_due_at, paused)| SlaClock {
            policy,
            first_reply_due_at,
            resolution_due_at,
            paused,
        },
    );
    let words = (of(text()), of(text()), of(text()), of(text()), of(text()), of(text()), of(text()));
    let sorts = (status, kind, priority, of(a_level()), of(a_level()), channel, of(an_actor()));
    let rest = (vec(text(), 0..4), btree_map(text(), text(), 0..4), of(a_time()), of(a_time()), of(sla), any::<bool>());
    (words, sorts, rest)
        .prop_map(|(words, sorts, rest)| {
            let (external_id, subject, group_id, assignee_id, organization_id, brand_id, form_id) = words;
            let (status, kind, priority, impact, urgency, channel, requester) = sorts;
            let (tags, custom_fields, created_at, updated_at, sla, human_owned) = rest;
            TicketSnapshot {
                external_id,
                subject,
                status,
                kind,
                priority,
                impact,
                urgency,
                channel,
                group_id,
                assignee_id,
                requester,
                organization_id,
                brand_id,
                form_id,
                tags,
                custom_fields,
                created_at,
                updated_at,
                sla,
                human_owned,
            }
        })
        .boxed()
}

/// Any event that can be written down, valid or not.
pub(crate) fn any_event() -> impl Strategy<Value = SupportEvent> {
    let kind = prop_oneof![Just(EventType::TicketCreated), Just(EventType::TicketMerged), Just(EventType::Unknown)];
    let change_set =
        (text(), any::<i32>(), any::<i32>()).prop_map(|(id, position, total)| ChangeSet { id, position, total });
    let change = (text(), of(text()), of(text())).prop_map(|(field, previous, current)| FieldChange {
        field,
        previous,
        current,
    });
    let names = (text(), text(), kind, text(), text(), of(text()), of(text()), of(text()), of(text()));
    let numbers = (a_time(), of(a_time()), of(a_time()), of(any::<i64>()), of(change_set));
    let parts = (
        an_actor(),
        a_ticket(),
        of(a_message()),
        vec(a_message(), 0..3),
        vec(change, 0..3),
        btree_map(text(), text(), 0..4),
    );
    (names, numbers, parts).prop_map(|(names, numbers, parts)| {
        let (event_id, source, event_type, tenant_id, ticket_id, idempotency_key, correlation_id, causation_id, merged) =
            names;
        let (occurred_at, recorded_at, expires_at, ticket_version, change_set) = numbers;
        let (actor, ticket, message, history, changes, context) = parts;
        SupportEvent {
            event_id,
            source,
            event_type,
            tenant_id,
            ticket_id,
            occurred_at,
            recorded_at,
            expires_at,
            idempotency_key,
            ticket_version,
            change_set,
            correlation_id,
            causation_id,
            actor,
            ticket,
            message,
            history,
            changes,
            context,
            merged_into_ticket_id: merged,
        }
    })
}
