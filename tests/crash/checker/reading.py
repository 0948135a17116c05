"""A run's folder becomes a history.

    sent.jsonl       what each record was meant as: folders of older runs have none
    acks.jsonl       what the log told the producer
    end.jsonl        every record of the topics, read_committed, when all was over
    aborted.jsonl    places of outputs that only a read_uncommitted reader sees
    followed.jsonl   outputs as they arrived at the reader that followed along
    samples.jsonl    instants: visible ends, committed position, written ends
    offsets.jsonl    commits, forgotten positions and generations of the group, from the offsets topic
    end.json         the group's last position, transactional ids, open transactions
    calls.jsonl      the provider's ledger
    rows.jsonl       the product's ledger
    run.json         what the battery did: interruptions, lives, bounds
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from . import ledgers, parsing
from .history import Acked, Commit, Forgotten, Generation, History, Interruption, Life, Place, Sample, Seen, Topics
from .ledgers import whole_lines


def read(folder: Path) -> History:
    """Everything in the folder of a run."""
    run = json.loads((folder / "run.json").read_text())
    end = json.loads((folder / "end.json").read_text())
    history = History(topics=Topics(**run["topics"]))
    history.sent = _sent(folder / "sent.jsonl")
    history.acked = [Acked(Place(one["partition"], one["offset"]), one["sum"], one["at"])
                     for one in whole_lines(folder / "acks.jsonl")]
    _records(folder / "end.jsonl", history)
    history.aborted = {(one["topic"], one["partition"], one["offset"]) for one in whole_lines(folder / "aborted.jsonl")}
    history.followed = [Seen(one["topic"], one["partition"], one["offset"], one["sum"], one["at"])
                        for one in whole_lines(folder / "followed.jsonl")]
    history.samples = [_sample(one) for one in whole_lines(folder / "samples.jsonl")]
    _offsets(folder / "offsets.jsonl", history)
    history.position = _position(end["position"])
    history.transactional_ids = set(end["transactional_ids"])
    history.open_transactions = set(end["open_transactions"])
    history.calls = ledgers.calls(whole_lines(folder / "calls.jsonl"))
    history.rows = ledgers.rows(whole_lines(folder / "rows.jsonl"))
    history.interruptions = [Interruption(**one) for one in run["interruptions"]]
    history.lives = [Life(**one) for one in run["lives"]]
    history.expected_transactional_ids = set(run["expected_transactional_ids"])
    history.instance_of = run["instance_of"]
    history.max_in_flight = run["max_in_flight"]
    history.settled_after_ms, history.settle_bound_ms = run["settled_after_ms"], run["settle_bound_ms"]
    return history


def _sent(file: Path) -> dict[str, frozenset[str]] | None:
    if not file.exists():
        return None
    kinds: dict[str, set[str]] = defaultdict(set)
    for line in whole_lines(file):
        kinds[line["sum"]].add(line["kind"])
    return {sum: frozenset(of) for sum, of in kinds.items()}


def _records(file: Path, history: History) -> None:
    topics = history.topics
    reader = parsing.Reader(topics.events)
    for line in whole_lines(file):
        raw = parsing.Raw.of(line)
        if raw.topic == topics.events:
            history.inputs.append(parsing.input_of(raw))
        elif raw.topic == topics.decisions:
            history.decisions.append(reader.decision(raw))
        elif raw.topic == topics.feedback:
            history.feedback.append(reader.terminal(raw))
        elif raw.topic == topics.dead_letters:
            history.dead_letters.append(reader.dead_letter(raw))


def _offsets(file: Path, history: History) -> None:
    for line in whole_lines(file):
        if line["kind"] == "commit":
            history.commits.append(Commit(line["at_offset"], line["at"], line["topic"], line["partition"],
                                          line["offset"], line["metadata"]))
        elif line["kind"] == "forgotten":
            history.forgotten.append(Forgotten(line["at_offset"], line["topic"], line["partition"]))
        else:
            owners = {(topic, partition): instance for topic, partition, instance in line["owners"]}
            history.generations.append(Generation(line["at_offset"], line["at"], line["number"], owners))


def _sample(line: dict[str, Any]) -> Sample:
    return Sample(line["at"], _ends(line["visible"]), _position(line["committed"]), _ends(line["written"]))


def _ends(ends: list[list[Any]]) -> dict[tuple[str, int], int]:
    return {(topic, partition): offset for topic, partition, offset in ends}


def _position(position: list[list[Any]]) -> dict[int, tuple[int, str]]:
    return {partition: (offset, metadata) for partition, offset, metadata in position}
