"""Progress on stdout: whole lines when it is a pipe, a counter that moves when it is a terminal.

A stage in which nothing ends for a while says so in a pipe too, or a server that answers nothing would look like a load
test that hangs.
"""

from __future__ import annotations

import time
from typing import TextIO

from common.printable import shown
from loadtest.analysis.metrics import ClientMetrics
from loadtest.runner.stage import Stage

_QUIET_S = 30.0  # a pipe gets a line at least so often


class RunProgress:
    """Every line is flushed at once, so that whoever reads the pipe sees it. `sides`: each stage tells its side."""

    def __init__(self, stream: TextIO, sides: bool = False) -> None:
        self._stream = stream
        self._sides = sides
        self._terminal = stream.isatty()
        self._moving = 0
        self._prefix = ""
        self._began = self._told = 0.0

    def line(self, text: str) -> None:
        self._clear()
        self._stream.write(shown(text) + "\n")
        self._stream.flush()

    def stage_begins(self, stage: Stage, of: int) -> None:
        side = f"{stage.plan.side}, " if self._sides else ""
        self._prefix = f"stage {stage.number}/{of}: {side}{stage.plan.label}"
        self._began = self._told = time.monotonic()
        if not self._terminal:
            self.line(f"{self._prefix} …")

    def tick(self, stage: Stage) -> None:
        now = time.monotonic()
        if not self._terminal and now - self._told < _QUIET_S:
            return
        self._told = now
        wanted = "" if stage.planned is None else f"/{stage.planned}"
        at = f"{len(stage.records)}{wanted} answers" if stage.released else "warming up"
        text = f"{self._prefix} … {at}, {now - self._began:.0f} s"
        if not self._terminal:
            self.line(text)
            return
        self._stream.write("\r" + shown(text).ljust(self._moving))
        self._stream.flush()
        self._moving = len(text)

    def stage_ends(self, stage: Stage, client: ClientMetrics) -> None:
        good = client.requests - client.failed
        time = f" in {client.total_time_s:.2f} s" if client.total_time_s is not None else ""
        rate = f", {client.output_tokens_per_s:.0f} tokens/s" if client.output_tokens_per_s is not None else ""
        failed = f", {client.failed} failed" if client.failed else ""
        missing = "" if stage.complete else ", stopped early"
        self.line(f"{self._prefix}: {good} good answers{time}{rate}{failed}{missing}")

    def _clear(self) -> None:
        if self._moving:
            self._stream.write("\r" + " " * self._moving + "\r")
            self._moving = 0
