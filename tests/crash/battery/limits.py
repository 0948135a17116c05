"""Four instances share what tenants may ask of a model in a minute, and each tenant sends more than that.

Judged from outside, beside the checker's rules: in no minute of the provider's own ledger has a tenant more calls than its limit
and some, and over all the time it has nearly what it may.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from typing import Any

from checker.history import History

from . import database
from .fairness import Period
from .instances import now_ms
from .publisher import Events
from .world import World

TENANTS = ("acme", "globex", "initech")
PER_MINUTE = 300
POLICY = f"[limits]\nrequests_per_minute = {PER_MINUTE}\n"
# Events of each a second: more than half as many again as it may.
RATE = 8.0
# Until what a bucket holds at the start is spent, and how long it is measured then.
BEFORE, MEASURED = 75.0, 120.0
MINUTE_MS = 60_000
ALL_BACK_WITHIN = 600.0
OVERSHOOT, USED = 0.05, 0.95


class Many(Events):
    """As many of each tenant, tickets of their own."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, tickets=1_000_000)
        self._draw = random.Random(seed)

    def next(self) -> str:
        self.kinds["event"] += 1
        return self._line(self._event(self._draw.choice(TENANTS)))


def act(world: World) -> Period:
    """What is put off meanwhile comes back at the pace of the limits."""
    world.publisher.rate = RATE * len(TENANTS)
    time.sleep(BEFORE)
    started_at = now_ms()
    time.sleep(MEASURED)
    period = Period(started_at, now_ms())
    world.publisher.rate = 0.0
    deadline = time.monotonic() + ALL_BACK_WITHIN
    while time.monotonic() < deadline:
        time.sleep(1)
        if int(database.query(world.ledger_url, "SELECT count(*) FROM ledger WHERE published_at IS NULL")) == 0:
            break
    return period


def worst_minute(calls: list[int]) -> int:
    """The most that begin within any minute."""
    return max((bisect_left(calls, at + MINUTE_MS) - number for number, at in enumerate(calls)), default=0)


def measured(period: Period, history: History) -> tuple[dict[str, Any], list[str]]:
    """The figures, and what is wrong with them."""
    tenants = {row.key: row.tenant for row in history.rows}
    minutes = (period.ended_at - period.started_at) / MINUTE_MS
    calls: dict[str, list[int]] = {tenant: [] for tenant in TENANTS}
    for call in history.calls:
        if period.started_at <= call.started_at < period.ended_at:
            calls[tenants[call.key]].append(call.started_at)
    worst = {tenant: worst_minute(sorted(at)) for tenant, at in calls.items()}
    used = {tenant: len(at) / (PER_MINUTE * minutes) for tenant, at in calls.items()}
    wrong = [f"limits: {tenant} had {count} calls in a minute, {PER_MINUTE} are allowed" for tenant, count in worst.items()
             if count > PER_MINUTE * (1 + OVERSHOOT)]
    wrong += [f"limits: {tenant} had {share:.0%} of what it may" for tenant, share in used.items() if share < USED]
    figures = {"limit_a_minute": PER_MINUTE, "worst_minute": max(worst.values()), "least_used": round(min(used.values()), 3),
               "most_used": round(max(used.values()), 3), "put_off": sum(not one.terminal for one in history.feedback)}
    return figures, wrong
