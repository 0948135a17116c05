"""I10: no record of an aborted transaction is ever read, and no transaction is seen in part."""

from __future__ import annotations

from ..report import Report
from ..view import View

RULE = "I10 no torn read"


def no_torn_read(view: View, report: Report) -> None:
    history = view.history
    topics = history.topics
    at_the_end = {
        (topic, output.partition, output.offset)
        for topic, outputs in zip(topics.outputs(), (history.decisions, history.feedback, history.dead_letters))
        for output in outputs
    }
    for seen in history.followed:
        place = (seen.topic, seen.partition, seen.offset)
        if place in history.aborted:
            report.find(RULE, f"{place} was aborted and was read while following along")
        elif place not in at_the_end:
            report.find(RULE, f"{place} was read while following along and is not there at the end")
    for place in at_the_end & history.aborted:
        report.find(RULE, f"{place} was aborted and is read as committed")
