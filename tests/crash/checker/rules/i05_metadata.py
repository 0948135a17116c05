"""I5: finished set and [0, committed) are the source offsets present in the outputs, and every commit on the way says so.

Judged are all commits of the group, of every topic that it reads, as the offsets topic has them, not only the last one: each is
readable, of the allowed length, unlike every other one, and never takes back what an earlier one said. A position that the
cluster has forgotten begins anew: what was finished is read again, and must not come out again (I2). The same commit twice in
a row, offset and all, is one whose answer was lost (its coordinator's followers were away): the client asks again inside the
same transaction.
"""

from __future__ import annotations

from heapq import merge

from .. import frontier
from ..frontier import Frontier
from ..history import Forgotten
from ..report import Report
from ..view import View, owned

RULE = "I5 metadata"


def metadata(view: View, report: Report) -> None:
    history = view.history
    if not history.commits:
        report.find(RULE, "no commit was seen")
    longest = 0
    bursts: set[tuple[str, int, int, str, int]] = set()
    last: dict[tuple[str, int], Frontier] = {}
    said_before: dict[tuple[str, int], tuple[int, str]] = {}
    waits_for_an_operator: set[tuple[str, int]] = set()
    for commit in merge(history.commits, history.forgotten, key=lambda one: one.at_offset):
        place = (commit.topic, commit.partition)
        if isinstance(commit, Forgotten):
            last.pop(place, None)
            said_before.pop(place, None)
            waits_for_an_operator.add(place)
            continue
        if commit.metadata == "" and place in waits_for_an_operator:
            # Somebody has said from where it goes on: nothing above is finished.
            waits_for_an_operator.discard(place)
            continue
        said = (commit.offset, commit.metadata)
        if said_before.get(place) == said and commit.metadata != "":
            report.count("commits_asked_for_again", report.counts.get("commits_asked_for_again", 0) + 1)
            continue
        said_before[place] = said
        longest = max(longest, len(commit.metadata))
        where = f"the commit of {commit.topic}/{commit.partition}@{commit.offset} at {commit.at_offset}"
        try:
            now = frontier.decode(commit.metadata)
        except frontier.Malformed as why:
            report.find(RULE, f"{where}: {why}")
            continue
        if now.base != commit.offset:
            report.find(RULE, f"{where} was written for offset {now.base}")
        burst = (now.writer, now.incarnation, now.burst, *place)
        if burst in bursts:
            report.find(RULE, f"{where} carries the mark of an earlier burst, {burst[:3]}")
        bursts.add(burst)
        before = last.get(place)
        if before is not None:
            _nothing_is_taken_back(where, before, now, report)
        last[place] = now
    report.count("longest_metadata", longest)
    _the_last_word(view, report)


def _nothing_is_taken_back(where: str, before: Frontier, now: Frontier, report: Report) -> None:
    if now.base < before.base:
        report.find(RULE, f"{where} goes back from {before.base}")
    lost = [offset for offset in now.unfinished if before.owns(offset)]
    lost += [offset for offset in before.finished_above_base() if offset >= now.end]
    if lost:
        report.find(RULE, f"{where} takes back {min(lost)} and {len(lost) - 1} more")


def _the_last_word(view: View, report: Report) -> None:
    for place in view.inputs:
        position = owned(view.history.position.get(place.partition))
        finished = position is not None and position.owns(place.offset)
        if finished and place not in view.terminals:
            report.find(RULE, f"{place} is finished by the committed position and has no terminal")
        elif not finished and place in view.terminals:
            report.find(RULE, f"{place} has a terminal and is not finished by the committed position")
