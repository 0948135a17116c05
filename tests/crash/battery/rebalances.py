"""Rebalances, each by itself and measured: a second instance joins, leaves, is killed and restarted, is killed for good, is
frozen for 20 s and thawed, under load with slow calls.

A step begins with its fault and ends when the group has settled again; its gap is the longest silence on a partition with
ready work that belongs to it: to the step that the silence overlaps for the longest time.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from checker.gaps import Gap, gaps
from checker.history import Call, History

from .instances import Instance, now_ms
from .world import ENDS_WITHIN, World

SESSION_TIMEOUT_MS = 10_000
SETTLES_WITHIN = 8.0
FROZEN_FOR = 20.0
# The silence that is allowed on a partition with ready work, by what happens.
BOUNDS_MS = {
    "joins": 5_000, "leaves": 5_000, "killed and restarted": 5_000,
    "killed for good": SESSION_TIMEOUT_MS + 5_000, "frozen and thawed": SESSION_TIMEOUT_MS + 5_000,
}
# Nobody is lost, so no call may be.
COSTS_NOTHING = frozenset({"joins", "leaves"})


@dataclass
class Step:
    """One rebalance, from its fault until all was quiet again."""

    what: str
    started_at: int
    ended_at: int


class Rebalances:
    """The steps, in rounds; the first instance stays, the second is the one that things happen to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._second: Instance = world.instances["gk-2"]
        self.steps: list[Step] = []

    def round(self) -> None:
        """Each of the five once; a join more brings the second one back in between."""
        self._step("joins", "join", self._second.start)
        self._step("killed and restarted", "kill", self._kill_and_restart)
        self._step("frozen and thawed", "freeze", self._freeze)
        self._step("killed for good", "kill", self._kill_for_good)
        self._step("joins", "join", self._second.start)
        self._step("leaves", "leave", self._leave)

    def _step(self, what: str, kind: str, act: Callable[[], None]) -> None:
        started_at = now_ms()
        with self._world.interruption(kind, self._second.name):
            act()
        time.sleep(SETTLES_WITHIN)
        self.steps.append(Step(what, started_at, now_ms()))

    def _kill_and_restart(self) -> None:
        self._second.kill()
        self._second.start()

    def _freeze(self) -> None:
        self._second.freeze()
        time.sleep(FROZEN_FOR)
        self._second.thaw()

    def _kill_for_good(self) -> None:
        self._second.kill()
        time.sleep(SESSION_TIMEOUT_MS / 1_000)

    def _leave(self) -> None:
        self._second.leave(ENDS_WITHIN)


def measured(steps: list[Step], history: History) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each kind of step, and what went beyond its bound."""
    longest_of: dict[int, int] = defaultdict(int)
    for gap in gaps(history, at_least_ms=100):
        at = max(range(len(steps)), key=lambda at: _overlap(gap, steps[at]))
        if _overlap(gap, steps[at]) > 0:
            longest_of[at] = max(longest_of[at], gap.ms())
    again = _paid_again(history.calls)
    worst: dict[str, list[int]] = defaultdict(list)
    paid: Counter[str] = Counter()
    beyond = []
    for at, step in enumerate(steps):
        longest = longest_of[at]
        worst[step.what].append(longest)
        calls = sum(step.started_at <= at < step.ended_at for at in again)
        paid[step.what] += calls
        if longest > BOUNDS_MS[step.what]:
            beyond.append(f"gap: {step.what} at {step.started_at}: silent for {longest} ms, allowed are {BOUNDS_MS[step.what]}")
        allowed = 0 if step.what in COSTS_NOTHING else history.max_in_flight
        if calls > allowed:
            beyond.append(f"paid again: {step.what} at {step.started_at}: {calls} calls, allowed are {allowed}")
    rows = [{"what": what, "times": len(found), "gap_median_ms": sorted(found)[len(found) // 2], "gap_worst_ms": max(found),
             "allowed_ms": BOUNDS_MS[what], "paid_again": paid[what]} for what, found in worst.items()]
    return rows, beyond


def _overlap(gap: Gap, step: Step) -> int:
    return min(gap.ended_at, step.ended_at) - max(gap.started_at, step.started_at)


def _paid_again(calls: list[Call]) -> list[int]:
    """When calls began for an event whose earlier call had been answered."""
    answered: set[str] = set()
    again = []
    for call in sorted(calls, key=lambda one: one.started_at):
        if call.key in answered:
            again.append(call.started_at)
        if call.status == 200 and not call.client_gone:
            answered.add(call.key)
    return again
