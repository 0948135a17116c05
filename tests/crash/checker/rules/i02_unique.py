"""I2: nothing twice, for a reader that follows along and for one that reads at the end, and both see the same order."""

from __future__ import annotations

from collections import defaultdict

from ..history import Output
from ..report import Report
from ..view import View
from .contract import DECIDED

RULE = "I2 unique"


def unique(view: View, report: Report) -> None:
    _nothing_twice(view, report)
    _both_readers_agree(view, report)


def _nothing_twice(view: View, report: Report) -> None:
    twice = 0
    decided: set[tuple[object, int]] = set()
    for decision in view.history.decisions:
        version = (decision.identity, decision.version)
        if version in decided:
            twice += 1
            report.find(RULE, f"{decision.identity} version {decision.version} was decided twice")
        decided.add(version)
    named: dict[str, object] = {}
    for decision in view.history.decisions:
        version = (decision.identity, decision.version)
        if named.setdefault(decision.decision_id, version) != version:
            twice += 1
            report.find(RULE, f"{decision.decision_id} names more than one decision, that of {decision.origin} among them")
    for place, terminals in view.terminals.items():
        if len(terminals) > 1:
            twice += 1
            offsets = [terminal.offset for terminal in terminals]
            report.find(RULE, f"{place} has {len(terminals)} terminals, at {offsets}")
    for identity, records in view.copies.items():
        ends = (view.terminals.get(record.place) for record in records)
        if sum(bool(end) and end[0].status in DECIDED for end in ends) > 1:
            twice += 1
            report.find(RULE, f"{identity} was decided on more than one of its records")
    letters: set[object] = set()
    for letter in view.history.dead_letters:
        if letter.origin in letters:
            twice += 1
            report.find(RULE, f"{letter.origin} has two dead letters")
        letters.add(letter.origin)
    report.count("twice", twice)


def _both_readers_agree(view: View, report: Report) -> None:
    history = view.history
    followed: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)
    for seen in history.followed:
        followed[seen.topic, seen.partition].append((seen.offset, seen.sum))
    at_the_end: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)
    for topic, outputs in _by_topic(view).items():
        for output in outputs:
            at_the_end[topic, output.partition].append((output.offset, output.sum))
    for partition in followed.keys() | at_the_end.keys():
        first, second = followed[partition], at_the_end[partition]
        if first != second:
            place = next((n for n, pair in enumerate(zip(first, second)) if pair[0] != pair[1]), "the end")
            report.find(RULE, f"{partition}: the two readers differ from record {place} on "
                              f"({len(first)} followed, {len(second)} at the end)")


def _by_topic(view: View) -> dict[str, list[Output]]:
    history = view.history
    lists: tuple[list[Output], ...] = (history.decisions, history.feedback, history.dead_letters)  # type: ignore
    return dict(zip(history.topics.outputs(), lists))
