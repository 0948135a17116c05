"""I11: after the last fault heals everything gets its terminal within the bound; no transaction stays open; no instance
ends itself."""

from __future__ import annotations

from ..report import Report
from ..view import View

RULE = "I11 live"


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
    for life in history.lives:
        if life.ended_itself is not None:
            report.find(RULE, f"{life.instance} ended itself at {life.ended_at} with code {life.ended_itself}")
