"""The adaptive concurrency limit of a replica, from the queue that it reports. No clock, no I/O.

A plan's number of seats is a start: the engine may have fewer for us, or somebody else uses it too. What it cannot run
waits in its own queue, first come first served, where fairness and priorities end. A short queue there is wanted: a
seat that falls free is taken in the very next step. A longer one that stays takes the limit down to what the engine
runs and that short queue; it rises again while it binds and the engine has none. Room in the KV cache is for
`kv_occupancy`: a queue in front of a full cache says nothing about seats, nor does one for prompts that are to be read.
"""

from __future__ import annotations

from gateway.engines.vllm_metrics import Report

# A request that has just come counts as waiting until the next step begins; only a queue that stays is one.
QUEUED_POLLS = 2
# For so many that run one may wait in the engine, and a plan lets so many more in than there are seats.
HEADROOM_PART = 8
# With more of the KV cache in use, what waits there waits for room in it.
KV_FILLED = 0.75
# The lowest limit, and the first step up, as shares of the highest; each quiet poll after it doubles the step.
FLOOR_SHARE = 8
STEP_SHARE = 8


class ConcurrencyLimit:
    """The limit of one address: between ``floor`` and ``ceiling``, at ``ceiling`` to begin with."""

    __slots__ = ("_first_step", "_queued", "_step", "ceiling", "floor", "value")

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.floor = max(1, ceiling // FLOOR_SHARE)
        self.value = ceiling
        self._queued = 0
        self._first_step = max(1, ceiling // STEP_SHARE)
        self._step = self._first_step

    def observe(self, report: Report, in_flight: int, reading: bool = False) -> int:
        """A new report; returns the limit from now on.

        Args:
            in_flight: requests that this gateway has there. Others' requests are in the report as well; what waits is
                then shared out by their numbers.
            reading: it has more prompts to read than a few steps hold; then what waits is for those steps.
        """
        wanted = -(-report.running // HEADROOM_PART) or 1.0
        too_long = report.waiting > wanted and report.kv_usage < KV_FILLED and not reading
        self._queued = self._queued + 1 if too_long else 0
        if self._queued >= QUEUED_POLLS:
            self._down(report, in_flight, report.waiting - wanted)
        elif report.waiting > 0:
            self._step = self._first_step
        else:
            self._up(in_flight)
        return self.value

    def _down(self, report: Report, in_flight: int, too_many: float) -> None:
        self._queued = 0
        self._step = self._first_step
        if not in_flight:  # somebody else's requests
            return
        ours = min(1.0, in_flight / (report.running + report.waiting))
        # At most to half in one go: the report is of one moment.
        self.value = max(self.floor, self.value // 2, min(self.value, round(in_flight - too_many * ours)))

    def _up(self, in_flight: int) -> None:
        if in_flight < self.value:  # it does not bind, so it says nothing of what the engine can take
            return
        self.value = min(self.ceiling, self.value + self._step)
        self._step *= 2
