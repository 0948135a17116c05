//! The flag `remote_models` is a kill switch: it counts at the moment before each call, whatever it was when the event began.

use crate::domain::event::SupportEvent;
use crate::domain::flags::{Context, Flag, FlagProvider};

/// Whose ticket an event is about.
pub(super) fn context(event: &SupportEvent) -> Context<'_> {
    Context { tenant_id: &event.tenant_id, ticket_id: &event.ticket_id }
}

/// Whether this event's text may not go to a remote model, as of now.
pub(super) fn is_off(flags: &dyn FlagProvider, event: &SupportEvent) -> bool {
    !flags.evaluate(Flag::RemoteModels, context(event)).on
}
