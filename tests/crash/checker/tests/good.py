"""Good histories by construction: events with a fate each, and what a product that keeps its promises leaves behind.

Two instances share three partitions and hand them over once in the middle. Time advances one second a step; each step is a
burst of the owner: it publishes, commits, and an instant is sampled.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from checker.history import (
    Acked, Call, Commit, DeadLetter, Decision, Event, Generation, History, Identity, Input, Interruption, Life, Place,
    Row, Sample, Seen, Terminal, Topics,
)
from checker.identity import better_key, dedupe_key

from .encoding import encode

PARTITIONS = 3
TICKETS = 6
# A ticket whose only event a fallback decided, so that a better decision follows.
IMPROVED = TICKETS
# Where the copies wait of what was put off.
DEFERRED = "support.deferred.10s.v1"
INSTANCES = ("gk-1", "gk-2")
START = 1_000_000

FATES = ("decided", "decided", "degraded", "ignored", "rejected", "unreadable", "copy", "conflict", "superseded", "put_off")


@dataclass
class Record:
    fate: str
    ticket: int
    place: Place
    event: Event | None
    superseded_by: str | None = None
    first: "Record | None" = None

    def decision_id(self) -> str:
        return f"decision-{self.place}"


def history(seed: int = 0, count: int = 60) -> History:
    """Every fate occurs in the first records; the rest is chance."""
    chance = random.Random(seed)
    core = [(fate, number % 2) for number, fate in enumerate(FATES + ("superseded", "decided", "decided", "decided"))]
    core.append(("degraded", IMPROVED))
    steps = core + [(chance.choice(FATES), chance.randrange(TICKETS)) for _ in range(count - len(core))]
    return _World(_records(steps), chance).run()


def read_again(history: History, at_offset: int, partition: int) -> None:
    """The partition's owner commits the first record of it, then all that was committed before."""
    position, text = history.position[partition]
    owner = history.generations[-1].owners[history.topics.events, partition]
    for burst, base, end in ((900, 1, 1), (901, position, position)):
        text = encode(base, end, [], burst=burst, writer=owner)
        history.commits.append(Commit(at_offset, history.commits[-1].at, history.topics.events, partition, base, text))
        at_offset += 1
    history.position[partition] = (position, text)


def _records(steps: list[tuple[str, int]]) -> list[Record]:
    records: list[Record] = []
    ends = [0] * PARTITIONS
    for number, (fate, ticket) in enumerate(steps):
        partition = ticket % PARTITIONS
        tenant = f"tenant-{ticket % 2}"
        by_key = number % 4 == 3
        identity = Identity(tenant, f"/desk/{tenant}", by_key, f"key-{number}" if by_key else f"event-{number}")
        event: Event | None = Event(identity, f"event-{number}", f"T-{ticket}", f"body-{number}")
        record = Record(fate, ticket, Place(partition, ends[partition]), event)
        ends[partition] += 1
        if fate == "unreadable":
            record.event = None
        elif fate in ("copy", "conflict"):
            firsts = [one for one in records if one.ticket == ticket and one.fate in DECIDED]
            if firsts:
                first = record.first = firsts[0]
                assert first.event
                body = first.event.body if fate == "copy" else f"other-{number}"
                record.event = Event(first.event.identity, first.event.event_id, first.event.ticket, body)
            else:
                record.fate = "decided"
        records.append(record)
    for number, record in enumerate(records):
        if record.fate == "superseded":
            newer = [one for one in records[number + 1:] if one.ticket == record.ticket and one.fate == "decided"]
            if newer and newer[0].event:
                record.superseded_by = newer[0].event.event_id
            else:
                record.fate = "decided"
    return records


DECIDED = ("decided", "degraded", "put_off")
STATUS = {
    "decided": ("ACCEPTED", "DECIDED"), "degraded": ("DEGRADED", "BREAKER_OPEN"), "ignored": ("IGNORED", "INTERNAL_NOTE"),
    "rejected": ("REJECTED", "TENANT_UNKNOWN"), "unreadable": ("REJECTED", "DECODE_FAILED"),
    "copy": ("DUPLICATE", "SAME_EVENT"), "conflict": ("REJECTED", "IDEMPOTENCY_CONFLICT"),
    "superseded": ("SUPERSEDED", "NEWER_EVENT"), "put_off": ("ACCEPTED", "DECIDED"),
}
MEANT = {"ignored": "note", "rejected": "stranger", "unreadable": "garbage", "copy": "retry", "conflict": "conflict"}
PUT_OFF = ("DEFERRED", "TENANT_RATE_LIMITED")


class _World:
    def __init__(self, records: list[Record], chance: random.Random) -> None:
        self.records, self.chance = records, chance
        self.now, self.burst, self.offsets_at = START, 0, 0
        self.done: set[Place] = set()
        # How many came back in each partition.
        self.deferred = [0] * PARTITIONS
        self.ends = {(topic, partition): 0 for topic in Topics().outputs() for partition in range(PARTITIONS)}
        self.position: dict[int, tuple[int, str]] = {partition: (-1, "") for partition in range(PARTITIONS)}
        self.history = History(
            expected_transactional_ids=set(INSTANCES), transactional_ids=set(INSTANCES), max_in_flight=4,
            settle_bound_ms=60_000, lives=[Life(name, START, None, None) for name in INSTANCES],
        )

    def run(self) -> History:
        self.away: set[Place] = set()
        for record in self.records:
            key = f"{record.event.identity.tenant}|{record.event.ticket}" if record.event else "?"
            self.history.inputs.append(Input(record.place, START, key, f"sum-{record.place}", record.event))
            self.history.acked.append(Acked(record.place, f"sum-{record.place}", START))
        self.history.sent = {f"sum-{record.place}": frozenset({MEANT.get(record.fate, "event")}) for record in self.records}
        self._generation(1, lambda partition: INSTANCES[0])
        lanes = [[one for one in self.records if one.ticket == ticket] for ticket in range(TICKETS + 1)]
        moved = False
        while any(lanes):
            if not moved and len(self.done) > len(self.records) / 2:
                moved = True
                self._generation(2, lambda partition: INSTANCES[partition % 2])
            ready = [lane for lane in lanes if lane]
            taken = self.chance.sample(ready, self.chance.randint(1, len(ready)))
            self._burst([self._next_of(lane) for lane in taken])
        self._improve()
        self.history.position = dict(self.position)
        return self.history

    def _next_of(self, lane: list[Record]) -> Record:
        """What is put off comes twice, and what is behind it waits."""
        first = lane[0]
        if first.fate != "put_off" or first.place in self.away:
            return lane.pop(0)
        self.away.add(first.place)
        return first

    def _improve(self) -> None:
        """A fallback's decision is followed by a better one, unless a newer event of its ticket was decided."""
        self.now += 10_000
        for at, record in enumerate(self.records):
            later = (one for one in self.records[at + 1:] if one.ticket == record.ticket)
            if record.fate != "degraded" or any(one.fate in DECIDED for one in later):
                continue
            event, place, decision_id = record.event, record.place, f"better-{record.place}"
            assert event
            offset = self._append(self.history.topics.decisions, place, "better")
            self.history.decisions.append(Decision(place.partition, offset, self.now, f"better-sum-{place}", place, (),
                                                   event.identity, event.event_id, event.ticket, decision_id, 2,
                                                   f"better-value-{place}", record.decision_id(),
                                                   response_id=f"better-{place}"))
            key = better_key(dedupe_key(event.identity))
            self.history.calls.append(Call(key, self.now - 600, self.now - 500, 200, False, f"better-{place}"))
            self.history.rows.append(Row(key, place, event.identity.tenant, event.event_id, self.now - 450,
                                         self.now + 1, f"better-{place}", "ACCEPTED", "DECIDED", decision_id,
                                         f"better-value-{place}"))

    def _generation(self, number: int, owner_of: object) -> None:
        self.owners = {(topic, partition): owner_of(partition) for partition in range(PARTITIONS)  # type: ignore
                       for topic in (self.history.topics.events, DEFERRED)}
        self.history.generations.append(Generation(self.offsets_at, self.now, number, self.owners))
        self.offsets_at += 1

    def _burst(self, records: list[Record]) -> None:
        self.now += 1_000
        self.burst += 1
        back = [record.place.partition for record in records if record.fate == "put_off" and record.place in self.done]
        for record in records:
            self._publish(record)
        topics = self.history.topics
        for partition in sorted(set(back)):
            self.deferred[partition] += back.count(partition)
            base = self.deferred[partition]
            text = encode(base, base, [], burst=self.burst, writer=self.owners[DEFERRED, partition])
            self.history.commits.append(Commit(self.offsets_at, self.now, DEFERRED, partition, base, text))
            self.offsets_at += 1
        for partition in sorted({record.place.partition for record in records}):
            offsets = [one.place.offset for one in self.records if one.place.partition == partition]
            unfinished = [offset for offset in offsets if Place(partition, offset) not in self.done]
            base, end = min(unfinished, default=len(offsets)), len(offsets)
            text = encode(base, end, unfinished, burst=self.burst, writer=self.owners[topics.events, partition])
            self.position[partition] = (base, text)
            commit = Commit(self.offsets_at, self.now, topics.events, partition, base, text)
            self.history.commits.append(commit)
            self.offsets_at += 1
            # The marker that ends a transaction takes an offset of its own.
            for topic in topics.outputs():
                self.ends[topic, partition] += 1
        ends = dict(self.ends)
        self.history.samples.append(Sample(self.now + 1, ends, dict(self.position), ends))

    def _publish(self, record: Record) -> None:
        history, (status, code) = self.history, STATUS[record.fate]
        event, place = record.event, record.place
        goes_aside = record.fate == "put_off" and place not in self.done
        self.done.add(place)
        if goes_aside:
            self._say(record, PUT_OFF, None)
            return
        decision_id = None
        if record.fate in DECIDED:
            assert event
            decision_id = record.decision_id()
            offset = self._append(history.topics.decisions, place, "decision")
            is_fallback = status == "DEGRADED"
            history.decisions.append(Decision(place.partition, offset, self.now, f"decision-sum-{place}", place, (),
                                              event.identity, event.event_id, event.ticket, decision_id, 1,
                                              f"value-{place}", degraded=code if is_fallback else None,
                                              response_id=None if is_fallback else f"saved-{place}"))
            self._pay(record)
        named = decision_id or (record.first.decision_id() if record.fate == "copy" and record.first else None)
        self._say(record, (status, code), named)
        if status == "REJECTED":
            offset = self._append(history.topics.dead_letters, place, "letter")
            history.dead_letters.append(DeadLetter(
                place.partition, offset, self.now, f"letter-sum-{place}", place, (), code,
                event.event_id if event else None, event.identity.tenant if event else None, f"sum-{place}"))

    def _say(self, record: Record, words: tuple[str, str], decision_id: str | None) -> None:
        event, place = record.event, record.place
        status, code = words
        what = "deferral" if words == PUT_OFF else "feedback"
        offset = self._append(self.history.topics.feedback, place, what)
        self.history.feedback.append(Terminal(
            place.partition, offset, self.now, f"{what}-sum-{place}", place, (), words != PUT_OFF, status, code,
            event.identity.tenant if event else None, event.identity.source if event else None,
            event.event_id if event else None, event.ticket if event else None, decision_id, record.superseded_by, "gk-1"))

    def _append(self, topic: str, place: Place, what: str) -> int:
        offset = self.ends[topic, place.partition]
        self.ends[topic, place.partition] += 1
        self.history.followed.append(Seen(topic, place.partition, offset, f"{what}-sum-{place}", self.now + 5))
        return offset

    def _pay(self, record: Record) -> None:
        """Every fifth answer was lost in a kill, and asked for again."""
        assert record.event
        key = dedupe_key(record.event.identity)
        caller = self.owners[self.history.topics.events, record.place.partition]
        if record.place.offset % 5 == 4:
            self.history.calls.append(Call(key, self.now - 900, self.now - 800, 200, False, "lost"))
            self.history.interruptions.append(Interruption("kill", self.now - 700, self.now - 690, caller))
        status, code = STATUS[record.fate]
        answer = f"saved-{record.place}" if status == "ACCEPTED" else None
        self.history.calls.append(Call(key, self.now - 600, self.now - 500, 200 if answer else 500, False, answer))
        self.history.rows.append(Row(key, record.place, record.event.identity.tenant, record.event.event_id,
                                     self.now - 450, self.now + 1, answer, status, code,
                                     record.decision_id(), f"value-{record.place}"))
