"""I6, the other half: each answer is the provider's, and was given about this very event.

The provider numbers its answers, the ledger keeps the number with the answer, and a decision tells it. No run lets a model of
this machine answer first: a decision that no fallback made was made of one of the provider's answers.
"""

from __future__ import annotations

from ..identity import better_key, dedupe_key
from ..report import Report
from ..view import View

RULE = "I6 provenance"


def answers(view: View, report: Report) -> None:
    given = {(call.key, call.response_id) for call in view.history.calls if call.status == 200}
    rows = {row.key: row for row in view.history.rows}
    for row in view.history.rows:
        if row.response_id is not None and (row.key, row.response_id) not in given:
            report.find(RULE, f"the provider never gave {row.response_id} about {row.event_id} of {row.tenant}")
    for decision in view.history.decisions:
        key = dedupe_key(decision.identity)
        row = rows.get(key if decision.version == 1 else better_key(key))
        if row is None:
            continue  # I8's
        if decision.response_id != row.response_id:
            report.find(RULE, f"the decision of {decision.origin} is made of {decision.response_id}, and {row.response_id} "
                              "was saved")
        if decision.degraded is None and row.response_id is None:
            report.find(RULE, f"the decision of {decision.origin} is no fallback's, and nobody was asked for it")
