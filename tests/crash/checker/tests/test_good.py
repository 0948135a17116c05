"""Good histories are never flagged."""

import unittest
from dataclasses import replace

from checker.gaps import gaps
from checker.history import Forgotten, Interruption, Life
from checker.judge import judge
from checker.tests import good


class Good(unittest.TestCase):
    def test_two_hundred_good_histories_have_no_violation(self) -> None:
        for seed in range(200):
            with self.subTest(seed=seed):
                report = judge(good.history(seed, count=20 + seed % 60))
                self.assertTrue(report.is_green(), report.as_json())

    def test_every_fate_occurs(self) -> None:
        statuses = {terminal.status for terminal in good.history().feedback}
        self.assertEqual(statuses, {status for status, _ in good.STATUS.values()} | {"DEFERRED"})

    def test_a_run_that_did_not_write_down_what_it_meant_is_not_judged_by_that_and_says_so(self) -> None:
        history = good.history()
        history.sent = None
        report = judge(history)
        self.assertTrue(report.is_green(), report.as_json())
        self.assertEqual(len(report.notes), 1)

    def test_a_start_that_gives_up_while_the_database_is_away_is_counted(self) -> None:
        history = good.history()
        history.interruptions.append(Interruption("database", 0, 10))
        history.lives.append(Life("gk-3", 5, 6, 1))
        report = judge(history)
        self.assertTrue(report.is_green(), report.as_json())
        self.assertEqual(report.counts["starts_given_up"], 1)

    def test_a_commit_that_was_asked_for_again_is_no_violation(self) -> None:
        history = good.history()
        last = history.commits[-1]
        history.commits.append(replace(last, at_offset=last.at_offset + 1))
        report = judge(history)
        self.assertTrue(report.is_green(), report.as_json())
        self.assertEqual(report.counts["commits_asked_for_again"], 1)

    def test_an_operator_says_from_where_a_forgotten_position_goes_on(self) -> None:
        history = good.history()
        last = history.commits[-1]
        history.forgotten.append(Forgotten(last.at_offset + 1, last.topic, last.partition))
        history.commits.append(replace(last, at_offset=last.at_offset + 2, metadata=""))
        history.transactional_ids.add("crash-append-d2059d5d-761b-4345-92df-90c361adca32")
        good.read_again(history, last.at_offset + 3, last.partition)
        report = judge(history)
        self.assertTrue(report.is_green(), report.as_json())

    def test_a_forgotten_position_begins_anew(self) -> None:
        history = good.history()
        last = history.commits[-1]
        history.forgotten.append(Forgotten(last.at_offset + 1, last.topic, last.partition))
        good.read_again(history, last.at_offset + 2, last.partition)
        report = judge(history)
        self.assertTrue(report.is_green(), report.as_json())

    def test_what_a_fault_keeps_unreadable_is_no_violation(self) -> None:
        history = good.history()
        history.interruptions.append(Interruption("broker", 0, 1 << 60))
        history.followed = [seen._replace(at=seen.at + 10_000) for seen in history.followed]
        report = judge(history)
        self.assertTrue(report.is_green(), report.as_json())

    def test_silence_counts_from_when_work_was_there(self) -> None:
        history = good.history()
        worst = max(gap.ms() for gap in gaps(history))
        history.acked = [one._replace(at=one.at + 10**9) for one in history.acked]
        self.assertEqual(gaps(history), [])
        self.assertGreaterEqual(worst, 1_000)


if __name__ == "__main__":
    unittest.main()
