"""A planned fault happens although something else is in its way for a while."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from battery import faults
from battery.instances import Instance

GIVES_UP_ONCE = "test -e there || { touch there; exit 1; }; kill -9 $$"
NEVER_DIES_THERE = "exit 1"


class AtALabel(unittest.TestCase):
    def instance(self, script: str) -> Instance:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        instance = Instance("gk-1", ["sh", "-c", script], Path(folder.name), {})
        self.addCleanup(instance.kill)
        return instance

    def test_a_start_that_gave_up_is_repeated_until_it_dies_at_its_label(self) -> None:
        instance = self.instance(GIVES_UP_ONCE)
        self.assertTrue(faults._dies_at(instance, "polled:1:kill"))
        self.assertEqual([life["ended_itself"] for life in instance.lives], [1, None])

    def test_a_supervisor_does_not_start_it_without_its_failpoint(self) -> None:
        instance = self.instance(NEVER_DIES_THERE)
        instance.start(failpoint="polled:1:kill")
        instance.is_supervised = False
        instance.wait(10)
        instance.start_again_if_it_ended_itself()
        self.assertEqual(len(instance.lives), 1)
        instance.is_supervised = True
        instance.start_again_if_it_ended_itself()
        self.assertEqual(len(instance.lives), 2)

    def test_one_that_never_dies_there_did_not_happen(self) -> None:
        with mock.patch.object(faults, "LABEL_WITHIN", 0.5):
            self.assertFalse(faults._dies_at(self.instance(NEVER_DIES_THERE), "polled:1:kill"))


if __name__ == "__main__":
    unittest.main()
