"""KV cache occupancy of a replica: what its requests need now and at the worst moment to come. No clock, no I/O.

An engine has room for tokens, not for contexts. A request holds its prompt and grows by a token a step until it ends,
so what counts is the highest sum of the future: requests that are nearly done make room before others have grown. That
peak is computed from what each request still has to write (Gong et al., "Past-Future Scheduler for LLM Serving under
SLA Guarantees", ASPLOS 2025), and another request is sent while it stays within the cache.

What the engine says of itself corrects the sum. ``scale`` is the KV cache that it really uses for each token of ours
(less where prompts share their beginnings, more where a text has more tokens than its size tells); ``margin`` is the
share of the cache that is kept free since it last preempted: that is how over-commitment goes back.
"""

from __future__ import annotations

import math
from typing import Protocol

from gateway.engines.vllm_metrics import Report

# Requests may cross the line by this share of the cache, or by two of them (at most twice that share), so that the
# engine has the next ones at hand and begins with them in the step in which there is room: it lets a prompt wait until
# it fits. What it does not do is to think of growth, so only while all that is still to be written is no more than
# `CROSSING_GROWTH`th of the cache. Long answers do not feel a late step.
CROSSING_SHARE = 8.0
CROSSING_REQUESTS = 2.0
CROSSING_GROWTH = 16.0
# The scale is learned while our requests fill at least this share of the cache, and kept between these.
_LEARN_FROM = 0.05
_LEAST_SCALE, _MOST_SCALE = 0.05, 4.0
_LEARN_SHARE = 0.5
# Up to this share of the cache the sum of all that may be needed is enough to say yes; above it the peak is computed.
_SURE_SHARE = 0.7
# One poll with preemptions keeps so much more of the cache free (and a part of the share that was preempted), at most …
_MARGIN_STEP, _MARGIN_OF_PREEMPTED, _MOST_MARGIN = 0.02, 0.25, 0.5
# … and each poll without gives back this share of it.
_MARGIN_FADES = 0.02
# Blocks of so many tokens are too large to be reckoned with their half.
_LARGE_BLOCK = 64.0
# A request that has written more than was expected goes on for this part of what it has written.
_OVERDUE_SHARE, _OVERDUE_LEAST = 0.25, 8.0


class Progress(Protocol):
    """What is seen of an answer."""

    events: int


class Hold:
    """What one request needs of a KV cache. Tokens.

    ``prompt``: as estimated. ``output``: expected; ``most``: what it is bounded to. ``work``: its cost in service units
    (`cost.cost`). ``began``: when it was sent, on the caller's clock. ``progress``: counts its events; None where
    nothing is to be seen of it before its end. ``unread``: its prompt, until its first token; 0 where that is not seen.
    """

    __slots__ = ("began", "most", "output", "progress", "prompt", "unread", "work")

    def __init__(self, prompt: float, output: float, most: float, work: float, began: float) -> None:
        self.prompt = prompt
        self.output = output
        self.most = most
        self.work = work
        self.began = began
        self.progress: Progress | None = None
        self.unread = 0.0

    def written(self, now: float, pace: float) -> float:
        """Tokens of the answer so far. ``pace``: tokens a second of a request that shows no progress."""
        progress = self.progress
        if progress is not None:
            return float(progress.events)
        return min(self.output, max(0.0, now - self.began) * pace)

    def remaining(self, written: float) -> float:
        """Tokens that it is still expected to write."""
        left = self.output - written
        if left <= 0.0:
            left = max(_OVERDUE_LEAST, _OVERDUE_SHARE * written)
        return max(0.0, min(left, self.most - written))


class Occupancy:
    """The KV cache of one address. ``scale`` and ``margin``: see above."""

    __slots__ = (
        "_block", "_full", "_generated", "_observed_at", "_others", "_pace", "_preemptions", "_strangers", "_sure",
        "_targets", "capacity", "holds", "margin", "scale",
    )  # fmt: skip

    def __init__(self, capacity: int) -> None:
        """``capacity``: tokens, as planned; what the engine reports replaces it."""
        self.capacity = float(capacity)
        self.holds: set[Hold] = set()
        self.scale = 1.0
        self.margin = 0.0
        self._targets = (1.0, 1.0, 1.0)
        self._sure = _SURE_SHARE * self.capacity
        self._full = 0.0  # what all would need if none ended before the others
        self._block = 1.0
        self._others = 0.0  # tokens of requests that are not ours
        self._strangers = 0.0
        self._pace = 0.0
        self._preemptions = -1.0
        self._generated = -1.0
        self._observed_at = 0.0

    def add(self, hold: Hold) -> None:
        self.holds.add(hold)
        self._full += hold.prompt + hold.output + self._block

    def remove(self, hold: Hold) -> None:
        self.holds.discard(hold)
        # What is left over from adding and subtracting fractions, and from changes in between, ends with the last one.
        left = self._full - hold.prompt - hold.output - self._block
        self._full = left if left > 0.0 and self.holds else 0.0

    def surely_has_room(self, prompt: float, output: float, share: float) -> bool:
        """`has_room` where the sum of all that may be needed says so; nearly always, and without a look at each."""
        return self._full + prompt + output + self._block <= self._sure * share

    def has_room(self, prompt: float, output: float, share: float, now: float) -> bool:
        """Whether a request may be sent.

        Args:
            prompt: its tokens, and ``output`` those that it is expected to write.
            share: of the cache that whoever asks may use, 0 to 1.
            now: the caller's clock, seconds.
        """
        if not self.holds and not self._others:  # whatever is asked for may at least be tried alone
            return True
        usable, peak = self.usable * share, self._peak(now, prompt, output)
        if peak <= usable:
            return True
        growth = output + sum(hold.remaining(hold.written(now, self._pace)) for hold in self.holds)
        if growth * self.scale * CROSSING_GROWTH > usable:
            return False
        line = usable / CROSSING_SHARE
        return peak <= usable + min(max(line, CROSSING_REQUESTS * (prompt + output) * self.scale), 2 * line)

    @property
    def usable(self) -> float:
        """Tokens of the cache that requests of ours may come to."""
        return max(0.0, self.capacity - self._others) * (1.0 - self.margin)

    def peak(self, now: float) -> float:
        """Tokens that the requests there are expected to come to at most, all together."""
        return self._peak(now, 0.0, -1.0)

    def observe(self, report: Report, now: float) -> None:
        """What the engine says of itself, about once a second."""
        if report.kv_tokens > 0:
            self.capacity, self._block = report.kv_tokens, max(1.0, report.block_tokens)
        used = report.kv_usage * self.capacity
        self._see_others(report, used)
        self._see_pace(report, now)
        self._see_preemptions(report)
        self._see_usage(report, used - self._others, now)
        self._sure = _SURE_SHARE * self.usable / self.scale

    def unseen(self) -> None:
        """It says nothing of itself any more: what others had there is not known, and may be gone."""
        self._others = self._strangers = 0.0

    def _peak(self, now: float, prompt: float, output: float) -> float:
        """The highest sum to come, scaled; with one more request unless ``output`` is below 0.

        In the order of their ends: when the last but k ends, k + 1 have grown by what it still had to write. Small
        blocks are reckoned with their half; where the sum is highest it is made once more, in whole ones. Large blocks
        (a CPU engine's have 128 tokens) decide where that is, so there every end is looked at in whole ones.
        """
        pace = self._pace
        rows: list[tuple[float, float]] = []
        for hold in self.holds:
            written = hold.written(now, pace)
            rows.append((hold.remaining(written), hold.prompt + written))
        if output >= 0.0:
            rows.append((output, prompt))
        return self._peak_of(rows) * self.scale

    def _peak_of(self, rows: list[tuple[float, float]]) -> float:
        """``rows``: what is still to be written and what is held, of each; their order is changed."""
        rows.sort(reverse=True)
        if self._block >= _LARGE_BLOCK:
            return max((self._at_end_of(number, rows) for number in range(len(rows))), default=0.0)
        held = peak = 0.0
        last = -1
        for number, (remaining, current) in enumerate(rows):
            held += current
            together = held + (number + 1) * (remaining + self._block / 2)
            if together > peak:
                peak, last = together, number
        return self._at_end_of(last, rows)

    def _at_end_of(self, number: int, rows: list[tuple[float, float]]) -> float:
        """What those before it in ``rows`` and it hold when it ends."""
        grown = rows[number][0] if number >= 0 else 0.0
        whole = 0.0
        for index in range(number + 1):
            whole += self._rounded(rows[index][1] + grown)
        return whole

    def _rounded(self, tokens: float) -> float:
        """In whole blocks. The token that was written last is not in the cache yet."""
        return math.ceil(max(1.0, tokens - 1.0) / self._block) * self._block

    def _see_others(self, report: Report, used: float) -> None:
        """Requests that are not ours, in two polls in a row: one poll may have been before or after one of ours."""
        total = report.running + report.waiting
        strangers = max(0.0, total - len(self.holds))
        self._others = used * min(strangers, self._strangers) / total if total else 0.0
        self._strangers = strangers

    def _see_pace(self, report: Report, now: float) -> None:
        seconds = now - self._observed_at
        if self._generated >= 0 and report.generation_tokens >= self._generated and report.running and seconds > 0:
            self._pace = (report.generation_tokens - self._generated) / seconds / report.running
        self._generated, self._observed_at = report.generation_tokens, now

    def _see_preemptions(self, report: Report) -> None:
        before, self._preemptions = self._preemptions, report.preemptions
        # Lower than before: the engine was started anew.
        preempted = report.preemptions - before if before >= 0 else 0.0
        # Requests that are not ours are preempted as well; only our part is for us to take back.
        preempted *= min(1.0, len(self.holds) / max(1.0, report.running + report.waiting))
        if preempted > 0:
            share = min(1.0, preempted / max(1.0, report.running))
            self.margin = min(_MOST_MARGIN, self.margin + _MARGIN_STEP + _MARGIN_OF_PREEMPTED * share)
        else:
            self.margin *= 1.0 - _MARGIN_FADES

    def _see_usage(self, report: Report, used: float, now: float) -> None:
        """Learn the scale, and expect more of the requests that have written more than was expected."""
        begun = unread = full = 0.0
        unanswered = 0
        for hold in self.holds:
            written = hold.written(now, self._pace)
            if written > hold.output:
                hold.output = written + hold.remaining(written)
            full += hold.prompt + hold.output + self._block
            if written > 0:
                begun += self._rounded(hold.prompt + written)
            else:
                unread += self._rounded(hold.prompt)
                unanswered += 1
        self._full = full
        if begun < _LEARN_FROM * self.capacity:
            return
        # Those in the engine's own queue hold nothing yet; the others without an answer hold up to all of their prompt.
        reading = max(0.0, unanswered - report.waiting) / unanswered if unanswered else 0.0
        least, most = used / (begun + unread * reading), used / begun
        # Nothing learned is kept longer than it is seen: prompts that are still read leave a wide range with 1 in it.
        target = min(_MOST_SCALE, max(_LEAST_SCALE, min(max(1.0, least), most)))
        # The middle one of three polls: while many end and begin, one poll compares two different moments.
        self._targets = (self._targets[1], self._targets[2], target)
        self.scale += _LEARN_SHARE * (sorted(self._targets)[1] - self.scale)
