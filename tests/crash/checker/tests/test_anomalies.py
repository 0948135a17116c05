"""Bad histories, one for each anomaly: every one is flagged, by the rule that speaks of it."""

from __future__ import annotations

import ast
import copy
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from checker.history import (
    Call, Commit, Event, Forgotten, Generation, History, Identity, Interruption, Life, Place, Seen,
)
from checker.judge import judge
from checker.report import Report
from checker.tests import good
from checker.tests.encoding import encode

Spoil = Callable[[History], Any]
ANOMALIES: list[tuple[str, str, Spoil]] = []


def anomaly(rule: str) -> Callable[[Spoil], Spoil]:
    def note(spoil: Spoil) -> Spoil:
        ANOMALIES.append((rule, spoil.__name__, spoil))
        return spoil

    return note


def terminal(history: History, status: str, code: str | None = None) -> Any:
    return next(one for one in history.feedback if one.status == status and code in (None, one.code))


def remove(outputs: list[Any], gone: Any) -> None:
    outputs[:] = [one for one in outputs if one is not gone]


def again(history: History, outputs: list[Any], topic: str, one: Any) -> Any:
    """The same output once more, at the end of its partition, for both readers."""
    offset = 1 + max(seen.offset for seen in history.followed if seen.partition == one.partition)
    second = copy.deepcopy(one)
    second.offset = offset
    outputs.append(second)
    history.followed.append(Seen(topic, one.partition, offset, one.sum, 9_999_999))
    return second


def record_of(history: History, one: Any) -> Any:
    return next(record for record in history.inputs if record.place == one.origin)


def means(history: History, one: Any, kind: str) -> None:
    """The publisher meant the record of this end as such."""
    assert history.sent
    history.sent[record_of(history, one).sum] = frozenset({kind})


def better(history: History) -> Any:
    return next(one for one in history.decisions if one.version == 2)


# I1


@anomaly("I1 complete")
def a_better_decision_of_an_event_that_no_fallback_decided(history: History) -> None:
    terminal_of = {one.origin: one for one in history.feedback if one.terminal}
    terminal_of[better(history).origin].status, terminal_of[better(history).origin].code = "ACCEPTED", "DECIDED"


@anomaly("I1 complete")
def a_better_decision_that_names_no_decision_before_it(history: History) -> None:
    better(history).supersedes = None


@anomaly("I2 unique")
def a_better_decision_twice(history: History) -> None:
    again(history, history.decisions, history.topics.decisions, better(history))


@anomaly("I3 order")
def a_better_decision_after_that_of_a_newer_event(history: History) -> None:
    of_ticket: dict[Any, list[Any]] = {}
    for one in history.decisions:
        of_ticket.setdefault((one.partition, one.identity.tenant, one.ticket), []).append(one)
    first = next(of for of in of_ticket.values() if len({one.origin for one in of}) > 1)[0]
    again(history, history.decisions, history.topics.decisions, first).version = 2


@anomaly("I7 paid once")
def a_call_for_a_better_decision_whose_answer_was_saved(history: History) -> None:
    row = next(row for row in history.rows if row.decision_id == better(history).decision_id)
    history.calls.append(Call(row.key, row.answered_at + 5, row.answered_at + 9, 200, False, "late"))


@anomaly("I8 stable")
def a_better_decision_that_is_not_the_saved_one(history: History) -> None:
    better(history).value_sum = "other"


@anomaly("I1 complete")
def a_record_without_a_terminal(history: History) -> None:
    remove(history.feedback, terminal(history, "IGNORED"))


@anomaly("I1 complete")
def an_acknowledged_record_that_the_log_lost(history: History) -> None:
    history.acked.append(history.acked[0]._replace(place=Place(0, 10_000)))


@anomaly("I1 complete")
def an_acknowledged_record_with_other_bytes(history: History) -> None:
    history.acked[3] = history.acked[3]._replace(sum="other")


@anomaly("I1 complete")
def accepted_without_a_decision(history: History) -> None:
    place = terminal(history, "ACCEPTED").origin
    history.decisions[:] = [one for one in history.decisions if one.origin != place]


@anomaly("I1 complete")
def ignored_with_a_decision(history: History) -> None:
    one = again(history, history.decisions, history.topics.decisions, history.decisions[0])
    one.origin = terminal(history, "IGNORED").origin


@anomaly("I1 complete")
def feedback_and_decision_with_different_ids(history: History) -> None:
    terminal(history, "ACCEPTED").decision_id = "another"


@anomaly("I1 complete")
def rejected_without_a_dead_letter(history: History) -> None:
    history.dead_letters.pop()


@anomaly("I1 complete")
def accepted_with_a_dead_letter(history: History) -> None:
    one = again(history, history.dead_letters, history.topics.dead_letters, history.dead_letters[0])
    one.origin = terminal(history, "ACCEPTED").origin


@anomaly("I1 complete")
def a_dead_letter_with_another_reason(history: History) -> None:
    history.dead_letters[0].code = "PAYLOAD_TOO_LARGE"


@anomaly("I1 complete")
def an_output_of_nothing(history: History) -> None:
    again(history, history.feedback, history.topics.feedback, history.feedback[0]).origin = Place(0, 10_000)


@anomaly("I1 complete")
def a_decision_without_a_terminal(history: History) -> None:
    place = history.decisions[0].origin
    history.feedback[:] = [one for one in history.feedback if one.origin != place]


@anomaly("I1 complete")
def a_code_that_its_status_does_not_have(history: History) -> None:
    terminal(history, "IGNORED").code = "DECIDED"


@anomaly("I1 complete")
def put_off_for_a_reason_that_is_none(history: History) -> None:
    next(one for one in history.feedback if not one.terminal).code = "DECIDED"


@anomaly("I1 complete")
def superseded_by_an_event_that_was_not_decided(history: History) -> None:
    terminal(history, "SUPERSEDED").superseded_by = "event-of-nobody"


@anomaly("I1 complete")
def superseded_by_another_tenants_event_of_the_same_id(history: History) -> None:
    one = terminal(history, "SUPERSEDED")
    other = next(it for it in history.decisions if it.identity.tenant != one.tenant and it.version == 1)
    one.superseded_by = other.event_id


@anomaly("I1 complete")
def superseded_by_another_tickets_event(history: History) -> None:
    one = terminal(history, "SUPERSEDED")
    other = next(it for it in history.decisions if it.ticket != one.ticket and it.version == 1)
    one.superseded_by = other.event_id


@anomaly("I1 complete")
def superseded_by_an_older_event(history: History) -> None:
    for one in (it for it in history.feedback if it.status == "SUPERSEDED"):
        for older in history.decisions:
            if (older.identity.tenant, older.ticket) == (one.tenant, one.ticket) and older.origin.offset < one.origin.offset:
                one.superseded_by = older.event_id


@anomaly("I1 complete")
def a_copy_that_ended_as_a_conflict(history: History) -> None:
    one = terminal(history, "DUPLICATE")
    one.status, one.code = "REJECTED", "IDEMPOTENCY_CONFLICT"


@anomaly("I1 complete")
def a_conflict_that_ended_as_a_copy(history: History) -> None:
    one = terminal(history, "REJECTED", "IDEMPOTENCY_CONFLICT")
    one.status, one.code = "DUPLICATE", "SAME_EVENT"


@anomaly("I1 complete")
def an_event_of_which_only_copies_are_known(history: History) -> None:
    decided = terminal(history, "ACCEPTED")
    decided.status, decided.code, decided.decision_id = "DUPLICATE", "SAME_EVENT", None
    history.decisions[:] = [one for one in history.decisions if one.origin != decided.origin]


@anomaly("I1 complete")
def an_event_that_was_dead_lettered_as_garbage(history: History) -> None:
    one = terminal(history, "REJECTED", "DECODE_FAILED")
    record_of(history, one).event = Event(Identity("tenant-0", "/desk", False, "fine"), "fine", "T-fine", "body")
    means(history, one, "event")


@anomaly("I1 complete")
def an_event_that_expired_though_none_does(history: History) -> None:
    one = terminal(history, "IGNORED")
    one.code = "EXPIRED"
    means(history, one, "event")


@anomaly("I1 complete")
def a_copy_that_was_ignored(history: History) -> None:
    one = terminal(history, "DUPLICATE")
    one.status, one.code, one.decision_id = "IGNORED", "INTERNAL_NOTE", None


@anomaly("I1 complete")
def a_copy_that_was_superseded_beside_its_first(history: History) -> None:
    newer = terminal(history, "SUPERSEDED")
    one = terminal(history, "DUPLICATE")
    one.status, one.code, one.decision_id = newer.status, newer.code, None
    one.superseded_by = next(it.event_id for it in history.decisions if it.origin.partition == one.origin.partition
                             and (it.identity.tenant, it.ticket) == (one.tenant, one.ticket)
                             and it.origin.offset > one.origin.offset)


@anomaly("I1 complete")
def a_record_that_nobody_sent(history: History) -> None:
    assert history.sent
    del history.sent[history.inputs[0].sum]


def all_calls_went_well(history: History) -> None:
    for call in history.calls:
        call.status = 200


def degraded(history: History, code: str) -> Any:
    """The first fallback's event ended for this reason, as it was saved."""
    one = terminal(history, "DEGRADED")
    row = next(row for row in history.rows if row.owner == one.origin and row.code == one.code)
    one.code = row.code = code
    return one


@anomaly("I1 complete")
def a_timeout_of_a_provider_that_answered_well(history: History) -> None:
    degraded(history, "PROVIDER_TIMEOUT")
    all_calls_went_well(history)


@anomaly("I1 complete")
def a_call_that_a_kill_ended_is_no_failure_of_the_provider(history: History) -> None:
    degraded(history, "PROVIDER_ERROR")
    all_calls_went_well(history)
    for call in history.calls:
        call.status, call.client_gone = 0, True


@anomaly("I1 complete")
def a_breaker_that_was_open_though_nothing_had_failed(history: History) -> None:
    all_calls_went_well(history)


@anomaly("I1 complete")
def a_breaker_that_was_open_because_another_partitions_owner_was_frozen(history: History) -> None:
    all_calls_went_well(history)
    history.interruptions.append(Interruption("freeze", 0, 1 << 60, "gk-9"))


@anomaly("I1 complete")
def a_deadline_that_passed_at_once(history: History) -> None:
    one = degraded(history, "DEADLINE_EXCEEDED")
    record_of(history, one).at = one.at - 1_000


# I2


@anomaly("I2 unique")
def two_terminals(history: History) -> None:
    again(history, history.feedback, history.topics.feedback, terminal(history, "IGNORED"))


@anomaly("I2 unique")
def two_decisions(history: History) -> None:
    again(history, history.decisions, history.topics.decisions, history.decisions[0])


@anomaly("I2 unique")
def two_events_that_share_one_decision_id(history: History) -> None:
    first, second = [one for one in history.decisions if one.version == 1 and not one.degraded][:2]
    end = next(one for one in history.feedback if one.terminal and one.origin == second.origin)
    row = next(one for one in history.rows if one.decision_id == second.decision_id)
    for copy_of_it in (one for one in history.feedback if one.decision_id == second.decision_id and one is not end):
        copy_of_it.decision_id = None
    second.decision_id = end.decision_id = row.decision_id = first.decision_id


@anomaly("I2 unique")
def two_dead_letters(history: History) -> None:
    again(history, history.dead_letters, history.topics.dead_letters, history.dead_letters[0])


@anomaly("I2 unique")
def an_event_decided_on_two_of_its_records(history: History) -> None:
    one = terminal(history, "DUPLICATE")
    one.status, one.code = "ACCEPTED", "DECIDED"


@anomaly("I2 unique")
def a_record_that_only_the_last_reader_saw(history: History) -> None:
    history.followed.pop(7)


@anomaly("I2 unique")
def a_record_that_the_follower_saw_twice(history: History) -> None:
    history.followed.append(history.followed[5])


@anomaly("I2 unique")
def two_readers_with_different_orders(history: History) -> None:
    mine = [n for n, seen in enumerate(history.followed)
            if seen[:2] == (history.topics.feedback, 0)][:2]
    first, second = mine
    history.followed[first], history.followed[second] = history.followed[second], history.followed[first]


@anomaly("I2 unique")
def a_record_that_changed_between_the_readers(history: History) -> None:
    history.followed[4] = history.followed[4]._replace(sum="other")


# I3


@anomaly("I3 order")
def a_ticket_decided_against_the_order_of_the_log(history: History) -> None:
    lanes: dict[tuple[int, str, str], list[Any]] = {}
    for one in history.decisions:
        lanes.setdefault((one.partition, one.identity.tenant, one.ticket), []).append(one)
    first, second = next(lane for lane in lanes.values() if len(lane) > 1)[:2]
    first.offset, second.offset = second.offset, first.offset


@anomaly("I3 order")
def an_output_in_another_partition(history: History) -> None:
    history.decisions[0].partition += 1


# I4


@anomaly("I4 atomic")
def an_output_visible_before_its_offset_is_committed(history: History) -> None:
    history.samples[4].committed = dict(history.samples[3].committed)


def visible_a_burst_early(history: History, topic: str) -> None:
    """One topic's outputs are committed by themselves, before everything else of their burst."""
    for number, sample in enumerate(history.samples):
        later = history.samples[min(number + 1, len(history.samples) - 1)]
        for partition in range(good.PARTITIONS):
            sample.visible[topic, partition] = sample.written[topic, partition] = later.written[topic, partition]


@anomaly("I4 atomic")
def decisions_in_a_transaction_of_their_own(history: History) -> None:
    visible_a_burst_early(history, history.topics.decisions)


@anomaly("I4 atomic")
def dead_letters_in_a_transaction_of_their_own(history: History) -> None:
    visible_a_burst_early(history, history.topics.dead_letters)


@anomaly("I4 atomic")
def an_offset_committed_before_its_output_is_written(history: History) -> None:
    history.samples[4].written = dict(history.samples[3].written)
    history.samples[4].visible = dict(history.samples[3].visible)


@anomaly("I4 atomic")
def a_decision_written_after_its_offset(history: History) -> None:
    one = history.decisions[0]
    sample = next(it for it in history.samples if it.written[history.topics.decisions, one.partition] > one.offset)
    sample.written[history.topics.decisions, one.partition] = one.offset


@anomaly("I4 atomic")
def a_put_off_event_finished_before_that_is_said(history: History) -> None:
    one = next(it for it in history.feedback if not it.terminal)
    sample = next(it for it in history.samples if it.written[history.topics.feedback, one.partition] > one.offset)
    sample.written[history.topics.feedback, one.partition] = one.offset


@anomaly("I4 atomic")
def nobody_looked(history: History) -> None:
    history.samples.clear()


# I5


@anomaly("I5 metadata")
def a_commit_of_nobody(history: History) -> None:
    history.commits[-1].metadata = ""


@anomaly("I5 metadata")
def a_commit_over_a_hole(history: History) -> None:
    last = history.commits[-1]
    place = Place(last.partition, 0)
    history.feedback[:] = [one for one in history.feedback if one.origin != place]


@anomaly("I5 metadata")
def an_output_that_the_last_position_does_not_know(history: History) -> None:
    partition, (base, _) = next(iter(history.position.items()))
    history.position[partition] = (base, encode(base - 1, base, [base - 1], burst=10_000))
    history.position[partition] = (base - 1, history.position[partition][1])


@anomaly("I5 metadata")
def metadata_that_was_stripped(history: History) -> None:
    history.commits[3].metadata = ""


def deferred_commit(history: History) -> Commit:
    return next(one for one in history.commits if one.topic == good.DEFERRED)


@anomaly("I5 metadata")
def metadata_that_was_stripped_where_copies_wait(history: History) -> None:
    deferred_commit(history).metadata = ""


@anomaly("I5 metadata")
def a_position_that_goes_back_where_copies_wait(history: History) -> None:
    one, last = deferred_commit(history), history.commits[-1]
    owner = history.generations[-1].owners[one.topic, one.partition]
    history.commits.append(Commit(last.at_offset + 1, last.at, one.topic, one.partition, 0,
                                  encode(0, 0, [], burst=999, writer=owner)))


@anomaly("I5 metadata")
def the_same_metadata_at_a_lower_offset(history: History) -> None:
    last = history.commits[-1]
    history.commits.append(Commit(last.at_offset + 1, last.at, last.topic, last.partition, last.offset - 1, last.metadata))


@anomaly("I5 metadata")
def metadata_that_is_too_long(history: History) -> None:
    history.commits[3].metadata += "A" * 4_096


@anomaly("I5 metadata")
def metadata_that_is_damaged(history: History) -> None:
    text = history.commits[3].metadata
    # Not the last character: some of its bits say nothing.
    history.commits[3].metadata = text[:-2] + ("A" if text[-2] != "A" else "B") + text[-1]


@anomaly("I5 metadata")
def metadata_of_another_offset(history: History) -> None:
    history.commits[3].offset += 1


@anomaly("I5 metadata")
def a_position_that_goes_back_though_another_was_forgotten(history: History) -> None:
    last = history.commits[-1]
    other = (last.partition + 1) % good.PARTITIONS
    history.forgotten.append(Forgotten(last.at_offset + 1, last.topic, other))
    good.read_again(history, last.at_offset + 2, last.partition)


@anomaly("I5 metadata")
def a_position_that_goes_back(history: History) -> None:
    last = history.commits[-1]
    history.commits.append(Commit(last.at_offset + 1, last.at, last.topic, last.partition, 0, encode(0, 0, [], burst=999)))


@anomaly("I5 metadata")
def a_commit_that_takes_back_a_finished_offset(history: History) -> None:
    last = history.commits[-1]
    text = encode(last.offset, last.offset + 3, [last.offset], burst=998)
    less = encode(last.offset, last.offset + 3, [last.offset, last.offset + 2], burst=999)
    history.commits += [Commit(last.at_offset + 1, last.at, last.topic, last.partition, last.offset, text),
                        Commit(last.at_offset + 2, last.at, last.topic, last.partition, last.offset, less)]


@anomaly("I5 metadata")
def two_bursts_with_one_mark(history: History) -> None:
    last = history.commits[-1]
    other = encode(last.offset, last.offset, [], burst=998)
    history.commits += [Commit(last.at_offset + 1, last.at, last.topic, last.partition, last.offset, other),
                        Commit(last.at_offset + 2, last.at, last.topic, last.partition, last.offset, last.metadata)]


@anomaly("I5 metadata")
def no_commit_was_seen(history: History) -> None:
    history.commits.clear()


# I6


@anomaly("I6 provenance")
def a_decision_of_another_tenant(history: History) -> None:
    one = history.decisions[0]
    one.identity = one.identity._replace(tenant="tenant-of-others")


@anomaly("I6 provenance")
def a_decision_of_another_ticket(history: History) -> None:
    history.decisions[0].ticket = "T-other"


@anomaly("I6 provenance")
def feedback_that_speaks_of_another_event(history: History) -> None:
    terminal(history, "IGNORED").event_id = "event-of-nobody"


@anomaly("I6 provenance")
def feedback_without_a_name_for_a_readable_event(history: History) -> None:
    one = terminal(history, "ACCEPTED")
    one.event_id = one.tenant = one.source = one.ticket = None


@anomaly("I6 provenance")
def a_readable_event_that_was_called_undecodable(history: History) -> None:
    one = terminal(history, "REJECTED", "DECODE_FAILED")
    record_of(history, one).event = Event(Identity("tenant-0", "/desk", False, "fine"), "fine", "T-fine", "body")


@anomaly("I6 provenance")
def an_output_of_another_shape(history: History) -> None:
    history.decisions[2].flaws = ("TriageDecision.risk is no record",)


@anomaly("I6 provenance")
def a_dead_letter_with_other_bytes(history: History) -> None:
    history.dead_letters[0].kept_sum = "other"


@anomaly("I6 provenance")
def a_dead_letter_of_another_tenant(history: History) -> None:
    next(one for one in history.dead_letters if one.tenant).tenant = "tenant-of-others"


@anomaly("I6 provenance")
def a_copy_of_another_tenants_event(history: History) -> None:
    one = terminal(history, "IGNORED")
    one.status, one.code = "DUPLICATE", "SAME_EVENT"


@anomaly("I6 provenance")
def a_copy_that_names_another_events_decision(history: History) -> None:
    one = terminal(history, "DUPLICATE")
    one.decision_id = next(it.decision_id for it in history.decisions if it.decision_id != one.decision_id)


def answered(history: History) -> list[Any]:
    return [row for row in history.rows if row.response_id and row.status == "ACCEPTED"]


def decision_of(history: History, row: Any) -> Any:
    return next(one for one in history.decisions if one.decision_id == row.decision_id)


@anomaly("I6 provenance")
def two_events_that_were_given_each_others_answers(history: History) -> None:
    first, second = answered(history)[:2]
    first.response_id, second.response_id = second.response_id, first.response_id
    for row in (first, second):
        decision_of(history, row).response_id = row.response_id


@anomaly("I6 provenance")
def an_answer_that_the_provider_never_gave(history: History) -> None:
    row = answered(history)[0]
    row.response_id = decision_of(history, row).response_id = "invented"


@anomaly("I6 provenance")
def an_answer_of_a_call_that_failed(history: History) -> None:
    row = answered(history)[0]
    next(call for call in history.calls if call.response_id == row.response_id).status = 500


@anomaly("I6 provenance")
def a_decision_that_tells_another_answer_than_the_saved_one(history: History) -> None:
    decision_of(history, answered(history)[0]).response_id = answered(history)[1].response_id


@anomaly("I6 provenance")
def a_decision_for_which_nobody_was_asked(history: History) -> None:
    row = answered(history)[0]
    row.response_id = decision_of(history, row).response_id = None
    history.calls[:] = [call for call in history.calls if call.key != row.key]


# I7


@anomaly("I7 paid once")
def a_call_after_its_answer_was_saved(history: History) -> None:
    row = history.rows[0]
    assert row.answered_at
    history.calls.append(Call(row.key, row.answered_at + 1, row.answered_at + 2, 200, False, "again"))
    history.interruptions.append(Interruption("kill", row.answered_at, row.answered_at, "gk-1"))


@anomaly("I7 paid once")
def a_call_made_again_without_a_reason(history: History) -> None:
    history.interruptions.clear()


@anomaly("I7 paid once")
def a_call_made_again_because_an_instance_joined(history: History) -> None:
    for one in history.interruptions:
        one.kind = "join"


@anomaly("I7 paid once")
def a_call_made_again_because_another_instance_was_killed(history: History) -> None:
    for one in history.interruptions:
        one.instance = "gk-9"


@anomaly("I7 paid once")
def a_call_made_again_because_the_other_owner_was_killed(history: History) -> None:
    for one in history.interruptions:
        one.instance = "gk-2" if one.instance == "gk-1" else "gk-1"


@anomaly("I7 paid once")
def more_calls_lost_than_were_in_flight(history: History) -> None:
    history.max_in_flight = 0


# I8


@anomaly("I8 stable")
def a_decision_that_is_not_the_saved_one(history: History) -> None:
    history.decisions[1].value_sum = "other"


@anomaly("I8 stable")
def a_decision_that_was_never_saved(history: History) -> None:
    history.rows.pop(1)


@anomaly("I8 stable")
def no_ledger_was_seen(history: History) -> None:
    history.rows.clear()


@anomaly("I8 stable")
def an_event_that_ended_otherwise_than_saved(history: History) -> None:
    history.rows[2].status, history.rows[2].code = "DEGRADED", "PROVIDER_ERROR"


@anomaly("I8 stable")
def a_decision_on_a_record_that_does_not_own_the_event(history: History) -> None:
    history.rows[0].owner = Place(history.rows[0].owner.partition, 9_999)


@anomaly("I8 stable")
def published_and_never_marked_as_such(history: History) -> None:
    history.rows[0].published_at = None


@anomaly("I8 stable")
def a_better_decision_that_was_never_marked_as_published(history: History) -> None:
    next(row for row in history.rows if row.decision_id == better(history).decision_id).published_at = None


# I9


@anomaly("I9 fencing")
def a_commit_by_an_instance_that_had_lost_the_partition(history: History) -> None:
    last = history.commits[-1]
    text = encode(last.offset, last.offset, [], writer="gk-9", burst=900)
    history.commits.append(Commit(last.at_offset + 1, last.at, last.topic, last.partition, last.offset, text))


@anomaly("I9 fencing")
def a_strangers_commit_where_copies_wait(history: History) -> None:
    one = deferred_commit(history)
    one.metadata = encode(one.offset, one.offset, [], writer="gk-9", burst=900)


@anomaly("I9 fencing")
def a_zombies_last_burst_after_the_next_generation(history: History) -> None:
    last = history.commits[-1]
    owners = {place: "gk-2" if owner == "gk-1" else "gk-1" for place, owner in history.generations[-1].owners.items()}
    history.generations.append(Generation(last.at_offset - 1, last.at, 3, owners))
    history.generations.sort(key=lambda one: one.at_offset)


@anomaly("I9 fencing")
def a_transactional_id_nobody_was_given(history: History) -> None:
    history.transactional_ids.add("gk-1-7f3c")


@anomaly("I9 fencing")
def no_generation_was_seen(history: History) -> None:
    history.generations.clear()


# I10


@anomaly("I10 no torn read")
def an_aborted_record_that_was_read(history: History) -> None:
    seen = history.followed[9]
    history.aborted.add((seen.topic, seen.partition, seen.offset))


@anomaly("I10 no torn read")
def a_record_that_was_seen_and_went_away(history: History) -> None:
    history.followed.append(history.followed[-1]._replace(offset=10_000))


# I11


@anomaly("I11 live")
def it_never_settled(history: History) -> None:
    history.settled_after_ms = None


@anomaly("I11 live")
def it_settled_too_late(history: History) -> None:
    history.settled_after_ms = history.settle_bound_ms + 1


@anomaly("I11 live")
def a_partition_that_lags(history: History) -> None:
    partition, (base, text) = next(iter(history.position.items()))
    history.position[partition] = (base - 1, text)


@anomaly("I11 live")
def a_partition_nobody_committed(history: History) -> None:
    history.position.pop(0)


@anomaly("I11 live")
def a_transaction_that_stays_open(history: History) -> None:
    history.open_transactions.add("gk-1")


@anomaly("I11 live")
def an_instance_that_ended_itself(history: History) -> None:
    history.lives.append(Life("gk-2", 1, 2, 70))


@anomaly("I11 live")
def an_instance_that_ended_itself_after_it_had_worked(history: History) -> None:
    history.interruptions.append(Interruption("database", 0, 1 << 60))
    last = history.commits[-1]
    history.lives.append(Life(history.generations[-1].owners[last.topic, last.partition], 1, last.at + 1, 1))


@anomaly("I11 live")
def a_start_that_panicked_while_the_broker_was_away(history: History) -> None:
    history.interruptions.append(Interruption("broker", 0, 10))
    history.lives.append(Life("gk-3", 5, 6, 101))


@anomaly("I11 live")
def a_start_that_gave_up_without_a_reason(history: History) -> None:
    history.interruptions.append(Interruption("kill", 0, 1 << 60))
    history.lives.append(Life("gk-2", 1, 2, 1))


@anomaly("I11 live")
def a_transaction_that_was_open_while_nothing_befell(history: History) -> None:
    history.interruptions.clear()
    seen = next(one for one in history.followed if one.topic == history.topics.feedback)
    history.followed[history.followed.index(seen)] = seen._replace(at=seen.at + 4_000)


class Anomalies(unittest.TestCase):
    def test_every_anomaly_is_flagged_by_its_rule(self) -> None:
        for seed in range(3):
            for rule, name, spoil in ANOMALIES:
                with self.subTest(anomaly=name, seed=seed):
                    history = good.history(seed)
                    spoil(history)
                    self.assertIn(rule, judge(history).violations, name)

    def test_every_check_of_every_rule_is_reached_by_an_anomaly(self) -> None:
        reached: set[tuple[str, int]] = set()

        def find(self: Report, rule: str, what: str) -> None:
            caller = sys._getframe(1)
            reached.add((Path(caller.f_code.co_filename).name, caller.f_lineno))

        with mock.patch.object(Report, "find", find):
            for _, _, spoil in ANOMALIES:
                history = good.history()
                spoil(history)
                judge(history)
        rules = Path(__file__).resolve().parents[1] / "rules"
        checks = {(file.name, call.lineno) for file in rules.glob("i*.py") for call in ast.walk(ast.parse(file.read_text()))
                  if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "find"}
        self.assertEqual(sorted(checks - reached), [])

    def test_every_rule_has_its_anomalies(self) -> None:
        rules = {rule.split()[0] for rule, _, _ in ANOMALIES}
        self.assertEqual(rules, {f"I{number}" for number in range(1, 12)})


if __name__ == "__main__":
    unittest.main()
