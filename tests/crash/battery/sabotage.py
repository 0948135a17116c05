"""Builds that break a rule on purpose: every one must be caught, and it is said by which rule of the checker."""

from __future__ import annotations

import json
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

# What a rule needs to be put to the test at all. Metadata is stripped where it does not fit: many unfinished offsets in few
# partitions, and little room.
CONDITIONS: dict[str, dict[str, int]] = {
    "metadata_stripped": {"partitions": 2, "max_in_flight": 512, "p50_ms": 8_000, "p99_ms": 9_500, "metadata_max_chars": 256},
}


def switches() -> list[str]:
    """Every switch the product has, in the order of its source, and the checker's."""
    text = (REPOSITORY / "src/sabotage.rs").read_text()
    return re.findall(r'Self::\w+ => "(\w+)"', text) + [CHECKERS_OWN]


def table(options: Options, which: str) -> int:
    """Runs all of them, or the one that is named; prints what caught each. 0: every one was caught."""
    # What the unbroken build breaks too catches nothing.
    common = _caught(options, None, {})
    print(f"  {'(unbroken)':<36} {_words(common)}", flush=True)
    missed = []
    for name in switches() if which == "all" else which.split(","):
        caught = _caught(options, name, common)
        print(f"  {name:<36} {_words(caught) or 'NOT CAUGHT'}", flush=True)
        if not caught:
            missed.append(name)
    print(f"tests/crash: {len(missed)} not caught{': ' + ', '.join(missed) if missed else ''}")
    return 1 if missed else 0


def _words(caught: dict[str, int]) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in caught.items())


def _caught(options: Options, name: str | None, common: dict[str, int]) -> dict[str, int]:
    """The rules that were broken, and how often; without a name by the unbroken build."""
    for seed in range(options.seed, options.seed + (SEEDS if name else 1)):
        here = replace(options, seed=seed, folder=options.folder / f"{name or 'unbroken'}-{seed}",
                       **CONDITIONS.get(name or "", {}))
        if name == CHECKERS_OWN:
            here.isolation = "read_uncommitted"
        else:
            here.sabotage = name
        said = battery(here, MINUTES)
        (here.folder / "verdict.json").write_text(json.dumps(said, indent=1))
        found = {rule: count for rule, count in said["violations"].items() if rule not in common}
        if found:
            return found
    return {}
