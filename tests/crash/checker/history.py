"""What was seen of a run, as plain values. Times are milliseconds since 1970, UTC, all of one machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """Partition and offset of an input record."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


class Identity(NamedTuple):
    """Which event: compared whole, unlike the product's hash of it, whose mistakes are to be found here."""

    tenant: str
    source: str
    by_key: bool
    id: str


@dataclass(slots=True)
class Event:
    """What an input says, if it can be read."""

    identity: Identity
    event_id: str
    ticket: str
    # SHA-256 over everything that makes two copies the same event.
    body: str


@dataclass(slots=True)
class Input:
    """A record of the events topic."""

    place: Place
    at: int
    key: str | None
    sum: str
    event: Event | None


@dataclass(slots=True)
class Output:
    """What every record of ours has."""

    partition: int
    offset: int
    # Its timestamp.
    at: int
    sum: str
    origin: Place
    # What is wrong with it by itself: shape, headers. Judged as I6.
    flaws: tuple[str, ...]


@dataclass(slots=True)
class Decision(Output):
    """A live decision."""

    identity: Identity
    event_id: str
    ticket: str
    decision_id: str
    version: int
    # SHA-256 of the value alone.
    value_sum: str
    supersedes: str | None = None
    # Why it is not the first model's, if it is not.
    degraded: str | None = None
    # Whether anything of it is to be done without being asked.
    acts: bool = False
    # The provider's answer that it says it was made of.
    response_id: str | None = None


@dataclass(slots=True)
class Terminal(Output):
    """A feedback record; `terminal` is false for deferrals."""

    terminal: bool
    status: str
    code: str
    tenant: str | None
    source: str | None
    event_id: str | None
    ticket: str | None
    decision_id: str | None
    superseded_by: str | None
    # The instance that published it.
    writer: str


@dataclass(slots=True)
class DeadLetter(Output):
    """A rejected record, kept."""

    code: str
    event_id: str | None
    tenant: str | None
    # SHA-256 of the kept key and value, in the way of `Input.sum` without headers.
    kept_sum: str | None


@dataclass(slots=True)
class Commit:
    """A committed position, as the offsets topic has it, in its order."""

    # Offset in the offsets topic; all commits and generations of a group stand in one partition of it.
    at_offset: int
    at: int
    topic: str
    partition: int
    offset: int
    metadata: str


class Forgotten(NamedTuple):
    """A committed position that the cluster has dropped, in the order of the offsets topic."""

    at_offset: int
    topic: str
    partition: int


@dataclass(slots=True)
class Generation:
    """Who owned what from here on: a generation of the group, in the order of the offsets topic."""

    at_offset: int
    at: int
    number: int
    # Instance by (topic, partition).
    owners: dict[tuple[str, int], str]


@dataclass(slots=True)
class Sample:
    """One instant, read in this order: visible ends of the outputs, the committed position, written ends of the outputs."""

    at: int
    # (topic, partition) -> first offset that a read_committed reader cannot see yet.
    visible: dict[tuple[str, int], int]
    # Partition of the events topic -> (offset, metadata), -1 for none; left out where it was not stable.
    committed: dict[int, tuple[int, str]]
    # (topic, partition) -> first offset that nobody has written yet.
    written: dict[tuple[str, int], int]


class Seen(NamedTuple):
    """A record as the reader saw it that followed along."""

    topic: str
    partition: int
    offset: int
    sum: str
    at: int


@dataclass(slots=True)
class Call:
    """One call as the provider remembers it."""

    key: str
    started_at: int
    ended_at: int | None = None
    status: int = 0
    client_gone: bool = False
    response_id: str | None = None
    tokens: int = 0


@dataclass(slots=True)
class Row:
    """A row of the ledger: what was saved."""

    key: str
    owner: Place
    tenant: str
    event_id: str
    answered_at: int | None
    published_at: int | None
    response_id: str | None
    status: str | None
    code: str | None
    decision_id: str | None
    # SHA-256 of the saved bytes.
    decision_sum: str | None


class Acked(NamedTuple):
    """What the log told the producer."""

    place: Place
    sum: str
    at: int


@dataclass(slots=True)
class Interruption:
    """A fault, as far as it explains something: a call made again, a silence."""

    kind: str
    started_at: int
    ended_at: int
    instance: str | None = None


@dataclass(slots=True)
class Life:
    """One process of the product."""

    instance: str
    started_at: int
    ended_at: int | None
    # None: it was ended by the battery. Otherwise the exit code it ended itself with.
    ended_itself: int | None


@dataclass(slots=True)
class Topics:
    """The names of the run's topics."""

    events: str = "support.events.v1"
    decisions: str = "support.decisions.v1"
    feedback: str = "support.feedback.v1"
    dead_letters: str = "support.dead-letters.v1"

    def outputs(self) -> tuple[str, str, str]:
        return (self.decisions, self.feedback, self.dead_letters)


@dataclass(slots=True)
class History:
    """Everything there is to see. What a run did not record is None, and its rules say so instead of passing."""

    topics: Topics = field(default_factory=Topics)
    acked: list[Acked] = field(default_factory=list)
    # Sum of a record -> what its publisher meant it as; a retry has its event's sum, so there may be several.
    sent: dict[str, frozenset[str]] | None = None
    inputs: list[Input] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    feedback: list[Terminal] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    # Followed along, in the order of arrival.
    followed: list[Seen] = field(default_factory=list)
    # (topic, partition, offset) of outputs that a read_uncommitted reader sees and a read_committed one does not.
    aborted: set[tuple[str, int, int]] = field(default_factory=set)
    commits: list[Commit] = field(default_factory=list)
    forgotten: list[Forgotten] = field(default_factory=list)
    generations: list[Generation] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    # The group's position when all was over: partition -> (offset, metadata).
    position: dict[int, tuple[int, str]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    interruptions: list[Interruption] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    # Transactional ids the brokers know, and those with a transaction that is still open.
    transactional_ids: set[str] = field(default_factory=set)
    open_transactions: set[str] = field(default_factory=set)
    # Those that the instances of the run were told to use.
    expected_transactional_ids: set[str] = field(default_factory=set)
    # Instance by the name that its commits carry, where that is another one.
    instance_of: dict[str, str] = field(default_factory=dict)
    # Highest number of calls one instance makes at a time.
    max_in_flight: int = 0
    # Milliseconds from the last fault's healing until everything had its terminal; None: it never had.
    settled_after_ms: int | None = 0
    settle_bound_ms: int = 0
