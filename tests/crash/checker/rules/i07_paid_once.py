"""I7: no call starts after that event's answer was saved, and no call is made again without a reason.

A call that starts although an earlier one was made needs something that happened in between: the earlier one failed, its
caller hung up, or a fault of a kind that can end a process or a save. A second instance that joins or leaves is none, and
neither is the end of one that had not called: the provider does not know who called, but the group knows who had the partition.
"""

from __future__ import annotations

from collections import defaultdict

from ..history import Call, Interruption, Row
from ..report import Report
from ..view import View

RULE = "I7 paid once"

# What may cost a call again that was begun before or during it, or shortly after it ended: whoever wakes up or takes over first
# has to find out what happened.
REASONS = frozenset({"kill", "freeze", "database", "provider"})
AFTERMATH_MS = 5_000
# So late may one begin a call who has just lost the partition, or hear of it.
HANDOVER_MS = 5_000


def paid_once(view: View, report: Report) -> None:
    history = view.history
    saved = {row.key: row for row in history.rows}
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        calls[call.key].append(call)
    reasons = [one for one in history.interruptions if one.kind in REASONS]
    paid_again = unsaved = 0
    for key, made in calls.items():
        made.sort(key=lambda call: call.started_at)
        row = saved.get(key)
        for call in made:
            if row and row.answered_at is not None and call.started_at > row.answered_at:
                paid_again += 1
                late = call.started_at - row.answered_at
                report.find(RULE, f"{row.event_id} of {row.tenant} was asked about {late} ms after its answer was saved")
        callers: set[str] = set()
        for before, after in zip(made, made[1:]):
            if row:
                callers |= view.owners(row.owner.partition, before.started_at - HANDOVER_MS, before.started_at)
            if not _is_explained(before, after, [one for one in reasons if _befell(one, callers, row)]):
                report.find(RULE, f"{key[:12]} was asked about again at {after.started_at} for no reason "
                                  f"(before: {before.started_at} to {before.ended_at})")
        good = sum(call.status == 200 and not call.client_gone for call in made)
        unsaved += max(good - 1, 0)
    deaths = sum(one.kind in {"kill", "freeze"} for one in reasons)
    bound = deaths * history.max_in_flight
    report.count("paid_after_save", paid_again)
    report.count("paid_unsaved", unsaved)
    if unsaved > bound:
        report.find(RULE, f"{unsaved} unsaved answers were paid again; {deaths} ends with {history.max_in_flight} calls "
                          f"in flight explain {bound}")


def _befell(one: Interruption, callers: set[str], row: Row | None) -> bool:
    """Whether it befell whoever may have made one of the calls before; what befalls all of them has no name."""
    return one.instance is None or row is None or one.instance in callers


def _is_explained(before: Call, after: Call, reasons: list[Interruption]) -> bool:
    failed = before.ended_at is not None and (before.status != 200 or before.client_gone)
    return failed or any(
        before.started_at <= one.ended_at + AFTERMATH_MS and one.started_at <= after.started_at for one in reasons
    )
