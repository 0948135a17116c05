"""What each was served, and how long one waited, is read off a history."""

from __future__ import annotations

import json
import unittest

from battery.fairness import HABITS, LONG, LOUD, QUIET, Crowd, Period, jain, measured
from checker.history import Acked, Call, History, Place, Row

PERIOD = Period(100_000, 160_000)


def history(calls: dict[str, int]) -> History:
    """So many calls of each, spread over the time, of a token each."""
    made = History()
    for tenant, count in calls.items():
        for number in range(count):
            key, at = f"{tenant}-{number}", PERIOD.started_at + number * 60_000 // count
            place = Place(0, len(made.rows))
            made.rows.append(Row(key, place, tenant, key, None, None, None, None, None, None, None))
            made.calls.append(Call(key, at, at + 100, 200, tokens=1))
            made.acked.append(Acked(place, "", at - 40))
    return made


class Measuring(unittest.TestCase):
    def test_equal_shares_are_fair_and_a_wait_is_from_the_acknowledgement(self) -> None:
        figures, wrong = measured(PERIOD, history({tenant: 60 for tenant in HABITS}))
        self.assertEqual(wrong, [])
        self.assertEqual((figures["jain_10s_worst"], figures["jain_60s"], figures["loud_has_of_a_share"]), (1.0, 1.0, 1.0))
        self.assertEqual((figures["quiet_wait_median_ms"], figures["quiet_wait_worst_ms"]), (40, 40))

    def test_one_that_has_more_and_one_that_is_not_seen(self) -> None:
        greedy = {tenant: 60 for tenant in HABITS} | {LOUD: 6_000}
        _, wrong = measured(PERIOD, history(greedy))
        self.assertEqual(len(wrong), 2, wrong)
        _, wrong = measured(PERIOD, history({tenant: 60 for tenant in HABITS if tenant != QUIET}))
        self.assertEqual(len(wrong), 1, wrong)

    def test_jain(self) -> None:
        self.assertEqual((jain([1.0] * 4), jain([1.0, 0.0, 0.0, 0.0]), jain([0.0])), (1.0, 0.25, 0.0))


class Sending(unittest.TestCase):
    def test_each_sends_what_it_should(self) -> None:
        crowd = Crowd(1)
        sent = [json.loads(json.loads(crowd.next())["value"]) for _ in range(10_000)]
        of = {tenant: [event for event in sent if event["tenant_id"] == tenant] for tenant in (LOUD, LONG, "even-3")}
        self.assertAlmostEqual(len(of[LOUD]) / 10_000, 0.453, delta=0.03)
        self.assertGreater(len(of["even-3"]), 20)
        self.assertGreater(len(of[LONG][0]["message"]["body"]), 40 * len(of[LOUD][0]["message"]["body"]))
