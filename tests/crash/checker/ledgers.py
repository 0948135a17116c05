"""The ledgers that stand outside the log: the provider's calls, and the rows of the database."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .history import Call, Place, Row


def whole_lines(file: Path) -> Iterator[dict[str, Any]]:
    """JSON lines. A last line without its line break was cut short when its writer died, and is left out."""
    with file.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n") and line.strip():
                yield json.loads(line)


def calls(lines: Iterable[dict[str, Any]]) -> list[Call]:
    """The provider's ledger: a line when a call begins, one with `end` when it ends."""
    made: list[Call] = []
    under_way: dict[int, Call] = {}
    for line in lines:
        if (end := line.get("end")) is None:
            # A new process of the provider counts from the start; a number that comes again is another call.
            call = Call(key=line["call_id"].split(".")[0], started_at=line["received_at"])
            under_way[line["call"]] = call
            made.append(call)
        elif (call := under_way.pop(line["call"], None)) is not None:
            call.ended_at, call.status = end["finished_at"], end["status"]
            call.client_gone, call.response_id = end["client_gone"], end["response_id"]
            call.tokens = (end.get("prompt_tokens") or 0) + (end.get("completion_tokens") or 0)
    return made


def rows(lines: Iterable[dict[str, Any]]) -> list[Row]:
    """The database's table, a row a line, with `answer` and `verdict` as they were saved."""
    return [_row(line) for line in lines]


def _row(line: dict[str, Any]) -> Row:
    answer, verdict = _document(line["answer"]), _document(line["verdict"])
    decision = (verdict or {}).get("decision")
    return Row(
        key=line["key"], owner=Place(line["owner_partition"], line["owner_offset"]), tenant=line["tenant_id"],
        event_id=line["event_id"], answered_at=line["answered_at"], published_at=line["published_at"],
        response_id=((answer or {}).get("usage") or {}).get("response_id"),
        status=verdict["status"] if verdict else None, code=verdict["code"] if verdict else None,
        decision_id=decision["id"] if decision else None,
        decision_sum=hashlib.sha256(base64.b64decode(decision["bytes"])).hexdigest() if decision else None,
    )


def _document(value: Any) -> Any:
    """JSON columns come as text or as what the text says."""
    return json.loads(value) if isinstance(value, str) else value
