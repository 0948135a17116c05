"""I3: per ticket, source positions of decisions strictly increase, and outputs stay in their input's partition."""

from __future__ import annotations

from ..report import Report
from ..view import View

RULE = "I3 order"


def order(view: View, report: Report) -> None:
    history = view.history
    out_of_order = 0
    last: dict[tuple[int, str, str], tuple[int, int]] = {}
    for decision in sorted(history.decisions, key=lambda one: (one.partition, one.offset)):
        lane = (decision.partition, decision.identity.tenant, decision.ticket)
        # A better decision of the same event may follow under the next version.
        now = (decision.origin.offset, decision.version)
        before = last.get(lane)
        if before is not None and before >= now:
            out_of_order += 1
            report.find(RULE, f"ticket {decision.ticket} of {decision.identity.tenant}: offset {now[0]} was decided "
                              f"after {before[0]} in partition {decision.partition}")
        last[lane] = now
    for outputs in (history.decisions, history.feedback, history.dead_letters):
        for output in outputs:
            if output.partition != output.origin.partition:
                report.find(RULE, f"an output of {output.origin} went to partition {output.partition}")
    report.count("out_of_order", out_of_order)
