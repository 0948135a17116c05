"""Scenarios: one thing each that befalls an installation, at the moment when a broken rule would show.

The battery draws faults by chance; here the fault that one rule stands against comes at once. The unbroken build passes through
every one of them unharmed, and that is run too (`sabotage.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .cluster import BROKERS
from .rebalances import SESSION_TIMEOUT_MS
from .world import ENDS_WITHIN, GROUP, World

# Work that is done before and after, so that whatever broke has been published.
WORKS_FOR = 5.0
# A request that is held or swallowed until the commit's own time-out (8 s), and some.
HELD_FOR = 40.0
SWALLOWED_FOR = 12.0
# How long a process may take to reach a label, or the cluster to forget.
PATIENCE = 150.0


@dataclass(frozen=True, eq=False)
class Scenario:
    """`act` answers whether it really happened; otherwise nothing was proved."""

    name: str
    act: Callable[[World], bool]
    instances: int = 1
    # What it needs of the world (`Options`).
    conditions: dict[str, Any] = field(default_factory=dict)


def nothing(world: World) -> bool:
    """Work, and nothing else: what is broken always shows by itself."""
    time.sleep(4 * WORKS_FOR)
    return True


def held_end(world: World) -> bool:
    """An EndTxn request arrives only after its producer's next transaction has begun: the commit times out, and is aborted."""
    with world.interruption("delayed EndTxn"):
        before = world.network.order("hold", HELD_FOR)
        happened = world.network.wait(lambda it: it["happening"] in ("delivered", "let go"), before, HELD_FOR + 5)
    time.sleep(WORKS_FOR)
    return happened is not None and happened["happening"] == "delivered"


def asked_twice(world: World) -> bool:
    """The connection breaks below a commit, which is asked for again and succeeds; the first request arrives in the middle
    of the next transaction, if that is its producer's."""
    with world.interruption("delayed EndTxn"):
        before = world.network.order("tear", HELD_FOR)
        happened = world.network.wait(lambda it: it["happening"] in ("delivered", "let go"), before, HELD_FOR + 5)
    time.sleep(WORKS_FOR)
    return happened is not None


def lost_answer(world: World) -> bool:
    """A commit succeeds, and its answer never comes."""
    with world.interruption("network"):
        before = world.network.order("swallow", SWALLOWED_FOR)
        happened = world.network.wait(lambda it: it["happening"] == "swallowed", before, SWALLOWED_FOR)
        time.sleep(SWALLOWED_FOR)
    time.sleep(WORKS_FOR)
    return happened is not None


def slow_network(world: World) -> bool:
    """Every piece on its way to or from a broker is late: records are acknowledged, but not at once."""
    with world.interruption("network"):
        for name in BROKERS:
            world.network.order("delay", 2 * WORKS_FOR, name=name, ms=200)
        time.sleep(2 * WORKS_FOR)
    time.sleep(WORKS_FOR)
    return True


def zombie(world: World) -> bool:
    """A process freezes with its offsets on their way, and wakes up when its partitions have been given away: whatever it
    asked itself before, only the group can refuse it now."""
    sleeper = world.instances["gk-1"]
    asleep = SESSION_TIMEOUT_MS / 1_000 + WORKS_FOR
    with world.interruption("freeze", sleeper.name):
        before = world.network.order("park", asleep, id=sleeper.name)
        happened = world.network.wait(lambda it: it["happening"] == "parked", before, HELD_FOR)
        if happened is None:
            return False
        sleeper.freeze()
        time.sleep(asleep)
        sleeper.thaw()
    time.sleep(2 * WORKS_FOR)
    return True


def joins_and_leaves(world: World) -> bool:
    """Another instance comes and goes, with calls in flight."""
    other = world.instances["gk-3"]
    with world.interruption("join", other.name):
        other.start()
        time.sleep(2 * WORKS_FOR)
    with world.interruption("leave", other.name):
        left = other.leave(ENDS_WITHIN)
    time.sleep(WORKS_FOR)
    return left


def refused_records(world: World) -> bool:
    """For a while the brokers refuse every record of one output topic; the mark that ends a transaction (78 bytes) passes."""
    topic = world.topics.feedback
    with world.interruption("broker"):
        world.configure_topic(topic, "max.message.bytes", "150")
        time.sleep(WORKS_FOR)
        world.configure_topic(topic, "max.message.bytes")
    time.sleep(WORKS_FOR)
    return True


def forgotten_offsets(world: World) -> bool:
    """Nobody is there for so long that the cluster forgets the group's positions, while more records come in. Partitions
    that the ledger knows stand still then, until an operator says from where."""
    with world.interruption("leave"):
        for name in world.running():
            world.instances[name].leave(ENDS_WITHIN)
        deadline = time.monotonic() + PATIENCE
        while any(offset >= 0 for offset in world.committed().values()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        gk1 = world.instances["gk-1"]
        gk1.start()
        time.sleep(2 * WORKS_FOR)
        standing = [partition for partition, offset in world.committed().items() if offset < 0]
        if standing:
            gk1.leave(ENDS_WITHIN)
            world.prepare("topics", *(f"--position=events:{partition}=after-ledger" for partition in standing))
            gk1.start()
    time.sleep(2 * WORKS_FOR)
    return True


NOTHING = Scenario("nothing befalls it", nothing)
HELD_END = Scenario("a commit times out, its request arrives later", held_end)
ASKED_TWICE = Scenario("a commit is asked for twice, the first arrives later", asked_twice)
LOST_ANSWER = Scenario("a commit succeeds, its answer is lost", lost_answer)
SLOW_NETWORK = Scenario("acknowledgements come late", slow_network)
# Its transaction must outlive its membership: usually the brokers end it first, which is one more safety.
ZOMBIE = Scenario("frozen in a burst, wakes up later", zombie, 2, {
    "kafka": {"transaction_timeout": "60s", "request_timeout": "40s"}})
JOINS_AND_LEAVES = Scenario("another instance comes and goes", joins_and_leaves, 2)
REFUSED_RECORDS = Scenario("brokers refuse a topic's records", refused_records)
# The shortest that a broker knows is a minute, counted from when the group is empty.
FORGOTTEN_OFFSETS = Scenario("the group's offsets expire", forgotten_offsets, 1, {
    "broker": {"offsets.retention.minutes": 1, "offsets.retention.check.interval.ms": 1_000}})
# Metadata does not fit where many calls of one partition end in any order, and there is little room.
CRAMPED = Scenario("finished sets do not fit", nothing, 1, {
    "partitions": 1, "max_in_flight": 1_536, "tickets": 300, "rate": 200.0, "p50_ms": 3_000, "p99_ms": 9_500,
    "metadata_max_chars": 256, "settle_bound_ms": 240_000})
