"""I8: the emitted decision is the saved one, byte for byte, and so is the way an event ended; and when all is over, the ledger
knows of everything that was published that it was: a copy that comes later lives on that.

A crash between a commit and its marks is no excuse: whoever gets the partition next marks what the position owns, and what the
database could not take is written again.
"""

from __future__ import annotations

from ..identity import better_key, dedupe_key
from ..report import Report
from ..view import View

RULE = "I8 stable"


def stable(view: View, report: Report) -> None:
    rows = {row.key: row for row in view.history.rows}
    if view.history.decisions and not rows:
        report.find(RULE, "no ledger was seen")
        return
    for decision in view.history.decisions:
        key = dedupe_key(decision.identity)
        row = rows.get(key if decision.version == 1 else better_key(key))
        if row is None:
            report.find(RULE, f"the decision of {decision.origin} has no row in the ledger")
        elif row.decision_sum != decision.value_sum:
            report.find(RULE, f"the decision of {decision.origin} is not the saved one")
        elif row.owner != decision.origin:
            report.find(RULE, f"the decision of {decision.origin} is owned by {row.owner}")
    # A better decision is saved beside the end of its event and is none: its row has the same owner.
    of_better = {better_key(key) for key in rows} & rows.keys()
    _ends_are_the_saved_ones(view, of_better, report)
    if view.history.settled_after_ms is not None:
        _published_is_remembered(view, of_better, report)


def _published_is_remembered(view: View, of_better: set[str], report: Report) -> None:
    decided = {decision.decision_id for decision in view.history.decisions}
    for row in view.history.rows:
        is_out = row.decision_id in decided if row.key in of_better else row.owner in view.terminals
        if is_out and row.published_at is None:
            report.find(RULE, f"the end of {row.event_id} of {row.tenant} is out, and its row is not marked as published")


def _ends_are_the_saved_ones(view: View, of_better: set[str], report: Report) -> None:
    for row in view.history.rows:
        ends = view.terminals.get(row.owner)
        if not ends or row.key in of_better:
            continue
        end = ends[0]
        if row.status is not None and (row.status, row.code) != (end.status, end.code):
            report.find(RULE, f"{row.owner} was saved as {row.status} / {row.code} and ended as "
                              f"{end.status} / {end.code}")
