"""Builds that break a rule on purpose: every one must be caught, and it is said by which invariant of the checker.

Each row of the proof names a switch, what befalls the broken build, and the invariants of which one must be found violated.
The unbroken build goes through every scenario first and must come out green: a check that is always red catches nothing.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any, NamedTuple

from . import scenarios, verdict
from .runs import directed
from .scenarios import Scenario
from .world import Options, World

# The ninth is the checker's own.
CHECKERS_OWN = "reader_on_read_uncommitted"
# The fourteenth is caught before the first event: each connection reads the setting back.
NOT_DURABLE = "ledger_not_durable"
READ_BACK = "the ledger is not durable: synchronous_commit is off"
REFUSES_WITHIN = 60
# A scenario meets the rule at the right moment almost always: one that missed gets another chance, with another seed.
SEEDS = 2
# What is broken need not settle for long.
SETTLE_BOUND_MS = 30_000


class Row(NamedTuple):
    """One broken build. `number`: in the proof; 0 stands beside the sixteen."""

    number: int
    switch: str
    scenario: Scenario
    rules: frozenset[str]


def row(number: int, switch: str, scenario: Scenario, *rules: str) -> Row:
    return Row(number, switch, scenario, frozenset(rules))


COMPLETE, UNIQUE, ATOMIC, METADATA = "I1 complete", "I2 unique", "I4 atomic", "I5 metadata"
FENCING, NO_TORN_READ, LIVE = "I9 fencing", "I10 no torn read", "I11 live"

ROWS = (
    row(0, "commit_over_hole", scenarios.NOTHING, COMPLETE, ATOMIC, METADATA),
    row(1, "offsets_before_outputs", scenarios.NOTHING, ATOMIC),
    row(2, "no_return_after_abort", scenarios.HELD_END, COMPLETE),
    row(3, "producer_reused", scenarios.ASKED_TWICE, ATOMIC, UNIQUE, COMPLETE),
    row(4, "unknown_is_not_committed", scenarios.LOST_ANSWER, UNIQUE),
    row(5, "sent_again_on_timeout", scenarios.SLOW_NETWORK, UNIQUE),
    row(6, "offsets_outside_transaction", scenarios.NOTHING, ATOMIC),
    row(7, "no_group_metadata", scenarios.ZOMBIE, FENCING),
    row(8, "random_transactional_id", scenarios.NOTHING, FENCING),
    row(9, CHECKERS_OWN, scenarios.HELD_END, NO_TORN_READ),
    row(10, "call_inside_transaction", scenarios.NOTHING, LIVE),
    row(11, "work_after_revocation", scenarios.JOINS_AND_LEAVES, FENCING, UNIQUE, METADATA, LIVE),
    row(12, "start_at_latest", scenarios.FORGOTTEN_OFFSETS, COMPLETE),
    row(13, "delivery_error_ignored", scenarios.REFUSED_RECORDS, COMPLETE),
    row(14, NOT_DURABLE, Scenario("it starts", scenarios.nothing), "read back"),
    row(15, "metadata_stripped", scenarios.CRAMPED, METADATA),
    row(16, "key_without_tenant", scenarios.NOTHING, COMPLETE, "I6 provenance"),
)


def table(options: Options, which: str) -> tuple[int, dict[str, Any]]:
    """Runs all of them, or those that are named; prints what caught each. 0: every one was caught, the control is green."""
    rows = [one for one in ROWS if which == "all" or one.switch in which.split(",")]
    if not rows:
        raise SystemExit(f"no such switch: {which}; there are {', '.join(one.switch for one in ROWS)}")
    unharmed = _controls(options, list(dict.fromkeys(one.scenario for one in rows if one.switch != NOT_DURABLE)))
    caught = {}
    for one in rows:
        begun = time.monotonic()
        found = _caught(options, one)
        caught[one.switch] = found
        _say(one.number, one.switch, one.scenario.name, found or "NOT CAUGHT", time.monotonic() - begun)
    missed = [switch for switch, found in caught.items() if not found]
    print(f"tests/crash: {len(caught) - len(missed)} of {len(caught)} caught, the unbroken build is "
          f"{'unharmed' if unharmed else 'HARMED'}{'; not caught: ' + ', '.join(missed) if missed else ''}")
    green = not missed and unharmed
    said = {"scenario": "sabotage", "commit": verdict.commit(), "seed": options.seed, "caught": caught,
            "verdict": "green" if green else "red"}
    return (0 if green else 1), said


def _say(number: int | str, switch: str, done: str, found: str, seconds: float) -> None:
    print(f"  {number or '-':>2} {switch:<28} {done:<52} {found:<40} {seconds:>4.0f} s", flush=True)


def _controls(options: Options, used: list[Scenario]) -> bool:
    """The unbroken build, through those that need nothing special in one go."""
    plain = [one for one in used if not one.conditions]
    unharmed = True
    for together in ([plain] if plain else []) + [[one] for one in used if one.conditions]:
        begun = time.monotonic()
        said = _run(options, "unbroken", f"unbroken-{used.index(together[0])}", together)
        green = said["verdict"] == "green" and not said["unfired"]
        unharmed &= green
        found = "green" if green else f"RED: {said['violations'] or said['unfired']}"
        _say("", "(unbroken)", together[0].name if len(together) == 1 else f"{len(together)} scenarios", found,
             time.monotonic() - begun)
        for finding in said["findings"]:
            print(f"       {finding}")
    return unharmed


def _caught(options: Options, one: Row) -> str:
    """The invariants that were found violated, if one that must be is among them."""
    if one.switch == NOT_DURABLE:
        return _read_back(options)
    found = ""
    for seed in range(options.seed, options.seed + SEEDS):
        said = _run(replace(options, seed=seed, settle_bound_ms=SETTLE_BOUND_MS), one.switch, f"{one.switch}-{seed}",
                    [one.scenario])
        violations = said["violations"]
        if one.rules & violations.keys():
            # What it must be caught by comes first.
            ranked = sorted(violations, key=lambda rule: (rule not in one.rules, rule))
            return ", ".join(f"{rule.split()[0]} {violations[rule]}" for rule in ranked)
    return found


def _run(options: Options, switch: str, folder: str, these: list[Scenario]) -> dict[str, Any]:
    here = replace(options, folder=options.folder / folder, **these[0].conditions)
    if switch == CHECKERS_OWN:
        here.isolation = "read_uncommitted"
    elif switch != "unbroken":
        here.sabotage = switch
    said = directed(here, these)
    (here.folder / "verdict.json").write_text(json.dumps(said, indent=1))
    return said


def _read_back(options: Options) -> str:
    """It must not even start, and say why."""
    world = World(replace(options, folder=options.folder / NOT_DURABLE, sabotage=NOT_DURABLE))
    try:
        instance = world.instances["gk-1"]
        instance.start()
        code = instance.wait(REFUSES_WITHIN)
        told = READ_BACK in (world.options.folder / "gk-1.log").read_text()
    finally:
        world.close()
    return f"reads the setting back: exit code {code}" if told and code else ""
