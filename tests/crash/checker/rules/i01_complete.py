"""I1: every record has exactly one terminal and what belongs to it; nothing else exists."""

from __future__ import annotations

from collections import Counter, defaultdict

from ..history import Decision, Input, Place, Terminal
from ..report import Report
from ..view import View
from .contract import CODES, DECIDED

RULE = "I1 complete"


def complete(view: View, report: Report) -> None:
    _the_log_kept_what_it_acknowledged(view, report)
    _every_input_has_its_terminal(view, report)
    _nothing_else_exists(view, report)
    _copies_are_told_from_firsts(view, report)


def _the_log_kept_what_it_acknowledged(view: View, report: Report) -> None:
    for acked in view.history.acked:
        kept = view.inputs.get(acked.place)
        if kept is None:
            report.find(RULE, f"{acked.place} was acknowledged to the producer and is not there")
        elif kept.sum != acked.sum:
            report.find(RULE, f"{acked.place} is another record than the one acknowledged")


def _every_input_has_its_terminal(view: View, report: Report) -> None:
    missing = 0
    letters = Counter(letter.origin for letter in view.history.dead_letters)
    decided: dict[object, list[Place]] = defaultdict(list)
    for decision in view.history.decisions:
        decided[decision.identity.tenant, decision.ticket, decision.event_id].append(decision.origin)
    for place in view.inputs:
        terminals = view.terminals.get(place, [])
        if not terminals:
            missing += 1
            report.find(RULE, f"{place} has no terminal")
            continue
        terminal = terminals[0]
        _its_words(terminal, report)
        _its_decision(place, terminal, view, report)
        if letters[place] != (terminal.status == "REJECTED"):
            report.find(RULE, f"{place} is {terminal.status} and has {letters[place]} dead letters")
        if terminal.status == "SUPERSEDED":
            newer = decided.get((terminal.tenant, terminal.ticket, terminal.superseded_by), [])
            if not any(one.partition == place.partition and one.offset > place.offset for one in newer):
                report.find(RULE, f"{place} was superseded by {terminal.superseded_by}, which is no newer event of its ticket "
                                  "that was decided")
    for deferral in (one for one in view.history.feedback if not one.terminal):
        if deferral.code not in CODES.get(deferral.status, ()) or deferral.status != "DEFERRED":
            report.find(RULE, f"{deferral.origin} was put off as {deferral.status} / {deferral.code}")
    report.count("missing", missing)


def _its_words(terminal: Terminal, report: Report) -> None:
    if terminal.code not in CODES.get(terminal.status, frozenset()) or terminal.status == "DEFERRED":
        report.find(RULE, f"{terminal.origin} ended as {terminal.status} / {terminal.code}")


def _its_decision(place: Place, terminal: Terminal, view: View, report: Report) -> None:
    decisions = view.decisions.get(place, [])
    if terminal.status in DECIDED:
        if not decisions:
            report.find(RULE, f"{place} is {terminal.status} and has no decision")
        elif all(terminal.decision_id != decision.decision_id for decision in decisions):
            report.find(RULE, f"feedback and decision of {place} name different ids")
    elif decisions:
        report.find(RULE, f"{place} is {terminal.status} and has a decision")
    for better in (decision for decision in decisions if decision.version > 1):
        _it_is_better(better, decisions, terminal, report)


def _it_is_better(better: Decision, decisions: list[Decision], terminal: Terminal, report: Report) -> None:
    """Only a fallback's decision is followed by a better one, which names it."""
    if terminal.status != "DEGRADED":
        report.find(RULE, f"{better.origin} is {terminal.status} and was decided again as version {better.version}")
    before = {decision.decision_id for decision in decisions if decision.version == better.version - 1}
    if better.supersedes not in before:
        report.find(RULE, f"{better.decision_id} supersedes {better.supersedes}, which is not the decision before it")


def _nothing_else_exists(view: View, report: Report) -> None:
    history = view.history
    for what, outputs in (("feedback", history.feedback), ("decision", history.decisions),
                          ("dead letter", history.dead_letters)):
        for output in outputs:
            if output.origin not in view.inputs:
                report.find(RULE, f"a {what} for {output.origin}, which does not exist")
            elif what != "feedback" and output.origin not in view.terminals:
                report.find(RULE, f"a {what} for {output.origin} without a terminal")
    codes = {place: terminals[0].code for place, terminals in view.terminals.items()}
    for letter in history.dead_letters:
        if codes.get(letter.origin, letter.code) != letter.code:
            report.find(RULE, f"{letter.origin} was rejected as {codes[letter.origin]} and as {letter.code}")


def _copies_are_told_from_firsts(view: View, report: Report) -> None:
    """Of all records of one identity one is the event; the others are its copies, or conflicts if they say otherwise."""
    for identity, records in view.copies.items():
        ends = [(record, view.terminals[record.place][0]) for record in records if view.terminals.get(record.place)]
        firsts = [record for record, end in ends if not _is_copy(end)]
        # What was rejected for its form is no event, and neither is what says the same again.
        events = [record for record, end in ends if not _is_copy(end) and end.status != "REJECTED"]
        if len(events) > 1:
            report.find(RULE, f"{len(events)} records of {identity} ended as the event itself, such as {events[1].place}")
        if ends and not firsts and len(ends) == len(records):
            report.find(RULE, f"every record of {identity} ended as a copy")
        if len(records) == 1 or not firsts:
            continue
        for record, end in ends:
            if _is_copy(end):
                _its_first(record, end, firsts[0], report)


def _is_copy(end: Terminal) -> bool:
    return end.status == "DUPLICATE" or end.code == "IDEMPOTENCY_CONFLICT"


def _its_first(record: Input, end: Terminal, first: Input, report: Report) -> None:
    same = record.event is not None and first.event is not None and record.event.body == first.event.body
    if same != (end.status == "DUPLICATE"):
        words = "the same" if same else "not the same"
        report.find(RULE, f"{record.place} says {words} as {first.place} and ended as {end.status}")
