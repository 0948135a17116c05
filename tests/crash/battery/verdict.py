"""From a finished run to its verdict: the checker, the counts, and the line in the file of proofs."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from checker.gaps import gaps
from checker.history import History
from checker.judge import judge

REPOSITORY = Path(__file__).resolve().parents[3]
PROOFS = Path(__file__).resolve().parents[1] / "proofs.jsonl"
# A run counts only when so much of what was planned really happened, and work was done meanwhile.
FIRED_SHARE = 0.95
EVENTS_A_MINUTE = 60
# Of those that no fallback made. Half of what is sent is decided, and a provider may be away for a third of the time.
DECISIONS_A_MINUTE = 20


def verdict(history: History, planned: Counter[str], fired: Counter[str], **about: Any) -> dict[str, Any]:
    """What there is to say about a run."""
    report = judge(history)
    silences = gaps(history)
    # Of a few faults one may always miss.
    allowed = max(1, sum(planned.values()) * (1 - FIRED_SHARE))
    counts = sum((planned - fired).values()) <= allowed and work_was_done(history, about.get("minutes", 0))
    return {
        **about, "commit": commit(), "planned": sum(planned.values()), "fired": sum(fired.values()),
        "faults": dict(sorted(fired.items())), "unfired": dict(sorted((planned - fired).items())),
        "longest_gap_ms": silences[0].ms() if silences else 0, "settled_after_ms": history.settled_after_ms,
        **report.as_json(), "verdict": "green" if report.is_green() and counts else
        "red" if not report.is_green() else "does not count",
    }


def work_was_done(history: History, planned_minutes: float) -> bool:
    """Events came in and were decided, for as long as was planned and as any were sent."""
    times = [one.at for one in history.acked]
    minutes = max((max(times) - min(times)) / 60_000 if times else 0, planned_minutes)
    decided = sum(one.degraded is None for one in history.decisions)
    return len(history.inputs) >= EVENTS_A_MINUTE * minutes and decided >= max(DECISIONS_A_MINUTE * minutes, 1)


def line(said: dict[str, Any]) -> str:
    """The verdict in one line."""
    counts = said["counts"]
    return (
        f"tests/crash: {said['verdict']}: {counts['inputs']} events, {said['fired']} of {said['planned']} faults, "
        f"violations {sum(said['violations'].values())}, missing {counts['missing']}, twice {counts['twice']}, out of order "
        f"{counts['out_of_order']}, saved answers paid again {counts['paid_after_save']}, unsaved {counts['paid_unsaved']}, "
        f"longest gap {said['longest_gap_ms']} ms, settled after {said['settled_after_ms']} ms"
    )


def remember(said: dict[str, Any]) -> None:
    """One line more in the file of proofs, without the findings of a red run: they stand in its folder."""
    kept = {name: value for name, value in said.items() if name != "findings"}
    with PROOFS.open("a") as proofs:
        proofs.write(json.dumps(kept, sort_keys=True) + "\n")


def commit() -> str:
    """Of the product under test; `+` where files differ from it."""
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "Cargo.toml", "migrations", "config")
    return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
