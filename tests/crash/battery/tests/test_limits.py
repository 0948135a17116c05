"""How many calls a minute there were is read off a history."""

from __future__ import annotations

import unittest

from battery.fairness import Period
from battery.limits import PER_MINUTE, TENANTS, measured, worst_minute
from checker.history import Call, History, Place, Row

PERIOD = Period(100_000, 220_000)


def history(per_minute: dict[str, int]) -> History:
    made = History()
    for tenant, count in per_minute.items():
        for number in range(2 * count):
            key, at = f"{tenant}-{number}", PERIOD.started_at + number * 60_000 // count
            made.rows.append(Row(key, Place(0, len(made.rows)), tenant, key, None, None, None, None, None, None, None))
            made.calls.append(Call(key, at, at + 100, 200))
    return made


class Measuring(unittest.TestCase):
    def test_what_is_allowed_and_used_is_right(self) -> None:
        figures, wrong = measured(PERIOD, history(dict.fromkeys(TENANTS, PER_MINUTE)))
        self.assertEqual((wrong, figures["worst_minute"], figures["least_used"]), ([], PER_MINUTE, 1.0))

    def test_too_much_and_too_little_are_wrong(self) -> None:
        first, second, third = TENANTS
        _, wrong = measured(PERIOD, history({first: PER_MINUTE * 11 // 10, second: PER_MINUTE * 9 // 10, third: PER_MINUTE}))
        self.assertEqual(len(wrong), 2, wrong)

    def test_the_worst_minute_begins_with_any_call(self) -> None:
        self.assertEqual(worst_minute([0, 59_999, 60_000, 60_001, 119_999]), 3)
        self.assertEqual(worst_minute([]), 0)


if __name__ == "__main__":
    unittest.main()
