"""I4: at any sampled instant, outputs and committed position say the same.

A sample reads three things in this order, and the order is the proof:

    visible    first offset of each output partition that a read_committed reader cannot see yet
    committed  the group's position, waiting for stable offsets
    written    first offset of each output partition that nobody has written yet

What is below `visible` was committed before the position was read, so the position must own its origin. What the position
owns was written before the position could be committed, so its output stands below `written`.

Each topic of the outputs is held against the position by itself: what goes out in a transaction of its own is no less torn.

What was put off is finished with the record that says so; its decision and its end come with its copy, at another position.
"""

from __future__ import annotations

from ..history import Output, Sample
from ..report import Report
from ..view import View, owned

RULE = "I4 atomic"


def atomic(view: View, report: Report) -> None:
    if not view.history.samples:
        report.find(RULE, "no instant was sampled")
        return
    for partition in view.partitions():
        _Partition(view, partition).judge(report)


class _Partition:
    """One partition through all samples; what was judged once as settled is not looked at again."""

    def __init__(self, view: View, partition: int) -> None:
        self.view, self.partition = view, partition
        topics = view.history.topics
        said = sorted((one for one in view.history.feedback if one.partition == partition), key=lambda one: one.offset)
        put_off = {one.origin.offset: one for one in reversed(said) if not one.terminal}
        # The outputs with which each input was finished, by topic, in the order of the log.
        self.finishing: dict[tuple[str, int], list[Output]] = {
            (topics.feedback, partition): [one for one in said if put_off.get(one.origin.offset, one) is one]}
        for topic, records in ((topics.decisions, view.history.decisions), (topics.dead_letters, view.history.dead_letters)):
            # A better decision comes with its improve record, after its event was finished.
            self.finishing[topic, partition] = sorted(
                (one for one in records if one.partition == partition and getattr(one, "version", 1) == 1
                 and one.origin.offset not in put_off), key=lambda one: one.offset)
        # Where the outputs of each input end: the highest offset by topic.
        self.ends: dict[int, dict[tuple[str, int], int]] = {}
        for place, outputs in self.finishing.items():
            for output in outputs:
                ends = self.ends.setdefault(output.origin.offset, {})
                ends[place] = max(output.offset, ends.get(place, -1))
        self.inputs = sorted(place.offset for place in view.inputs if place.partition == partition)
        # Origins that are visible and at or above the base; inputs below `covered` were seen to be covered.
        self.above: set[int] = set()
        self.next_output = dict.fromkeys(self.finishing, 0)
        self.covered = 0

    def judge(self, report: Report) -> None:
        for sample in self.view.history.samples:
            # A position that was not stable then is not in the sample.
            if self.partition in sample.committed:
                self._no_output_goes_beyond(sample, report)
                self._outputs_cover_the_position(sample, report)

    def _no_output_goes_beyond(self, sample: Sample, report: Report) -> None:
        for place, outputs in self.finishing.items():
            visible, at = sample.visible.get(place, 0), self.next_output[place]
            while at < len(outputs) and outputs[at].offset < visible:
                self.above.add(outputs[at].origin.offset)
                at += 1
            self.next_output[place] = at
        frontier = owned(sample.committed.get(self.partition))
        beyond = {offset for offset in self.above if frontier is None or not frontier.owns(offset)}
        for offset in sorted(beyond):
            report.find(RULE, f"at {sample.at} an output of {self.partition}@{offset} was visible that the committed "
                              "position did not own")
        base = frontier.base if frontier else 0
        self.above = {offset for offset in self.above if offset >= base and offset not in beyond}

    def _outputs_cover_the_position(self, sample: Sample, report: Report) -> None:
        frontier = owned(sample.committed.get(self.partition))
        if frontier is None:
            return
        at = self.covered
        while at < len(self.inputs) and self.inputs[at] < frontier.end:
            offset = self.inputs[at]
            if frontier.owns(offset) and not self._is_written(offset, sample):
                report.find(RULE, f"at {sample.at} the committed position owned {self.partition}@{offset} and its "
                                  "output was not written")
            at += 1
            if offset < frontier.base:
                self.covered = at
        return

    def _is_written(self, offset: int, sample: Sample) -> bool:
        ends = self.ends.get(offset)
        return ends is not None and all(end < sample.written.get(topic, 0) for topic, end in ends.items())
