"""I8: the emitted decision is the saved one, byte for byte, and so is the way an event ended."""

from __future__ import annotations

from ..identity import dedupe_key
from ..report import Report
from ..view import View

RULE = "I8 stable"


def stable(view: View, report: Report) -> None:
    rows = {row.key: row for row in view.history.rows}
    if view.history.decisions and not rows:
        report.find(RULE, "no ledger was seen")
        return
    for decision in view.history.decisions:
        row = rows.get(dedupe_key(decision.identity))
        if row is None:
            report.find(RULE, f"the decision of {decision.origin} has no row in the ledger")
        elif row.decision_sum != decision.value_sum:
            report.find(RULE, f"the decision of {decision.origin} is not the saved one")
        elif row.owner != decision.origin:
            report.find(RULE, f"the decision of {decision.origin} is owned by {row.owner}")
    _ends_are_the_saved_ones(view, report)


def _ends_are_the_saved_ones(view: View, report: Report) -> None:
    for row in view.history.rows:
        ends = view.terminals.get(row.owner)
        if not ends:
            continue
        end = ends[0]
        if row.status is not None and (row.status, row.code) != (end.status, end.code):
            report.find(RULE, f"{row.owner} was saved as {row.status} / {row.code} and ended as "
                              f"{end.status} / {end.code}")
