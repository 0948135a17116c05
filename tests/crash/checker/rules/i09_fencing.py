"""I9: nothing written by a resumed zombie becomes visible.

The offsets topic holds commits and generations of the group in one order. A commit whose writer did not own the partition in
the generation before it is a zombie's, however late it woke up. Transactional ids are those the instances were given: with a
random one nobody could fence the process before.
"""

from __future__ import annotations

import re
from heapq import merge

from .. import frontier
from ..history import Commit, Generation
from ..report import Report
from ..view import View, decoded

RULE = "I9 fencing"
# A command that appends: it writes no output and moves no position inside its transaction.
OPERATOR = re.compile(r".+-append-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def fencing(view: View, report: Report) -> None:
    history = view.history
    if history.commits and not history.generations:
        report.find(RULE, "no generation of the group was seen")
        return
    owners: dict[tuple[str, int], str] = {}
    number = None
    for entry in merge(history.generations, history.commits, key=lambda one: one.at_offset):
        if isinstance(entry, Generation):
            owners, number = entry.owners, entry.number
        else:
            _writer_owns(entry, owners, number, view, report)
    strangers = {one for one in history.transactional_ids - history.expected_transactional_ids if not OPERATOR.fullmatch(one)}
    if strangers:
        report.find(RULE, f"{len(strangers)} transactional ids that nobody was given, such as {min(strangers)}")


def _writer_owns(
    commit: Commit, owners: dict[tuple[str, int], str], number: int | None, view: View, report: Report
) -> None:
    try:
        writer = decoded(commit.metadata).writer
    except frontier.Malformed:
        return  # I5's
    writer = view.history.instance_of.get(writer, writer)
    owner = owners.get((commit.topic, commit.partition))
    if owner != writer:
        report.find(RULE, f"{writer} committed {commit.topic}/{commit.partition}@{commit.offset}, which belonged to {owner} in "
                          f"generation {number}")
