"""Detects stalled engines from token progress, not status codes: vLLM's /health says 200 while nothing moves. Pure.

Signs of life: any change in what the engine reports of its core (steps, tokens, KV cache, batch, queue), and any byte
of an answer. An engine that has work and shows none of them for as long as `patience` is frozen. An idle one cannot be
judged so; it gets a tiny request instead (`health_checker`).

What could be mistaken for it is one long step: on a slow CPU a step that reads thousands of prompt tokens takes many
seconds, and nothing moves until its end. A step has at most ``step_tokens`` and only what nobody has answered yet can
be in it. So the patience grows by these tokens over the reading speed: the best mean of any busy period of this
engine, or `SLOWEST_READING`, whichever is more. (A prompt counts when it has been read to its end, so over less than
the whole period the speed would seem too high.) Should an engine be slower still (it was called frozen while long
prompts were unanswered, and then went on), its patience doubles, up to `MOST_PATIENT` times.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.engines.vllm_metrics import Report

# Prompt tokens a second; a model of 0.5 billion weights on two cores reads some hundred.
SLOWEST_READING = 200.0
MOST_PATIENT = 8
# While it answers no poll either, so much longer: on shared cores a front end can wait for one for seconds, and silence
# says less than a report that stands still.
SILENT_FACTOR = 3
# With so many prompt tokens unanswered it may have been a long step.
LONG_STEP = 256


@dataclass(frozen=True, slots=True)
class Work:
    """What this gateway has at an engine.

    ``in_flight``: requests whose clients take what comes; ``blocked``: those whose clients do not, so that nothing can
    come. ``last_byte_at``: when the last byte of any answer came, on the judge's clock. ``unread``: estimated prompt
    tokens of the requests for which nothing has come yet.
    """

    in_flight: int
    blocked: int
    last_byte_at: float
    unread: int


class StallDetector:
    """One engine's signs of life. ``moved_at``: when the last one was seen, on the caller's clock."""

    def __init__(self, frozen_after_s: float, step_tokens: int, now: float) -> None:
        self._frozen_after_s = frozen_after_s
        self._step_tokens = step_tokens
        self._report: Report | None = None
        self._began = now  # the busy period, and what had been read by then
        self._began_tokens = 0.0
        self._last_byte_at = 0.0
        self._unread = 0
        self._reading = SLOWEST_READING
        self._stretch = 1
        self._called_frozen = self._perhaps_slow = False
        self._busy = self._silent = False
        self._quiet_since = now
        self.moved_at = now

    def observe(self, now: float, report: Report | None, work: Work) -> None:
        """What was seen at ``now``. ``report``: None when it could not be had."""
        last, known = self._report, report or self._report
        # Requests of clients that do not read may stand still in the engine as well.
        self._busy = work.in_flight > 0 or (known is not None and known.running + known.waiting > work.blocked)
        moved = work.last_byte_at > self._last_byte_at or (report is not None and report != last)
        if report is not None:
            if self._perhaps_slow and report != last:
                self._stretch = min(MOST_PATIENT, 2 * self._stretch)
            self._learn(now, report, last)
            self._report = report
        self._last_byte_at = work.last_byte_at
        self._unread = work.unread
        self._silent = report is None
        if moved:
            self.moved_at = now
        if moved or not self._busy:
            self._quiet_since = now
            self._called_frozen = self._perhaps_slow = False

    @property
    def patience(self) -> float:
        """Seconds without a sign of life that this engine is allowed now."""
        step = min(self._step_tokens, self._unread) / self._reading
        return (self._frozen_after_s + step) * self._stretch * (SILENT_FACTOR if self._silent else 1)

    def frozen_for(self, now: float) -> float | None:
        """Seconds since the last sign of life, if the engine is frozen.

        None as well where it never reported anything: then only the time limits of `limits` (gateway.yaml) hold.
        """
        quiet = now - self._quiet_since
        if not self._busy or self._report is None or quiet < self.patience:
            return None
        if not self._called_frozen:
            self._called_frozen = True
            self._perhaps_slow = self._unread >= LONG_STEP
        return quiet

    def heard(self, now: float) -> None:
        """It brought a token for the judge itself."""
        self._quiet_since = self.moved_at = now
        self._called_frozen = self._perhaps_slow = False

    def forget(self, now: float) -> None:
        """The process is gone; what comes next is another one. How slow it is stays known."""
        self._report = None
        self._busy = self._called_frozen = self._perhaps_slow = False
        self._quiet_since = now

    def _learn(self, now: float, report: Report, last: Report | None) -> None:
        read = report.prompt_tokens
        if last is not None and read >= last.prompt_tokens and now > self._began:
            self._reading = max(self._reading, (read - self._began_tokens) / (now - self._began))
        if last is None or read < last.prompt_tokens or not self._busy:
            self._began, self._began_tokens = now, read
