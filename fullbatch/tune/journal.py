"""The journal of a race: a line for each boot and each measurement, so that a race goes on after Ctrl-C or a crash.

What was measured is answered from it, in the same order; an engine is started again only where it ends.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fullbatch.core.errors import UsageError
from fullbatch.tune.bench import ArmFailed, Boot, MeasuredLoad, RaceBench, RaceLoad

NAME = "journal.jsonl"


class Journal:
    """Lines of one race in one file; a line that was cut off by a crash is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = _read(path)

    @property
    def question(self) -> Any:
        """What the race was asked; None where it is new."""
        return self.lines[0].get("question") if self.lines else None

    def write(self, line: Mapping[str, Any]) -> None:
        """OSError where the disk is full: all lines before are there."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(dict(line))


def _read(path: Path) -> list[dict[str, Any]]:
    """UsageError for a file that is no journal."""
    if not path.exists():
        return []
    whole = path.read_bytes()
    text, cut, _ = whole.rpartition(b"\n")
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise UsageError(f"{path}:{number}: is no line of a race; give another --out, or remove the file")
        found.append(value)
    if len(text) + len(cut) < len(whole):  # what a crash cut off must not be gone on with
        path.write_bytes(text + cut)
    return found


class JournaledBench(RaceBench):
    """A bench whose every measurement is written down, and answered from the journal where it is there already."""

    def __init__(self, inner: RaceBench, journal: Journal) -> None:
        self._inner, self._journal = inner, journal
        self._recorded = _boots(journal.lines)
        self._next = sum(1 for line in journal.lines if line["kind"] == "boot")
        self._replayed_s = 0.0

    def spent(self) -> float:
        return self._replayed_s + self._inner.spent()

    def boot(self, arm: str, held_out: bool = False) -> Boot:
        """ArmFailed as it was recorded, or anew."""
        waiting = self._recorded[arm, held_out]
        if not waiting:
            self._next += 1
            head = {"kind": "boot", "boot": self._next, "arm": arm, "held_out": held_out}
            return _JournaledBoot(self, arm, head, deque())
        lines = waiting.popleft()
        return _JournaledBoot(self, arm, lines[0], deque(lines[1:]))

    def started(self, arm: str, head: Mapping[str, Any], known: bool) -> Boot:
        """An engine of it; written down with the seconds it took, or why it did not start."""
        before = self._inner.spent()
        try:
            boot = self._inner.boot(arm, bool(head["held_out"]))
        except ArmFailed as error:
            self._write_head(head, known)
            self.failed(head, error, before)
            raise
        self._write_head(head, known)
        self._write({"kind": "started", "boot": head["boot"]}, before)
        return boot

    def _write_head(self, head: Mapping[str, Any], known: bool) -> None:
        if not known:
            self._journal.write(head)

    def measured(self, boot: Boot, head: Mapping[str, Any], load: RaceLoad) -> MeasuredLoad:
        before = self._inner.spent()
        try:
            found = boot.measure(load)
        except ArmFailed as error:
            self.failed(head, error, before)
            raise
        self._write({"kind": "load", "boot": head["boot"], "load": asdict(load), "measured": asdict(found)}, before)
        return found

    def failed(self, head: Mapping[str, Any], error: ArmFailed, before: float) -> None:
        self._write({"kind": "failed", "boot": head["boot"], "why": str(error)}, before)

    def replay(self, line: Mapping[str, Any]) -> None:
        self._replayed_s += float(line["seconds"])

    def ended(self, boot: Boot, head: Mapping[str, Any]) -> None:
        before = self._inner.spent()
        boot.end()
        self._write({"kind": "ended", "boot": head["boot"]}, before)

    def _write(self, line: dict[str, Any], before: float) -> None:
        self._journal.write(line | {"seconds": round(self._inner.spent() - before, 3)})


class _JournaledBoot(Boot):
    def __init__(self, bench: JournaledBench, arm: str, head: Mapping[str, Any], known: deque[dict[str, Any]]) -> None:
        self._bench, self._arm, self._head, self._known = bench, arm, head, known
        self._was_there = bool(known)
        self._live: Boot | None = None
        if not known:
            self._live = bench.started(arm, head, known=False)

    def measure(self, load: RaceLoad) -> MeasuredLoad:
        while self._known:
            line = self._known.popleft()
            self._bench.replay(line)
            if line["kind"] == "failed":
                raise ArmFailed(line["why"])
            if line["kind"] == "load" and line["load"] == asdict(load):
                return MeasuredLoad(**line["measured"])
        if self._live is None:
            self._live = self._bench.started(self._arm, self._head, known=True)
        return self._bench.measured(self._live, self._head, load)

    def end(self) -> None:
        while self._known:
            self._bench.replay(self._known.popleft())
        if self._live is not None:
            self._bench.ended(self._live, self._head)


def _boots(lines: list[dict[str, Any]]) -> dict[tuple[str, bool], deque[list[dict[str, Any]]]]:
    """Lines of each boot, by arm and load, in the order in which they were made."""
    by_number: dict[int, list[dict[str, Any]]] = {}
    found: dict[tuple[str, bool], deque[list[dict[str, Any]]]] = defaultdict(deque)
    for line in lines:
        if line["kind"] == "boot":
            by_number[line["boot"]] = [line]
            found[line["arm"], line["held_out"]].append(by_number[line["boot"]])
        elif "boot" in line:
            by_number[line["boot"]].append(line)
    return found
