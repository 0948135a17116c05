"""Every rule over one history."""

from __future__ import annotations

from .history import History
from .report import Report
from .rules import RULES
from .view import View


def judge(history: History) -> Report:
    """The verdict. Pure: the same history, the same report."""
    report = Report()
    view = View(history)
    for rule in RULES:
        rule(view, report)
    report.count("inputs", len(history.inputs))
    report.count("terminals", sum(one.terminal for one in history.feedback))
    report.count("decisions", len(history.decisions))
    report.count("dead_letters", len(history.dead_letters))
    report.count("calls", len(history.calls))
    report.count("commits", len(history.commits))
    report.count("generations", len(history.generations))
    report.count("samples", len(history.samples))
    report.count("aborted_records", len(history.aborted))
    return report
