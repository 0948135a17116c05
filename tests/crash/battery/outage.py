"""A provider that fails for a minute under load: what becomes of events meanwhile, and how soon all is as before.

Judged from outside, beside the checker's rules: nothing goes to the dead letters for the provider's sake, nobody is put out of
the group, what a fallback decided says so and acts on nothing, a better decision follows unless a newer event of the ticket was
decided, and what has piled up is worked off soon after the breakers have closed.
"""

from __future__ import annotations

import json
import math
import time
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from checker.history import Decision, History

from .instances import now_ms
from .world import World

BEFORE, LASTS, AFTER = 20.0, 60.0, 120.0
# What has piled up is worked off so soon after the last breaker has closed.
WORKED_OFF_WITHIN_MS = 60_000
# Shorter than the outage, so that it outlasts the patience of some.
TENANT = 'decide_by = "20s"\nimprove_fallbacks = true\n'
# Of each tenant: most have no newer event by the time at which a better decision is due.
TICKETS = 2_000
# What a model's failure may be called.
OF_MODELS = frozenset({"BREAKER_OPEN", "PROVIDER_ERROR", "PROVIDER_TIMEOUT", "PROVIDER_RATE_LIMITED", "DEADLINE_EXCEEDED"})


@dataclass
class Outage:
    """When the provider failed, when the last breaker closed after that, and when instances were told to end."""

    started_at: int
    ended_at: int
    closed_at: int | None = None
    over_at: float = math.inf


def act(world: World) -> Outage:
    """A minute of nothing but errors, and two of peace."""
    time.sleep(BEFORE)
    started_at = now_ms()
    world.provider.control({"mode": "outage_500"})
    time.sleep(LASTS)
    world.provider.control({})
    outage = Outage(started_at, now_ms())
    time.sleep(AFTER)
    outage.over_at = now_ms()
    closed = [closed_at(world.options.folder / f"{name}.log", outage.ended_at) for name in world.running()]
    outage.closed_at = max((at for at in closed if at is not None), default=None)
    return outage


def closed_at(log: Path, after: int) -> int | None:
    """When this instance's breaker closed, for the first time after that moment."""
    for line in log.read_text().splitlines():
        if '"breaker changed"' not in line:
            continue
        said = json.loads(line)
        at = int(datetime.fromisoformat(said["timestamp"].replace("Z", "+00:00")).timestamp() * 1_000)
        if said["to"] == "closed" and at >= after:
            return at
    return None


def measured(outage: Outage, history: History) -> tuple[dict[str, Any], list[str]]:
    """The figures, and what is wrong with them."""
    wrong = []
    # Who ends leaves, and that is no rebalance of the outage's.
    generations = sum(outage.started_at <= one.at < outage.over_at for one in history.generations)
    lost = sum(one.code in OF_MODELS for one in history.dead_letters)
    fallbacks = [one for one in history.decisions if one.degraded]
    acting = sum(one.acts for one in fallbacks)
    better, overtaken, left = _followed(fallbacks, history)
    most_before, worked_off = _worked_off(outage, history)
    figures = {
        "lasted_ms": outage.ended_at - outage.started_at, "put_off": sum(
            not one.terminal and one.code == "BREAKER_OPEN" for one in history.feedback),
        "fallbacks": len(fallbacks), "acting": acting, "better": better, "overtaken": overtaken, "left": left,
        "in_dead_letters": lost, "rebalances": generations, "open_before": most_before, "worked_off_ms": worked_off,
        "closed_after_ms": None if outage.closed_at is None else outage.closed_at - outage.ended_at,
    }
    if not fallbacks:
        wrong.append("outage: no fallback decided anything, so it proved nothing")
    if outage.closed_at is None:
        wrong.append("outage: no breaker closed afterwards")
    for name in ("acting", "left", "in_dead_letters", "rebalances"):
        if figures[name]:
            wrong.append(f"outage: {name}: {figures[name]}, allowed are none")
    if worked_off is None or worked_off > WORKED_OFF_WITHIN_MS:
        wrong.append(f"outage: worked off {worked_off} ms after the breakers closed, allowed are {WORKED_OFF_WITHIN_MS}")
    return figures, wrong


def _followed(fallbacks: list[Decision], history: History) -> tuple[int, int, int]:
    """How many have a better decision; of the others, how many a newer event of their ticket overtook, and how many not."""
    improved = {one.supersedes for one in history.decisions if one.supersedes}
    newest: dict[tuple[str, str], int] = defaultdict(lambda: -1)
    for one in history.decisions:
        ticket = (one.identity.tenant, one.ticket)
        newest[ticket] = max(newest[ticket], one.origin.offset)
    better = [one for one in fallbacks if one.decision_id in improved]
    others = [one for one in fallbacks if one.decision_id not in improved]
    overtaken = sum(newest[one.identity.tenant, one.ticket] > one.origin.offset for one in others)
    return len(better), overtaken, len(others) - overtaken


def _worked_off(outage: Outage, history: History) -> tuple[int, int | None]:
    """The most events that were open at a time before the outage, and how long after the breakers closed no more than that
    were open again."""
    acked = sorted(one.at for one in history.acked)
    terminal = {(one.partition, one.offset) for one in history.feedback if one.terminal}
    ended = sorted(one.at for one in history.followed
                   if one.topic == history.topics.feedback and (one.partition, one.offset) in terminal)

    def open_at(moment: int) -> int:
        return bisect_right(acked, moment) - bisect_right(ended, moment)

    since = outage.started_at - int(BEFORE * 1_000)
    most = max(open_at(moment) for moment in range(since, outage.started_at, 100))
    if outage.closed_at is None or not ended:
        return most, None
    later = (moment for moment in range(outage.closed_at, max(ended[-1], outage.closed_at) + 100, 100)
             if open_at(moment) <= most)
    first = next(later, None)
    return most, None if first is None else first - outage.closed_at
