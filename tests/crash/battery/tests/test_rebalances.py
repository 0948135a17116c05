"""Gaps and calls paid again are attributed to the rebalance during which they happened."""

from __future__ import annotations

import unittest

from battery.rebalances import Step, measured
from checker.history import Acked, Call, History, Place, Seen, Terminal


def history(arrivals: list[int]) -> History:
    """One partition; every input was there from the start, and its terminal arrives at one of these times."""
    made = History(max_in_flight=1)
    for offset, at in enumerate(arrivals):
        place = Place(0, offset)
        made.acked.append(Acked(place, "", 0))
        made.followed.append(Seen(made.topics.feedback, 0, offset, "", at))
        made.feedback.append(Terminal(0, offset, at, "", place, (), True, "ACCEPTED", "DECIDED", "t", "s", "e", "T", None,
                                      None, "gk-1"))
    return made


class Measuring(unittest.TestCase):
    def test_a_silence_counts_for_the_step_it_overlaps(self) -> None:
        rows, beyond = measured([Step("joins", 1_000, 3_000), Step("leaves", 10_000, 12_000)],
                                history([500, 2_500, 9_900, 16_000]))
        self.assertEqual([row["gap_worst_ms"] for row in rows], [7_400, 6_100])
        self.assertEqual(len(beyond), 2)

    def test_one_that_begins_right_before_the_next_step_is_that_ones(self) -> None:
        rows, beyond = measured([Step("killed and restarted", 1_000, 9_000), Step("frozen and thawed", 9_000, 30_000)],
                                history([500, 2_500, 8_300, 19_000]))
        self.assertEqual([row["gap_worst_ms"] for row in rows], [5_800, 10_700])
        self.assertEqual(len(beyond), 1)

    def test_the_same_silence_is_allowed_where_an_instance_vanished(self) -> None:
        _, beyond = measured([Step("killed for good", 1_000, 3_000)], history([500, 12_000]))
        self.assertEqual(beyond, [])

    def test_calls_paid_again_are_those_whose_answer_had_been_sent(self) -> None:
        made = history([500])
        made.calls = [Call("a", 1, 2, 200), Call("a", 1_100, 1_200, 200), Call("b", 1, 2, 0, True), Call("b", 1_300, 1_400, 200),
                      Call("a", 1_500, 1_600, 200)]
        rows, beyond = measured([Step("joins", 1_000, 3_000)], made)
        self.assertEqual(rows[0]["paid_again"], 2)
        self.assertEqual(len(beyond), 1)


if __name__ == "__main__":
    unittest.main()
