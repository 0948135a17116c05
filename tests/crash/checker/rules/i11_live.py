"""I11: after the last fault heals everything gets its terminal within the bound; no transaction stays open; no instance
ends itself; and while nothing befalls the installation, what is written can be read at once.

A start that gives up because what it needs is away just then says so with exit code 1, and is its supervisor's to repeat: it is
counted. One that had worked already, or that had no such reason, is a violation; so is every other code, that of a panic (101)
or of settings that are wrong (78), whatever was away.
"""

from __future__ import annotations

from ..frontier import Malformed
from ..history import Life
from ..report import Report
from ..view import View, decoded

RULE = "I11 live"

# What a start needs, and how long it may be slow after it came back.
NEEDED = frozenset({"broker", "database", "network", "delayed EndTxn"})
AFTERMATH_MS = 10_000
# The exit code for it.
GAVE_UP = 1
# How long a transaction may be slow after a fault.
SLOW_AFTER_MS = 5_000
# A transaction is open for milliseconds, on a starved machine for hundreds of them; a model takes seconds.
UNREADABLE_MS = 3_000


def live(view: View, report: Report) -> None:
    history = view.history
    if history.settled_after_ms is None:
        report.find(RULE, f"not everything had its terminal {history.settle_bound_ms} ms after the last fault")
    elif history.settled_after_ms > history.settle_bound_ms:
        report.find(RULE, f"everything had its terminal only {history.settled_after_ms} ms after the last fault, "
                          f"allowed are {history.settle_bound_ms}")
    ends: dict[int, int] = {}
    for place in view.inputs:
        ends[place.partition] = max(place.offset, ends.get(place.partition, -1))
    for partition, last in sorted(ends.items()):
        committed = history.position.get(partition)
        if committed is None or committed[0] <= last:
            report.find(RULE, f"partition {partition} was committed up to {committed and committed[0]} of {last + 1}")
    for transaction in sorted(history.open_transactions):
        report.find(RULE, f"the transaction of {transaction} is still open")
    gave_up = 0
    for life in history.lives:
        if life.ended_itself is None:
            continue
        if _gave_up_at_its_start(life, view):
            gave_up += 1
        else:
            report.find(RULE, f"{life.instance} ended itself at {life.ended_at} with code {life.ended_itself}")
    report.count("starts_given_up", gave_up)
    _written_is_readable(view, report)


def _written_is_readable(view: View, report: Report) -> None:
    """From its timestamp to its arrival at the reader that followed along; a fault may keep a transaction open."""
    history = view.history
    arrived = {(seen.partition, seen.offset): seen.at for seen in history.followed if seen.topic == history.topics.feedback}
    longest = 0
    for output in history.feedback:
        at = arrived.get((output.partition, output.offset), output.at)
        if any(one.started_at <= at and output.at <= one.ended_at + SLOW_AFTER_MS for one in history.interruptions):
            continue
        longest = max(longest, at - output.at)
        if at - output.at > UNREADABLE_MS:
            report.find(RULE, f"the output of {output.origin} was written at {output.at} and could not be read for "
                              f"{at - output.at} ms, though nothing befell the cluster")
    report.count("longest_unreadable_ms", longest)


def _gave_up_at_its_start(life: Life, view: View) -> bool:
    """It says so, never committed anything, and something it needs was away."""
    if life.ended_itself != GAVE_UP:
        return False
    ended_at = life.ended_at or life.started_at
    for commit in view.history.commits:
        if life.started_at <= commit.at <= ended_at and _writer(commit.metadata, view) == life.instance:
            return False
    return any(one.kind in NEEDED and one.started_at <= ended_at and one.ended_at + AFTERMATH_MS >= life.started_at
               for one in view.history.interruptions)


def _writer(metadata: str, view: View) -> str | None:
    try:
        writer = decoded(metadata).writer
    except Malformed:
        return None
    return view.history.instance_of.get(writer, writer)
