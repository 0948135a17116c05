"""What can befall an installation: one class a fault. `fire` does it, heals it, and answers whether it really happened.

A fault takes what it needs before it begins (`needs`), so that two of them never fight over one process; faults of different
things overlap as they like.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .cluster import BROKERS, POSTGRES
from .instances import SIGKILLED, Instance
from .world import ENDS_WITHIN, SUPERVISED_EVERY, World

REPOSITORY = Path(__file__).resolve().parents[3]
# The first two instances are always there or about to come back; the others come and go with storms.
ALWAYS = 2
COMES_BACK_WITHIN = 30.0
# How long a process may take to pass a label, whatever else is away meanwhile.
LABEL_WITHIN = 90.0
# A held EndTxn waits at most so long for the next transaction of its producer: beyond the commit's own time-out.
HOLD_FOR = 25.0


@dataclass
class Fault:
    """A planned one."""

    kind: str
    needs: tuple[str, ...]
    act: Callable[[World], bool]

    def fire(self, world: World) -> bool:
        return self.act(world)


Maker = Callable[[World, random.Random], Fault | None]


def kill(world: World, chance: random.Random) -> Fault | None:
    """kill -9; the process comes back at once, after a while, or after its session has ended."""
    name = _one_of(world, chance)
    away = chance.choice((0.0, 0.0, chance.uniform(0, 3), chance.uniform(3, 8), 16.0))

    def act(world: World) -> bool:
        instance = world.instances[name]
        if not _is_there(world, name):
            return False
        with world.interruption("kill", name):
            instance.kill()
            time.sleep(away)
            instance.start()
        return True

    return Fault("kill", (name,), act)


# Passed only when something else happens; `drain_begun` when it is asked to end.
RARE_LABELS = {"drain_begun", "migration_half_done", "in_revocation", "producer_replacing"}


def labels() -> list[str]:
    """Every label of the product, in the order of its source."""
    text = (REPOSITORY / "src/failpoints.rs").read_text()
    return re.findall(r'^    "(\w+)",$', text, re.MULTILINE)


def kill_at_label(world: World, chance: random.Random) -> Fault | None:
    """It is asked to end, comes back, and dies where it is told to."""
    name = _one_of(world, chance)
    label = chance.choice([label for label in labels() if label not in RARE_LABELS] + ["drain_begun"])
    often = label in ("polled", "decoded", "admitted", "request_sent", "reply_received", "answer_checked")
    nth = chance.randint(1, 6) if often else 1

    def act(world: World) -> bool:
        instance = world.instances[name]
        if not _is_there(world, name):
            return False
        with world.interruption("kill", name):
            instance.leave(ENDS_WITHIN)
            died = _dies_at(instance, f"{label}:{nth}:kill")
            instance.start()
        return died

    return Fault(f"label {label}", (name,), act)


def _dies_at(instance: Instance, failpoint: str) -> bool:
    """A start that gives up because what it needs is away just then is repeated, under the same failpoint."""
    deadline = time.monotonic() + LABEL_WITHIN
    instance.is_supervised = False
    attempt, code = 0, None
    while code != SIGKILLED and (left := deadline - time.monotonic()) > 0:
        if attempt:
            time.sleep(SUPERVISED_EVERY)
        attempt += 1
        instance.start(failpoint=failpoint)
        if failpoint.startswith("drain_begun"):
            # One that was asked before it listened has ended without a drain.
            time.sleep(2 * attempt)
            instance.terminate()
        code = instance.wait(left)
    if code is None:
        instance.kill()
    instance.is_supervised = True
    return code == SIGKILLED


def freeze(world: World, chance: random.Random) -> Fault | None:
    """SIGSTOP and SIGCONT: a short silence, or a zombie that wakes up after its partitions were given away."""
    name = _one_of(world, chance)
    seconds = chance.choice((chance.uniform(1, 5), chance.uniform(11, 20)))

    def act(world: World) -> bool:
        instance = world.instances[name]
        if not _is_there(world, name):
            return False
        with world.interruption("freeze", name):
            instance.freeze()
            time.sleep(seconds)
            instance.thaw()
        return instance.is_running()

    return Fault("zombie" if seconds > 10 else "freeze", (name,), act)


def restart(world: World, chance: random.Random) -> Fault | None:
    """SIGTERM, and back again."""
    name = _one_of(world, chance)
    away = chance.choice((0.0, chance.uniform(0, 5), 12.0))

    def act(world: World) -> bool:
        instance = world.instances[name]
        if not _is_there(world, name):
            return False
        with world.interruption("leave", name):
            ended = instance.leave(ENDS_WITHIN)
            time.sleep(away)
            instance.start()
        return ended

    return Fault("leave and join", (name,), act)


def storm(world: World, chance: random.Random) -> Fault | None:
    """Further instances come and go, quickly: one rebalance into the other."""
    names = sorted(world.instances)[ALWAYS:]
    steps = [(chance.choice(names), chance.uniform(0.3, 4)) for _ in range(chance.randint(2, 6))]

    def act(world: World) -> bool:
        with world.interruption("storm"):
            changes = 0
            for name, pause in steps:
                instance = world.instances[name]
                if not instance.is_running():
                    instance.start()
                    changes += 1
                elif not instance.expected_end:
                    instance.terminate()
                    changes += 1
                time.sleep(pause)
            for name in names:
                world.instances[name].leave(ENDS_WITHIN)
        return changes > 0

    return Fault("storm", tuple(names), act)


def broker(world: World, chance: random.Random) -> Fault | None:
    """One of three brokers dies, is stopped, or freezes; min ISR holds."""
    name = chance.choice(BROKERS)
    how = chance.choice(("kill", "stop", "freeze"))
    seconds = chance.uniform(1, 8)

    def act(world: World) -> bool:
        with world.interruption("broker"):
            if how == "freeze":
                world.cluster.freeze(name)
                time.sleep(seconds)
                world.cluster.thaw(name)
            else:
                (world.cluster.kill if how == "kill" else world.cluster.terminate)(name)
                time.sleep(seconds)
                world.cluster.restart(name)
            # The replicas catch up before the next one is taken.
            time.sleep(5)
        return True

    return Fault(f"broker {how}", ("brokers",), act)


def silence(world: World, chance: random.Random) -> Fault | None:
    """All brokers freeze at once, for less than a session or for longer, and none of them is lost."""
    seconds = chance.choice((chance.uniform(2, 8), chance.uniform(11, 18)))

    def act(world: World) -> bool:
        with world.interruption("broker"):
            for name in BROKERS:
                world.cluster.freeze(name)
            time.sleep(seconds)
            for name in BROKERS:
                world.cluster.thaw(name)
            # They find each other again before the next one is taken.
            time.sleep(5)
        return True

    return Fault("cluster freeze", ("brokers",), act)


def network(world: World, chance: random.Random) -> Fault | None:
    """Connections of the product to one broker are cut, one direction is silent, or everything is slow."""
    name = chance.choice(BROKERS)
    do = chance.choice(("cut", "mute", "delay"))
    seconds = chance.uniform(0.1, 1) if do == "cut" else chance.uniform(1, 12)
    more: dict[str, object] = {"mute": {"way": chance.choice(("in", "out"))}, "delay": {"ms": chance.choice((20, 200))}}.get(
        do, {})

    def act(world: World) -> bool:
        if not world.network.is_used(name, COMES_BACK_WITHIN):
            return False
        with world.interruption("network"):
            before = world.network.order(do, seconds, name=name, **more)
            happened = world.network.wait(lambda it: it["happening"] == do, before, 5)
            time.sleep(seconds)
        return happened is not None and happened["connections"] > 0

    return Fault(do if do != "mute" else "one-way cut", ("network " + name, "brokers"), act)


def delayed_end(world: World, chance: random.Random) -> Fault | None:
    """An EndTxn request is held until its producer's next transaction has begun, and is delivered then."""

    def act(world: World) -> bool:
        with world.interruption("delayed EndTxn"):
            # Its producer may be killed before it begins again: then another one is held.
            for _ in range(3):
                before = world.network.order("hold", HOLD_FOR)
                ends = ("delivered", "let go")
                happened = world.network.wait(lambda it: it["happening"] in ends, before, HOLD_FOR + 5)
                if happened is not None and happened["happening"] == "delivered":
                    return True
        return False

    return Fault("delayed EndTxn", ("end",), act)


def database(world: World, chance: random.Random) -> Fault | None:
    """PostgreSQL dies with everything it had not written, or freezes."""
    if world.options.ledger != "postgres":
        return None
    how = chance.choice(("kill", "kill", "freeze"))
    seconds = chance.uniform(0.2, 6)

    def act(world: World) -> bool:
        with world.interruption("database"):
            if how == "kill":
                world.cluster.kill(POSTGRES)
                time.sleep(seconds)
                world.cluster.restart(POSTGRES)
            else:
                world.cluster.freeze(POSTGRES)
                time.sleep(seconds)
                world.cluster.thaw(POSTGRES)
        return True

    return Fault(f"database {how}", ("database",), act)


def _one_of(world: World, chance: random.Random) -> str:
    return chance.choice(sorted(world.instances)[:ALWAYS])


def _is_there(world: World, name: str) -> bool:
    """A start that gave up is repeated by its supervisor."""
    deadline = time.monotonic() + COMES_BACK_WITHIN
    while not world.instances[name].is_running():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


# How often each is drawn, in parts.
WEIGHTS: tuple[tuple[int, Maker], ...] = (
    (6, kill), (5, kill_at_label), (5, freeze), (3, restart), (2, storm), (2, broker), (4, network), (3, delayed_end),
    (2, database), (1, silence),
)
