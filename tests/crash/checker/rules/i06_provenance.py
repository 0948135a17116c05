"""I6: each output names one input, its tenant and its schema; none crosses tenants."""

from __future__ import annotations

from ..history import DeadLetter, Event, Terminal
from ..report import Report
from ..view import View

RULE = "I6 provenance"
# What a record says that can be read, and is not believed.
UNTRUSTED = frozenset({"ENVELOPE_MISMATCH", "VALIDATION_FAILED", "PAYLOAD_TOO_LARGE"})


def provenance(view: View, report: Report) -> None:
    history = view.history
    for output in (*history.decisions, *history.feedback, *history.dead_letters):
        for flaw in output.flaws:
            report.find(RULE, f"an output of {output.origin}: {flaw}")
    for decision in history.decisions:
        record = view.inputs.get(decision.origin)
        event = record.event if record else None
        if event is None or (event.identity, event.event_id, event.ticket) != (
            decision.identity, decision.event_id, decision.ticket,
        ):
            report.find(RULE, f"decision {decision.decision_id} does not speak of the event at {decision.origin}")
    for terminal in history.feedback:
        record = view.inputs.get(terminal.origin)
        if record is not None and not _speaks_of(terminal, record.event):
            report.find(RULE, f"the feedback for {terminal.origin} does not speak of the event there")
    for letter in history.dead_letters:
        _kept_what_came(view, letter, report)
    _copies_have_an_original(view, report)


def _speaks_of(terminal: Terminal, event: Event | None) -> bool:
    """Without a name only for a record in which none could be trusted."""
    if terminal.event_id is None:
        cannot_be_read = event is None or terminal.code in UNTRUSTED
        return terminal.status == "REJECTED" and terminal.tenant is None and cannot_be_read
    if event is None:
        return False
    said = (terminal.event_id, terminal.source, terminal.tenant, terminal.ticket)
    return said == (event.event_id, event.identity.source, event.identity.tenant, event.ticket)


def _kept_what_came(view: View, letter: DeadLetter, report: Report) -> None:
    record = view.inputs.get(letter.origin)
    if record is None:
        return
    if letter.kept_sum is not None and letter.kept_sum != record.sum:
        report.find(RULE, f"the dead letter of {letter.origin} holds other bytes than came")
    event = record.event
    if letter.event_id is not None and (event is None or letter.event_id != event.event_id):
        report.find(RULE, f"the dead letter of {letter.origin} names another event")
    if letter.tenant is not None and (event is None or letter.tenant != event.identity.tenant):
        report.find(RULE, f"the dead letter of {letter.origin} names another tenant")


def _copies_have_an_original(view: View, report: Report) -> None:
    decisions = {decision.decision_id: decision.identity for decision in view.history.decisions}
    for record in view.history.inputs:
        ends = view.terminals.get(record.place)
        if not ends or not record.event:
            continue
        end = ends[0]
        if end.status != "DUPLICATE" and end.code != "IDEMPOTENCY_CONFLICT":
            continue
        if len(view.copies[record.event.identity]) == 1:
            report.find(RULE, f"{record.place} ended as a copy of an event that is not there")
        elif end.status == "DUPLICATE" and end.decision_id and (
            decisions.get(end.decision_id) != record.event.identity
        ):
            report.find(RULE, f"{record.place} names a first decision that is not of its event")
