"""The same seed sends the same, and everything that can be sent occurs."""

from __future__ import annotations

import json
import tempfile
import time
import unittest
from pathlib import Path

from battery.publisher import Events, Publisher, sent_as
from checker.parsing import Raw, input_of
from checker.rules.contract import ENDS


class Fed:
    """In place of the process that sends."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def feed(self, line: str) -> None:
        self.lines.append(line)


class Sending(unittest.TestCase):
    def test_the_same_seed_sends_the_same_events(self) -> None:
        first, second = Events(5), Events(5)
        ids = lambda events: [json.loads(json.loads(events.next()).get("value", "{}")).get("event_id") for _ in range(500)]
        self.assertEqual(ids(first), ids(second))

    def test_every_kind_occurs(self) -> None:
        events = Events(1)
        for _ in range(2_000):
            events.next()
        self.assertEqual(set(events.kinds), {"event", "retry", "rewritten", "conflict", "twin", "stranger", "garbage", "note"})

    def test_each_is_written_down_as_what_it_is_meant_as(self) -> None:
        events = Events(1)
        written = set()
        for _ in range(2_000):
            line = events.next()
            record = input_of(Raw.of(json.loads(line) | {"topic": "", "partition": 0, "offset": 0, "at": 0}))
            said = json.loads(sent_as(line))
            written.add(said["kind"])
            self.assertEqual(said["sum"], record.sum)
            self.assertEqual(said["kind"] == "garbage", record.event is None)
        self.assertEqual(written, set(events.kinds))
        self.assertEqual(written, set(ENDS))

    def test_what_was_sent_is_written_down_line_by_line(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fed = Fed()
            publisher = Publisher(fed, Events(3), 2_000.0, Path(folder))  # type: ignore[arg-type]
            time.sleep(0.2)
            publisher.stop()
            self.assertGreater(len(fed.lines), 20)
            written = (Path(folder) / "sent.jsonl").read_text().splitlines()
        self.assertEqual(written, [sent_as(line) for line in fed.lines])

    def test_twins_differ_in_nothing_but_their_tenant(self) -> None:
        events = Events(2)
        sent = [json.loads(line["value"]) for _ in range(2_000) if "value" in (line := json.loads(events.next()))]
        shared: dict[str, list[dict[str, object]]] = {}
        for event in sent:
            if event["source"] == "/desk/shared":
                shared.setdefault(event["event_id"], []).append(event)
        pairs = [pair for pair in shared.values() if len(pair) == 2]
        self.assertGreater(len(pairs), 20)
        for one, other in pairs:
            self.assertNotEqual(one["tenant_id"], other["tenant_id"])
            self.assertEqual(one | {"tenant_id": ""}, other | {"tenant_id": ""})


if __name__ == "__main__":
    unittest.main()
