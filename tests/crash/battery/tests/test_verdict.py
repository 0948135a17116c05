"""A run in which nothing was decided proves nothing."""

from __future__ import annotations

import unittest
from collections import Counter

from battery.verdict import verdict
from checker.tests import good


class Counting(unittest.TestCase):
    def test_a_run_counts_only_if_events_were_decided_by_the_model(self) -> None:
        history = good.history()
        once = Counter({"kill": 1})
        self.assertEqual(verdict(history, once, once)["verdict"], "green")
        history.acked[-1] = history.acked[-1]._replace(at=history.acked[0].at + 60_000)
        self.assertEqual(verdict(history, once, once)["verdict"], "green")
        for decision in history.decisions:
            decision.degraded = "PROVIDER_ERROR"
        self.assertEqual(verdict(history, once, once)["verdict"], "does not count")

    def test_a_run_counts_only_if_events_came_for_as_long_as_they_were_sent(self) -> None:
        history = good.history()
        history.acked[-1] = history.acked[-1]._replace(at=history.acked[0].at + 600_000)
        once = Counter({"kill": 1})
        self.assertEqual(verdict(history, once, once)["verdict"], "does not count")
        self.assertEqual(verdict(good.history(), once, once, minutes=10)["verdict"], "does not count")


if __name__ == "__main__":
    unittest.main()
