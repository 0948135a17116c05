"""The longest time without a committed output on a partition that has ready work."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from .history import History


class Gap(NamedTuple):
    """A silence."""

    partition: int
    started_at: int
    ended_at: int

    def ms(self) -> int:
        return self.ended_at - self.started_at


def gaps(history: History, at_least_ms: int = 1_000) -> list[Gap]:
    """Silences of at least so long, the longest first.

    Between two arrivals at the reader that followed along, work was ready from when the oldest input without a terminal was
    acknowledged: its call's own time counts as silence too, so the figure is an upper bound.
    """
    seen_at = {(seen.partition, seen.offset): seen.at for seen in history.followed
               if seen.topic == history.topics.feedback}
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)
    acked = {one.place: one.at for one in history.acked}
    for terminal in history.feedback:
        arrived = seen_at.get((terminal.partition, terminal.offset))
        if terminal.terminal and arrived is not None and terminal.origin in acked:
            ends[terminal.partition].append((arrived, acked[terminal.origin]))
    found = []
    for partition, pairs in ends.items():
        found += _of_partition(partition, sorted(pairs), at_least_ms)
    return sorted(found, key=Gap.ms, reverse=True)


def _of_partition(partition: int, pairs: list[tuple[int, int]], at_least_ms: int) -> list[Gap]:
    # Oldest acknowledgement among this arrival and all later ones: what was waiting when this one arrived.
    waiting = [pair[1] for pair in pairs]
    for n in range(len(waiting) - 2, -1, -1):
        waiting[n] = min(waiting[n], waiting[n + 1])
    found = []
    for n in range(1, len(pairs)):
        started = max(pairs[n - 1][0], waiting[n])
        if pairs[n][0] - started >= at_least_ms:
            found.append(Gap(partition, started, pairs[n][0]))
    return found
