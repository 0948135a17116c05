"""The table speaks of every switch the product has, and of each number of the proof once."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

from battery.faults import REPOSITORY
from battery.sabotage import CHECKERS_OWN, NOT_DURABLE, ROWS
from checker import rules


class Table(unittest.TestCase):
    def test_every_switch_of_the_product_has_its_row(self) -> None:
        switches = re.findall(r'Self::\w+ => "(\w+)"', (REPOSITORY / "src/sabotage.rs").read_text())
        self.assertEqual(sorted([*switches, CHECKERS_OWN]), sorted(row.switch for row in ROWS))

    def test_the_sixteen_of_the_proof_are_there_in_order(self) -> None:
        self.assertEqual([row.number for row in ROWS if row.number], list(range(1, 17)))

    def test_every_invariant_that_is_named_is_one_of_the_checkers(self) -> None:
        known = {re.search(r'RULE = "(.+)"', file.read_text()).group(1)  # type: ignore
                 for file in Path(rules.__file__).parent.glob("i*.py")}
        for row in ROWS:
            if row.switch != NOT_DURABLE:
                self.assertLessEqual(row.rules, known, row.switch)

    def test_the_readme_shows_the_same_table(self) -> None:
        readme = (REPOSITORY / "tests/crash/README.md").read_text()
        for row in ROWS:
            if row.number and row.switch != CHECKERS_OWN:
                self.assertIn(f"| {row.number} | `{row.switch}` | {row.scenario.name} |", readme)


if __name__ == "__main__":
    unittest.main()
