"""What was counted and what is wrong."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

# Beyond this many per rule they are counted, not kept.
KEPT = 20


class Finding(NamedTuple):
    """One violation."""

    rule: str
    what: str


class Report:
    """Collects violations and counts."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.violations: Counter[str] = Counter()
        self.counts: dict[str, int] = {}
        self.notes: list[str] = []

    def find(self, rule: str, what: str) -> None:
        """A promise was broken."""
        self.violations[rule] += 1
        if self.violations[rule] <= KEPT:
            self.findings.append(Finding(rule, what))

    def count(self, name: str, number: int) -> None:
        """A number for the verdict line."""
        self.counts[name] = number

    def note(self, what: str) -> None:
        """What could not be judged, and why."""
        self.notes.append(what)

    def is_green(self) -> bool:
        return not self.violations

    def as_json(self) -> dict[str, object]:
        return {
            "violations": dict(sorted(self.violations.items())),
            "counts": self.counts,
            "notes": self.notes,
            "findings": [f"{finding.rule}: {finding.what}" for finding in self.findings],
        }
