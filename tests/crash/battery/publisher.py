"""What upstream systems send, from one seed: many tenants and tickets, retries, conflicts, and what cannot be processed."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from checker.parsing import Raw

from .readers import Reader

TENANTS = tuple(f"tenant-{number}" for number in range(8))
# A source that several tenants share, and in which they use the same ids: only the tenant tells the events apart.
SHARED_SOURCE = "/desk/shared"
SUBJECTS = ("Invoice charged twice", "Cannot log in", "Where is my parcel", "The app crashes", "Refund please",
            "How do I change my plan", "Suspicious payment")

# How often, in percent.
RETRY, REWRITTEN_RETRY, CONFLICT, TWIN, STRANGER, GARBAGE, NOTE = 5, 2, 1, 4, 1, 1, 2


class Events:
    """An endless stream of lines for `Publish`; each names the kind it is meant as, which goes into no record."""

    def __init__(self, seed: int, tickets: int = 60) -> None:
        """`tickets`: of each tenant."""
        self._chance, self._tickets = random.Random(seed), tickets
        self._number = 0
        self._recent: deque[dict[str, Any]] = deque(maxlen=200)
        self._waiting: deque[dict[str, Any]] = deque()
        self.kinds: Counter[str] = Counter()

    def next(self) -> str:
        if self._waiting:
            return self._line(self._waiting.popleft(), "twin")
        roll = self._chance.random() * 100
        for share, kind in ((RETRY, "retry"), (REWRITTEN_RETRY, "rewritten"), (CONFLICT, "conflict"), (TWIN, "twin"),
                            (STRANGER, "stranger"), (GARBAGE, "garbage"), (NOTE, "note")):
            roll -= share
            if roll < 0:
                break
        else:
            kind = "event"
        if kind in ("retry", "rewritten", "conflict") and not self._recent:
            kind = "event"
        self.kinds[kind] += 1
        return self._of_kind(kind)

    def _of_kind(self, kind: str) -> str:
        if kind == "garbage":
            junk = self._chance.randbytes(40)
            return json.dumps({"key": "tenant-0|junk", "value_b64": base64.b64encode(junk).decode(), "headers": [],
                               "kind": kind})
        if kind in ("retry", "rewritten", "conflict"):
            event = json.loads(json.dumps(self._chance.choice(self._recent)))
            if kind == "rewritten":
                event["recorded_at"] = int(time.time() * 1_000)
                event["correlation_id"] = f"retry-{self._chance.randrange(1 << 30)}"
            if kind == "conflict":
                event["message"]["body"] += " And another thing."
            return self._line(event, kind)
        event = self._event(self._chance.choice(TENANTS))
        if kind == "twin":
            event["source"] = SHARED_SOURCE
            other = json.loads(json.dumps(event))
            other["tenant_id"] = self._chance.choice([tenant for tenant in TENANTS if tenant != event["tenant_id"]])
            self._waiting.append(other)
        elif kind == "stranger":
            event["tenant_id"] = "nobody"
        elif kind == "note":
            event["message"]["is_public"] = False
            event["message"]["author"]["type"] = event["actor"]["type"] = "AGENT"
            event["event_type"] = "MESSAGE_ADDED"
        else:
            self._recent.append(event)
        return self._line(event, kind)

    def _event(self, tenant: str) -> dict[str, Any]:
        self._number += 1
        number, chance = self._number, self._chance
        at = 1_763_366_402_431 + number
        event: dict[str, Any] = {
            "event_id": f"event-{number}", "source": f"/desk/{tenant}",
            "event_type": chance.choice(("TICKET_CREATED", "MESSAGE_ADDED")), "tenant_id": tenant,
            "ticket_id": f"T-{chance.randrange(self._tickets)}", "occurred_at": at,
            "actor": {"type": "END_USER", "id": f"customer-{number % 97}"},
            "ticket": {"subject": chance.choice(SUBJECTS), "status": "NEW", "channel": "EMAIL"},
            "message": {"message_id": f"m-{number}", "author": {"type": "END_USER"}, "is_public": True, "created_at": at,
                        "body": f"{chance.choice(SUBJECTS)}, this is message {number}. Please look into it."},
        }
        if number % 3 == 0:
            event["idempotency_key"] = f"key-{number}"
        return event

    def _line(self, event: dict[str, Any], kind: str = "event") -> str:
        key = f"{event['tenant_id']}|{event['ticket_id']}"
        headers = [["ce_id", event["event_id"]], ["ce_source", event["source"]], ["ce_specversion", "1.0"]]
        return json.dumps({"key": key, "value": json.dumps(event), "headers": headers, "kind": kind})


def sent_as(line: str) -> str:
    """What the checker is told of a line: which bytes, and what they are meant as."""
    said = json.loads(line)
    raw = Raw.of(said | {"topic": "", "partition": 0, "offset": 0, "at": 0})
    return json.dumps({"sum": raw.sum(), "kind": said["kind"]})


class Publisher:
    """Feeds them to `Publish` at a rate, until told to stop.

        sent.jsonl   sum and kind of every record, before it is sent
    """

    def __init__(self, reader: Reader, events: Events, rate: float, folder: Path) -> None:
        self._reader, self._events, self.rate = reader, events, rate
        self._sent_file = folder / "sent.jsonl"
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = 0.0
        last = time.monotonic()
        with self._sent_file.open("w", buffering=1) as sent:
            while not self._stop.wait(0.02):
                now = time.monotonic()
                due += (now - last) * self.rate
                last = now
                while due >= 1:
                    line = self._events.next()
                    sent.write(sent_as(line) + "\n")
                    self._reader.feed(line)
                    self.sent += 1
                    due -= 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
