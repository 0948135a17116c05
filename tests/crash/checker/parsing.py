"""From a record of the log to what it says."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, NamedTuple

from .history import DeadLetter, Decision, Event, Identity, Input, Place, Terminal
from .identity import dedupe_key
from .schema import check_of

# Transports set these anew on a retry, so two copies of an event may differ in them.
NOT_OF_THE_BODY = frozenset({"recorded_at", "correlation_id", "causation_id"})


class Raw(NamedTuple):
    """A record as it stands in the log."""

    topic: str
    partition: int
    offset: int
    at: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, str | None]

    def sum(self) -> str:
        return key_value_sum(self.key, self.value)

    def place(self) -> Place:
        return Place(self.partition, self.offset)

    @staticmethod
    def of(line: dict[str, Any]) -> Raw:
        """From a line of a dump."""
        headers = {name: value for name, value in reversed(line["headers"])}
        return Raw(line["topic"], line["partition"], line["offset"], line["at"], _bytes(line, "key"),
                   _bytes(line, "value"), headers)


def _bytes(line: dict[str, Any], name: str) -> bytes | None:
    if (text := line.get(name)) is not None:
        return text.encode()
    encoded = line.get(f"{name}_b64")
    return None if encoded is None else base64.b64decode(encoded)


def key_value_sum(key: bytes | None, value: bytes | None) -> str:
    """SHA-256 over both, each preceded by its length; nothing is told from empty."""
    hasher = hashlib.sha256()
    for part in (key, value):
        hasher.update((-1 if part is None else len(part)).to_bytes(8, "big", signed=True))
        hasher.update(part or b"")
    return hasher.hexdigest()


def _identity(body: dict[str, Any], source: str) -> Identity:
    by_key = body.get("idempotency_key") is not None
    return Identity(body["tenant_id"], body[source], by_key, body["idempotency_key"] if by_key else body["event_id"])


def input_of(raw: Raw) -> Input:
    """An input; what cannot be read as an event is none."""
    key = raw.key.decode(errors="replace") if raw.key is not None else None
    return Input(raw.place(), raw.at, key, raw.sum(), _event(raw.value))


def _event(value: bytes | None) -> Event | None:
    try:
        body = json.loads(value or b"")
    except (ValueError, UnicodeDecodeError):
        return None
    names = ("event_id", "source", "tenant_id", "ticket_id")
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in names):
        return None
    said = {name: part for name, part in body.items() if name not in NOT_OF_THE_BODY}
    canonical = json.dumps(_without_defaults(said), sort_keys=True).encode()
    return Event(_identity(body, "source"), body["event_id"], body["ticket_id"], hashlib.sha256(canonical).hexdigest())


def _without_defaults(value: Any) -> Any:
    """A retry may spell out what is empty."""
    if isinstance(value, dict):
        parts = {name: _without_defaults(part) for name, part in value.items()}
        return {name: part for name, part in parts.items() if part not in (None, [], {})}
    return [_without_defaults(part) for part in value] if isinstance(value, list) else value


class Reader:
    """Reads outputs, and notes in each what is wrong with it by itself."""

    def __init__(self, events_topic: str) -> None:
        self._events_topic = events_topic
        self._shape = {name: check_of(name) for name in ("TriageDecision", "EventFeedback", "DeadLetter")}

    def decision(self, raw: Raw) -> Decision:
        body = json.loads(raw.value or b"{}")
        identity, origin = _identity(body, "event_source"), _origin(body["origin"])
        flaws = self._flaws(raw, body, "TriageDecision", body["decision_id"], origin, body["origin"]["topic"], identity,
                            body["ticket_id"])
        if body["mode"] != "LIVE":
            flaws += (f"its mode is {body['mode']}",)
        return Decision(raw.partition, raw.offset, raw.at, raw.sum(), origin, flaws, identity, body["event_id"],
                        body["ticket_id"], body["decision_id"], body["decision_version"],
                        hashlib.sha256(raw.value or b"").hexdigest(), body["supersedes_decision_id"],
                        body["degraded_reason"], _acts(body), (body["model"] or {}).get("response_id"))

    def terminal(self, raw: Raw) -> Terminal:
        body = json.loads(raw.value or b"{}")
        identity = _identity(body, "event_source") if body["event_id"] is not None else None
        origin = _origin(body["origin"])
        flaws = self._flaws(raw, body, "EventFeedback", None, origin, body["origin"]["topic"], identity,
                            body["ticket_id"])
        if body["terminal"] == (body["status"] == "DEFERRED"):
            flaws += (f"{body['status']} and terminal: {body['terminal']}",)
        return Terminal(raw.partition, raw.offset, raw.at, raw.sum(), origin, flaws, body["terminal"], body["status"],
                        body["reason_code"], body["tenant_id"], body["event_source"], body["event_id"],
                        body["ticket_id"], body["decision_id"], body["superseded_by_event_id"],
                        body["processor"].rsplit("/", 1)[0])

    def dead_letter(self, raw: Raw) -> DeadLetter:
        body = json.loads(raw.value or b"{}")
        origin = Place(body["origin_partition"], body["origin_offset"])
        flaws = self._flaws(raw, body, "DeadLetter", body["dead_letter_id"], origin, body["origin_topic"], None, None)
        kept = None
        if body["value_sha256"] is None:
            key, value = (None if body[name] is None else base64.b64decode(body[name]) for name in ("key", "value"))
            kept = key_value_sum(key, value)
        return DeadLetter(raw.partition, raw.offset, raw.at, raw.sum(), origin, flaws, body["reason_code"],
                          body["event_id"], body["tenant_id"], kept)

    def _flaws(self, raw: Raw, body: dict[str, Any], record: str, id: str | None, origin: Place, topic: str,
               identity: Identity | None, ticket: str | None) -> tuple[str, ...]:
        wrong = self._shape[record](record, body)
        flaws = [wrong] if wrong else []
        key = raw.key.decode(errors="replace") if raw.key is not None else None
        expected = {
            "ce_specversion": "1.0", "ce_type": f"io.aigatekeeper.v1.{record}", "content-type": "application/json",
            "gk-origin": f"{self._events_topic}-{origin.partition}-{origin.offset}",
        }
        if id is not None:
            expected["ce_id"] = id
        if key is not None and len(key) <= 512:
            expected["ce_partitionkey"] = key
        if identity is not None:
            expected |= {"ce_subject": str(ticket), "gk-dedupe-key": dedupe_key(identity)}
            if key != f"{identity.tenant}|{ticket}":
                flaws.append(f"its key is {key!r}")
        flaws += [f"its header {name} is {raw.headers.get(name)!r}, not {value!r}"
                  for name, value in expected.items() if raw.headers.get(name) != value]
        if topic != self._events_topic:
            flaws.append(f"it stems from {topic}")
        return tuple(flaws)


def _acts(value: Any) -> bool:
    """Whether any field in it is to be applied."""
    if isinstance(value, dict):
        return value.get("automation") == "APPLY" or any(_acts(part) for part in value.values())
    return isinstance(value, list) and any(_acts(part) for part in value)


def _origin(origin: dict[str, Any]) -> Place:
    return Place(origin["partition"], origin["offset"])
