"""A history, looked up in the ways that several rules need."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from functools import lru_cache

from . import frontier
from .frontier import Frontier
from .history import Decision, History, Identity, Input, Place, Terminal


class View:
    """Indexes over one history; nothing in it judges."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.inputs: dict[Place, Input] = {one.place: one for one in history.inputs}
        self.terminals: dict[Place, list[Terminal]] = defaultdict(list)
        for one in history.feedback:
            if one.terminal:
                self.terminals[one.origin].append(one)
        self.decisions: dict[Place, list[Decision]] = defaultdict(list)
        for decision in history.decisions:
            self.decisions[decision.origin].append(decision)
        self._generations_at = [one.at for one in history.generations]
        self.copies: dict[Identity, list[Input]] = defaultdict(list)
        for record in history.inputs:
            if record.event:
                self.copies[record.event.identity].append(record)

    def owners(self, partition: int, since: int, until: int) -> set[str]:
        """Who owned this partition of any topic at any time from then to then."""
        found: set[str] = set()
        for at in range(bisect_right(self._generations_at, since) - 1, bisect_right(self._generations_at, until)):
            if at >= 0:
                owners = self.history.generations[at].owners
                found |= {owner for (_, number), owner in owners.items() if number == partition}
        return found

    def partitions(self) -> list[int]:
        """Partitions of the events topic that hold anything."""
        return sorted({place.partition for place in self.inputs})


@lru_cache(maxsize=4_096)
def decoded(metadata: str) -> Frontier:
    """`frontier.decode`, remembered: samples and commits show the same string many times."""
    return frontier.decode(metadata)


def owned(committed: tuple[int, str] | None) -> Frontier | None:
    """What a committed position says is finished; None: nothing was committed. An unreadable string owns its base only
    (that it is unreadable is I5's to say)."""
    if committed is None:
        return None
    offset, metadata = committed
    try:
        found = decoded(metadata)
    except frontier.Malformed:
        return Frontier("", 0, 0, 0, offset, offset, frozenset())
    return found._replace(base=offset) if found.base != offset else found
