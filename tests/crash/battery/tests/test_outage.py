"""What an outage came to is read off a history."""

from __future__ import annotations

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

from battery.outage import Outage, closed_at, measured
from checker.history import Acked, DeadLetter, Decision, Generation, History, Identity, Place, Seen, Terminal

OUTAGE = Outage(100_000, 160_000, 170_000)


def decision(offset: int, ticket: str, degraded: str | None, supersedes: str | None = None, acts: bool = False) -> Decision:
    identity = Identity("t", "s", False, f"e-{offset}")
    return Decision(0, offset, 0, "", Place(0, offset), (), identity, f"e-{offset}", ticket,
                    f"d-{offset}{'+' if supersedes else ''}", 2 if supersedes else 1, "", supersedes, degraded, acts)


def history(ends: list[tuple[int, int]]) -> History:
    """Each event: when it was acknowledged, and when its terminal arrived."""
    made = History()
    for offset, (acked, ended) in enumerate(ends):
        place = Place(0, offset)
        made.acked.append(Acked(place, "", acked))
        made.followed.append(Seen(made.topics.feedback, 0, offset, "", ended))
        made.feedback.append(Terminal(0, offset, ended, "", place, (), True, "DEGRADED", "BREAKER_OPEN", "t", "s", "e", "T",
                                      None, None, "gk-1"))
    return made


def good() -> History:
    """One event at a time before; two pile up, and are worked off 3 s after the breaker has closed."""
    made = history([(90_000, 91_000), (101_000, 172_000), (102_000, 173_000)])
    made.decisions = [decision(1, "A", "BREAKER_OPEN"), decision(1, "A", None, "d-1"), decision(2, "B", "BREAKER_OPEN"),
                      decision(3, "B", None)]
    return made


class Measuring(unittest.TestCase):
    def test_what_went_as_it_should(self) -> None:
        figures, wrong = measured(OUTAGE, good())
        self.assertEqual(wrong, [])
        self.assertEqual([figures[name] for name in ("fallbacks", "better", "overtaken", "open_before", "worked_off_ms")],
                         [2, 1, 1, 1, 2_000])

    def test_each_thing_that_must_not_be(self) -> None:
        def without_a_better_one(made: History) -> None:
            del made.decisions[1]

        def a_fallback_that_acts(made: History) -> None:
            made.decisions[0].acts = True

        def a_dead_letter(made: History) -> None:
            made.dead_letters.append(DeadLetter(0, 0, 0, "", Place(0, 1), (), "PROVIDER_ERROR", None, None, None))

        def a_rebalance(made: History) -> None:
            made.generations.append(Generation(0, 120_000, 2, {}))

        def nothing_decided_by_a_fallback(made: History) -> None:
            made.decisions = made.decisions[1:2]

        def slow_work(made: History) -> None:
            made.followed[1] = made.followed[1]._replace(at=240_000)
            made.followed[2] = made.followed[2]._replace(at=240_000)

        for spoil in (without_a_better_one, a_fallback_that_acts, a_dead_letter, a_rebalance, nothing_decided_by_a_fallback,
                      slow_work):
            with self.subTest(spoil.__name__):
                made = good()
                spoil(made)
                self.assertEqual(len(measured(OUTAGE, made)[1]), 1)

    def test_who_leaves_when_it_is_over_is_no_rebalance(self) -> None:
        made = good()
        made.generations.append(Generation(0, 290_000, 2, {}))
        self.assertEqual(len(measured(OUTAGE, made)[1]), 1)
        self.assertEqual(measured(replace(OUTAGE, over_at=290_000), made)[1], [])

    def test_a_breaker_that_did_not_close(self) -> None:
        _, wrong = measured(Outage(100_000, 160_000), good())
        self.assertEqual(len(wrong), 2)

    def test_when_a_breaker_closed_stands_in_the_log(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "gk-1.log"
            lines = [f'{{"timestamp":"1970-01-01T00:00:{second:02}.500000Z","message":"breaker changed","to":"{to}"}}'
                     for second, to in ((10, "closed"), (20, "open"), (30, "closed"), (40, "closed"))]
            log.write_text("\n".join(["no JSON", *lines]))
            self.assertEqual(closed_at(log, 15_000), 30_500)
            self.assertIsNone(closed_at(log, 50_000))


if __name__ == "__main__":
    unittest.main()
