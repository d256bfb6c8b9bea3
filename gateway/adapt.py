"""How many requests an engine is given at once, adapted to what it says of itself. No clock, no I/O.

A plan's number is a start: real prompts may be longer, and the KV cache full with fewer requests. What an engine
cannot run waits in its own queue, first come first served, where fairness and priorities end. So when it has a queue
of its own, or preempts (throws out what it has begun, to compute it anew), it gets fewer, and what is too many waits
here. Downwards the limit goes to what the engine does run, upwards in small steps and only while it binds.
"""

from __future__ import annotations

from gateway.reports import Report

# A request that has just come counts as waiting until the next step begins; only a queue that stays is one.
QUEUED_POLLS = 2
# Polls without queue or preemption before the limit rises by a step.
QUIET_POLLS = 3
# The lowest limit, and one step up, as shares of the highest.
FLOOR_SHARE = 8
STEP_SHARE = 20
# With less of the KV cache free than this no more are sent.
KV_FULL = 0.95


class Limit:
    """The limit of one address: between ``floor`` and ``ceiling``, at ``ceiling`` to begin with."""

    __slots__ = ("_preemptions", "_queued", "_quiet", "ceiling", "floor", "value")

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.floor = max(1, ceiling // FLOOR_SHARE)
        self.value = ceiling
        self._queued = 0
        self._quiet = 0
        self._preemptions: float | None = None

    def observe(self, report: Report, in_flight: int) -> int:
        """A new report; returns the limit from now on.

        Args:
            in_flight: requests that this gateway has there. Others' requests are in the report as well; what waits is
                then shared out by their numbers.
        """
        before, self._preemptions = self._preemptions, report.preemptions
        # Lower than before: the engine was started anew.
        preempted = max(0.0, report.preemptions - before) if before is not None else 0.0
        self._queued = self._queued + 1 if report.waiting > 0 else 0
        if preempted > 0 or self._queued >= QUEUED_POLLS:
            self._down(report, in_flight, preempted)
        elif report.waiting > 0 or report.kv_usage >= KV_FULL:
            self._quiet = 0
        else:
            self._up(in_flight)
        return self.value

    def _down(self, report: Report, in_flight: int, preempted: float) -> None:
        self._quiet = self._queued = 0
        if not in_flight:  # somebody else's requests
            return
        total = report.running + report.waiting
        ours = min(1.0, in_flight / total) if total else 1.0
        too_many = (report.waiting or min(preempted, report.running / FLOOR_SHARE)) * ours
        # At most to half in one go: the report is of one moment.
        self.value = max(self.floor, self.value // 2, min(self.value, round(in_flight - too_many)))

    def _up(self, in_flight: int) -> None:
        if in_flight < self.value:  # it does not bind, so it says nothing of what the engine can take
            return
        self._quiet += 1
        if self._quiet >= QUIET_POLLS:
            self._quiet = 0
            self.value = min(self.ceiling, self.value + max(1, self.ceiling // STEP_SHARE))
