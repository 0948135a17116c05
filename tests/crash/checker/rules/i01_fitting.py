"""I1, the other half: each record ended as what it is.

Its publisher wrote down what it meant: an event, a copy, garbage. And an event that a fallback decided needs a model that had
failed: the provider's ledger says whether it had, but for what nobody could hear while it was frozen.
"""

from __future__ import annotations

from bisect import bisect_left

from ..history import Call, Input, Terminal
from ..identity import dedupe_key
from ..report import Report
from ..view import View
from .contract import ENDS

RULE = "I1 complete"

# A call that its caller gave up for being slow: a slow one takes half of this, and a caller that was killed is another thing.
HUNG_UP_AFTER_MS = 4_000
# Of failures, or of a freeze: a breaker stays open for a minute, and an event waits a minute for it.
FELT_FOR_MS = 150_000
# The shortest time that any run gives an event to be decided is 20 s.
DEADLINE_MS = 15_000
OF_A_MODEL = frozenset({"PROVIDER_ERROR", "PROVIDER_TIMEOUT", "PROVIDER_AUTH", "PROVIDER_QUOTA"})


def fitting(view: View, report: Report) -> None:
    _ends_are_what_was_meant(view, report)
    _fallbacks_have_a_reason(view, report)


def _ends_are_what_was_meant(view: View, report: Report) -> None:
    sent = view.history.sent
    if sent is None:
        report.note("what each record was meant as is not known: whether its end fits was not judged")
        return
    for place, terminals in view.terminals.items():
        record = view.inputs.get(place)
        if record is None:
            continue
        kinds = sent.get(record.sum)
        if kinds is None:
            report.find(RULE, f"{place} was never sent")
            continue
        end = terminals[0]
        if not any(end.code in ENDS[kind].get(end.status, ()) for kind in kinds):
            report.find(RULE, f"{place} was meant as {' and '.join(sorted(kinds))} and ended as {end.status} / {end.code}")


def _fallbacks_have_a_reason(view: View, report: Report) -> None:
    failed = [call for call in view.history.calls if _failed(call)]
    keys, times = {call.key for call in failed}, sorted(call.started_at for call in failed)
    for place, terminals in view.terminals.items():
        record, end = view.inputs.get(place), terminals[0]
        if end.status != "DEGRADED" or record is None or record.event is None:
            continue
        if end.code in OF_A_MODEL:
            has_reason = dedupe_key(record.event.identity) in keys or _was_frozen(record, end, record.at, view)
        elif end.code == "BREAKER_OPEN":
            since = end.at - FELT_FOR_MS
            has_reason = bisect_left(times, since) < bisect_left(times, end.at) or _was_frozen(record, end, since, view)
        else:
            has_reason = end.code != "DEADLINE_EXCEEDED" or end.at - record.at >= DEADLINE_MS
        if not has_reason:
            report.find(RULE, f"{place} ended as {end.code}, and the provider knows of nothing that failed")


def _failed(call: Call) -> bool:
    if call.ended_at is None or call.client_gone:
        return call.ended_at is None or call.ended_at - call.started_at >= HUNG_UP_AFTER_MS
    return call.status != 200


def _was_frozen(record: Input, end: Terminal, since: int, view: View) -> bool:
    """Whoever had it: its calls may have failed then, whatever the provider sent meanwhile."""
    owners = view.owners(record.place.partition, since, end.at)
    return any(one.kind == "freeze" and one.instance in owners and one.started_at <= end.at and since <= one.ended_at
               for one in view.history.interruptions)
