"""A hundred tenants share a model that takes less than they send.

One sends a hundred times its share, one writes texts fifty times as long, one sends less than its share; all but that one have
something waiting all the time. Judged from outside, beside the checker's rules: the provider's own ledger says what each was
served, and the log when it came.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from checker.history import History

from . import database
from .instances import now_ms
from .publisher import Events
from .world import World

LOUD, LONG, QUIET = "loud", "long", "quiet"
# Events of each a second, and how many times the usual text they have. Four instances with eight calls each, of a quarter of a
# second, take about 130 a second, 1.3 of each tenant: enough in ten seconds that what is measured is not the single call.
HABITS = {LOUD: (130.0, 1), LONG: (1.6, 50), QUIET: (0.3, 1), **{f"even-{number}": (1.6, 1) for number in range(97)}}
RATE = sum(rate for rate, _ in HABITS.values())
# Until all have something waiting, and how long it is measured then.
BEFORE, MEASURED = 20.0, 60.0
WINDOW_MS = 10_000
ALL_BACK_WITHIN = 180.0
# Of tokens served, over ten seconds and over all the time.
JAIN_WINDOW, JAIN_ALL = 0.95, 0.99


class Crowd(Events):
    """What they send: tickets of their own."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, tickets=1_000_000)
        self._draw = random.Random(seed)
        self._tenants, self._rates = list(HABITS), [rate for rate, _ in HABITS.values()]

    def next(self) -> str:
        tenant = self._draw.choices(self._tenants, self._rates)[0]
        event = self._event(tenant)
        event["message"]["body"] = " ".join([event["message"]["body"]] * HABITS[tenant][1])
        self.kinds["event"] += 1
        return self._line(event)


@dataclass
class Period:
    """While it is measured."""

    started_at: int
    ended_at: int


def act(world: World) -> Period:
    """All send; what has piled up then is worked off by a faster model."""
    world.publisher.rate = 2 * RATE
    time.sleep(BEFORE)
    world.publisher.rate = RATE
    started_at = now_ms()
    time.sleep(MEASURED)
    period = Period(started_at, now_ms())
    world.publisher.rate = 0.0
    world.provider.control({})
    _wait_until_all_are_back(world)
    return period


def _wait_until_all_are_back(world: World) -> None:
    """What made room is away for ten minutes at most, and taken back as soon as the model has nothing else to do."""
    deadline = time.monotonic() + ALL_BACK_WITHIN
    while time.monotonic() < deadline:
        time.sleep(1)
        if int(database.query(world.ledger_url, "SELECT count(*) FROM ledger WHERE published_at IS NULL")) == 0:
            return


def jain(shares: list[float]) -> float:
    """1: all have the same; 1/n: one has all."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def measured(period: Period, history: History) -> tuple[dict[str, Any], list[str]]:
    """The figures, and what is wrong with them."""
    tenants = {row.key: row.tenant for row in history.rows}
    waiting = [tenant for tenant in HABITS if tenant != QUIET]

    def served(since: int, until: int) -> list[float]:
        tokens = dict.fromkeys(waiting, 0.0)
        for call in history.calls:
            tenant = tenants.get(call.key)
            if tenant in tokens and since <= call.started_at < until:
                tokens[tenant] += call.tokens
        return list(tokens.values())

    windows = [jain(served(since, since + WINDOW_MS))
               for since in range(period.started_at, period.ended_at - WINDOW_MS + 1, WINDOW_MS)]
    over_all = served(period.started_at, period.ended_at)
    waits = sorted(_waits(QUIET, period, history, tenants))
    mean = sum(over_all) / len(over_all)
    figures = {
        "calls_a_second": round(sum(period.started_at <= call.started_at < period.ended_at for call in history.calls)
                                / (period.ended_at - period.started_at) * 1_000, 1),
        "jain_10s_worst": round(min(windows), 4), "jain_60s": round(jain(over_all), 4),
        "loud_has_of_a_share": round(over_all[waiting.index(LOUD)] / mean, 2) if mean else None,
        "long_has_of_a_share": round(over_all[waiting.index(LONG)] / mean, 2) if mean else None,
        "quiet_events": len(waits), "quiet_wait_median_ms": round(median(waits)) if waits else None,
        "quiet_wait_worst_ms": waits[-1] if waits else None,
        "put_off": sum(not one.terminal for one in history.feedback),
    }
    wrong = []
    if not waits:
        wrong.append("fairness: nothing of the quiet tenant was seen, so it proved nothing")
    if min(windows) < JAIN_WINDOW:
        wrong.append(f"fairness: Jain's index over 10 s is {min(windows):.3f}, {JAIN_WINDOW} is wanted")
    if jain(over_all) < JAIN_ALL:
        wrong.append(f"fairness: Jain's index over all the time is {jain(over_all):.3f}, {JAIN_ALL} is wanted")
    return figures, wrong


def _waits(tenant: str, period: Period, history: History, tenants: dict[str, str]) -> list[int]:
    """From acknowledged to the first call, of each event of this tenant that was sent in the period."""
    acked = {one.place: one.at for one in history.acked if period.started_at <= one.at < period.ended_at}
    first: dict[str, int] = {}
    for call in history.calls:
        first[call.key] = min(first.get(call.key, call.started_at), call.started_at)
    return [first[row.key] - acked[row.owner] for row in history.rows
            if tenants[row.key] == tenant and row.owner in acked and row.key in first]
