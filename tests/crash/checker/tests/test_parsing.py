"""Records that the product wrote are read without a flaw; each way in which one can be wrong is noted."""

from __future__ import annotations

import json
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from checker import ledgers, parsing
from checker.identity import dedupe_key

FIXTURES = Path(__file__).parent / "fixtures"
LINES = list(ledgers.whole_lines(FIXTURES / "end.jsonl"))
READER = parsing.Reader("support.events.v1")


def lines_of(topic: str) -> list[dict[str, Any]]:
    return [line for line in LINES if line["topic"] == topic]


def spoiled(topic: str, spoil: Callable[[dict[str, Any]], Any]) -> parsing.Raw:
    """The first record of the topic, with its body changed."""
    line = json.loads(json.dumps(lines_of(topic)[0]))
    body = json.loads(line["value"])
    spoil(body)
    line["value"] = json.dumps(body)
    return parsing.Raw.of(line)


class Parsing(unittest.TestCase):
    def test_what_the_product_wrote_has_no_flaw(self) -> None:
        raws = [parsing.Raw.of(line) for line in LINES]
        read = {"support.decisions.v1": READER.decision, "support.feedback.v1": READER.terminal,
                "support.dead-letters.v1": READER.dead_letter}
        outputs = [read[raw.topic](raw) for raw in raws if raw.topic in read]
        self.assertEqual(len(outputs), 9)
        self.assertEqual([output.flaws for output in outputs if output.flaws], [])

    def test_a_dead_letter_keeps_the_bytes_that_came(self) -> None:
        inputs = {raw.place(): raw.sum() for line in lines_of("support.events.v1") if (raw := parsing.Raw.of(line))}
        letter = READER.dead_letter(parsing.Raw.of(lines_of("support.dead-letters.v1")[0]))
        self.assertEqual(letter.kept_sum, inputs[letter.origin])

    def test_keys_and_saved_bytes_are_the_products(self) -> None:
        decisions = [READER.decision(parsing.Raw.of(line)) for line in lines_of("support.decisions.v1")]
        rows = {row.key: row for row in ledgers.rows(ledgers.whole_lines(FIXTURES / "rows.jsonl"))}
        for decision in decisions:
            row = rows[dedupe_key(decision.identity)]
            self.assertEqual((row.owner, row.decision_sum), (decision.origin, decision.value_sum))

    def test_a_wrong_header_is_a_flaw(self) -> None:
        for topic, read in (("support.decisions.v1", READER.decision), ("support.feedback.v1", READER.terminal)):
            for name in ("ce_specversion", "ce_type", "content-type", "gk-origin", "gk-dedupe-key", "ce_subject",
                         "ce_partitionkey"):
                line = json.loads(json.dumps(lines_of(topic)[0]))
                for header in line["headers"]:
                    if header[0] == name:
                        header[1] = "other"
                self.assertEqual(len(read(parsing.Raw.of(line)).flaws), 1, (topic, name))

    def test_another_key_is_a_flaw(self) -> None:
        line = lines_of("support.decisions.v1")[0] | {"key": "acme|1"}
        self.assertIn("its key is 'acme|1'", READER.decision(parsing.Raw.of(line)).flaws)

    def test_another_shape_is_a_flaw(self) -> None:
        spoils: list[Callable[[dict[str, Any]], Any]] = [
            lambda body: body.pop("risk"),
            lambda body: body.update(extra=1),
            lambda body: body.update(disposition="DANCE"),
            lambda body: body["risk"].update(score="high"),
            lambda body: body.update(decision_version=True),
            lambda body: body["category"].update(alternatives={}),
            lambda body: body["origin"].update(topic="support.others.v1"),
            lambda body: body.update(mode="SHADOW"),
        ]
        for number, spoil in enumerate(spoils):
            self.assertTrue(READER.decision(spoiled("support.decisions.v1", spoil)).flaws, number)

    def test_a_deferral_is_no_end_and_an_end_no_deferral(self) -> None:
        raw = spoiled("support.feedback.v1", lambda body: body.update(terminal=False))
        self.assertTrue(READER.terminal(raw).flaws)

    def test_copies_may_differ_in_what_transports_set_and_in_what_is_empty(self) -> None:
        same = [lambda body: body.update(recorded_at=5, correlation_id="x"), lambda body: body.pop("history")]
        other = [lambda body: body.update(occurred_at=5), lambda body: body["ticket"].update(subject="else")]
        first = parsing.input_of(parsing.Raw.of(lines_of("support.events.v1")[0]))
        assert first.event
        for spoils, is_same in ((same, True), (other, False)):
            for spoil in spoils:
                second = parsing.input_of(spoiled("support.events.v1", spoil))
                assert second.event
                self.assertEqual(second.event.body == first.event.body, is_same)

    def test_what_is_no_event_is_none(self) -> None:
        for value in (None, "", "{", "[]", '{"event_id": 5}', "\x00\x00\x00"):
            line = lines_of("support.events.v1")[0] | {"value": value}
            self.assertIsNone(parsing.input_of(parsing.Raw.of(line)).event, value)


class Calls(unittest.TestCase):
    def test_calls_of_two_processes_and_a_line_cut_short_are_read(self) -> None:
        def start(call: int, at: int) -> dict[str, Any]:
            return {"what": "start", "call": call, "call_id": f"key{at}.1", "received_at": at}

        end = {"finished_at": 9, "client_gone": False, "status": 200, "response_id": "r", "prompt_tokens": 1}
        lines = [start(1, 1), start(2, 2), start(1, 3), start(1, 3) | {"what": "end", "end": end}]
        made = ledgers.calls(lines)
        self.assertEqual([(call.key, call.status) for call in made], [("key1", 0), ("key2", 0), ("key3", 200)])


if __name__ == "__main__":
    unittest.main()
