"""Builds that break a rule on purpose: every one must be caught, and it is said by which rule of the checker."""

from __future__ import annotations

import re
from dataclasses import replace

from .faults import REPOSITORY
from .runs import battery
from .world import Options

# The sixteen of the proof by the name of their switch; the ninth is the checker's own.
CHECKERS_OWN = "reader_on_read_uncommitted"
# Each is tried with so many seeds, a minute each, before it counts as not caught.
SEEDS = 3
MINUTES = 1.0


def switches() -> list[str]:
    """Every switch the product has, in the order of its source, and the checker's."""
    text = (REPOSITORY / "src/sabotage.rs").read_text()
    return re.findall(r'Self::\w+ => "(\w+)"', text) + [CHECKERS_OWN]


def table(options: Options, which: str) -> int:
    """Runs all of them, or the one that is named; prints what caught each. 0: every one was caught."""
    sound = _caught(options, None)
    if sound:
        print(f"tests/crash: the unbroken build is not green, so nothing is proved: {sound}")
        return 1
    missed = []
    for name in switches() if which == "all" else which.split(","):
        caught = _caught(options, name)
        print(f"  {name:<36} {', '.join(f'{rule} {count}' for rule, count in caught.items()) or 'NOT CAUGHT'}", flush=True)
        if not caught:
            missed.append(name)
    print(f"tests/crash: {len(missed)} not caught{': ' + ', '.join(missed) if missed else ''}")
    return 1 if missed else 0


def _caught(options: Options, name: str | None) -> dict[str, int]:
    """The rules that were broken, and how often; without a name by the unbroken build."""
    for seed in range(options.seed, options.seed + SEEDS):
        here = replace(options, seed=seed, folder=options.folder / f"{name or 'unbroken'}-{seed}")
        if name == CHECKERS_OWN:
            here.isolation = "read_uncommitted"
        else:
            here.sabotage = name
        found: dict[str, int] = battery(here, MINUTES)["violations"]
        if found:
            return found
    return {}
