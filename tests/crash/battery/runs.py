"""Whole runs: a world, what befalls it, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from checker.history import History
from checker.reading import read

from . import fairness, limits, outage, verdict
from .faults import WEIGHTS, Maker
from .publisher import Events
from .rebalances import Rebalances, measured
from .scenarios import Scenario
from .schedule import Schedule
from .world import Options, World

Happened = TypeVar("Happened")


def battery(options: Options, minutes: float, weights: tuple[tuple[int, Maker], ...] = WEIGHTS) -> dict[str, Any]:
    """Faults of every kind, several at a time, from one seed."""
    world = World(options)
    try:
        world.begin(2)
        world.warm_up()
        schedule = Schedule(world, options.seed, weights)
        schedule.run(minutes * 60)
        if schedule.broken:
            raise RuntimeError("the battery itself broke down:\n" + "\n".join(schedule.broken))
        world.settle()
        world.collect()
    finally:
        world.close()
    return verdict.verdict(read(options.folder), schedule.planned, schedule.fired, scenario="battery", seed=options.seed,
                           minutes=minutes)


def directed(options: Options, scenarios: list[Scenario]) -> dict[str, Any]:
    """One scenario after the other."""
    planned, fired = Counter[str](), Counter[str]()
    world = World(options)
    try:
        world.begin(max(scenario.instances for scenario in scenarios))
        world.warm_up()
        for scenario in scenarios:
            planned[scenario.name] += 1
            fired[scenario.name] += scenario.act(world)
        world.settle()
        world.collect()
    finally:
        world.close()
    return verdict.verdict(read(options.folder), planned, fired, scenario="directed", seed=options.seed)


def rebalances(options: Options, rounds: int) -> dict[str, Any]:
    """One rebalance at a time, each measured."""
    world = World(options)
    try:
        world.begin(1)
        world.warm_up()
        scenario = Rebalances(world)
        for _ in range(rounds):
            scenario.round()
        world.settle()
        world.collect()
    finally:
        world.close()
    history = read(options.folder)
    done = Counter(step.what for step in scenario.steps)
    said = verdict.verdict(history, done, done, scenario="rebalances", seed=options.seed)
    said["steps"], beyond = measured(scenario.steps, history)
    return _with(said, beyond)


def provider_outage(options: Options) -> dict[str, Any]:
    """The provider fails for a minute, under load."""
    load = replace(options, tenant=outage.TENANT, tickets=outage.TICKETS)
    return _judged("outage", load, 2, None, outage.act, outage.measured)


def a_crowd(options: Options) -> dict[str, Any]:
    """A hundred tenants, and a model that takes less than they send."""
    crowd = replace(options, tenants=tuple(fairness.HABITS), max_in_flight=8, p50_ms=200, p99_ms=1_000,
                    settle_bound_ms=180_000)
    return _judged("fairness", crowd, 4, fairness.Crowd(options.seed), fairness.act, fairness.measured)


def shared_limits(options: Options) -> dict[str, Any]:
    """Four instances, and tenants that send more than they may."""
    load = replace(options, tenants=limits.TENANTS, tenant=limits.POLICY, settle_bound_ms=int(limits.ALL_BACK_WITHIN * 1_000))
    return _judged("limits", load, 4, limits.Many(options.seed), limits.act, limits.measured)


def _judged(name: str, options: Options, instances: int, events: Events | None, act: Callable[[World], Happened],
            figures_of: Callable[[Happened, History], tuple[dict[str, Any], list[str]]]) -> dict[str, Any]:
    """One thing that happens under load, and what it came to."""
    world = World(options)
    try:
        world.events = events or world.events
        world.begin(instances)
        world.warm_up()
        happened = act(world)
        world.settle()
        world.collect()
    finally:
        world.close()
    history = read(options.folder)
    once = Counter({name: 1})
    said = verdict.verdict(history, once, once, scenario=name, seed=options.seed)
    said[name], wrong = figures_of(happened, history)
    return _with(said, wrong)


def _with(said: dict[str, Any], wrong: list[str]) -> dict[str, Any]:
    said["findings"] += wrong
    if wrong and said["verdict"] == "green":
        said["verdict"] = "red"
    return said
