"""A race goes on from its journal as if nothing had been."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.tune.journal import Journal, JournaledBench
from fullbatch.tune.race import Race, RaceResult, RaceRules
from tests.fullbatch.tune.benches import KnownBench, KnownBoot
from tests.fullbatch.tune.test_race import ALIKE, PEOPLE

PEOPLE_OF = ALIKE | {"arm5": 28.0}


class _Cut(KnownBench):
    """The machine is lost after so many loads."""

    left = 10**9

    def spent(self) -> float:
        if self.loads > self.left:
            raise KeyboardInterrupt
        return super().spent()


def race(bench: KnownBench, path: Path) -> RaceResult:
    journaled = JournaledBench(bench, Journal(path))
    return Race([*ALIKE][1:], journaled, PEOPLE, RaceRules(3600), lambda _: None).run()


@pytest.mark.parametrize("cut", [0, 3, 30, 90])
def test_what_was_measured_is_not_measured_again(tmp_path: Path, cut: int) -> None:
    """Whatever the second machine would have measured, the first one's boots stand."""
    path = tmp_path / "journal.jsonl"
    first = _Cut(PEOPLE_OF, seed=3, broken={"arm2": "why"})
    first.left = cut
    with pytest.raises(KeyboardInterrupt):
        race(first, path)
    kept = path.read_text(encoding="utf-8")
    second = KnownBench(PEOPLE_OF, seed=4, broken={"arm2": "why"})
    found = race(second, path)
    assert path.read_text(encoding="utf-8").startswith(kept)
    assert found.winner == "arm5" and found.standing.failed == {"arm2": "why"}
    third = KnownBench(PEOPLE_OF, seed=5)
    again = race(third, path)
    assert (third.boots, third.loads) == ([], 0)
    assert again.standing.boots == found.standing.boots
    assert again.spent_s == pytest.approx(found.spent_s, abs=1)


def test_a_disk_that_fills_ends_the_race_and_stops_what_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, bench, ended = tmp_path / "journal.jsonl", KnownBench(PEOPLE_OF, seed=3), []
    monkeypatch.setattr(KnownBoot, "end", lambda boot: ended.append(boot))
    write = Journal.write

    def full(journal: Journal, line: Mapping[str, Any]) -> None:
        if len(journal.lines) >= 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(journal.path))
        write(journal, line)

    monkeypatch.setattr(Journal, "write", full)
    with pytest.raises(OSError, match="No space left on device.*journal.jsonl"):
        race(bench, path)
    assert len(ended) == len(bench.boots) > 1
    monkeypatch.setattr(Journal, "write", write)
    again = KnownBench(PEOPLE_OF, seed=4)
    assert race(again, path).winner == "arm5"
    assert len(Journal(path).lines) > 20


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    race(KnownBench(PEOPLE_OF, seed=3), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.6)])
    bench = KnownBench(PEOPLE_OF, seed=4)
    assert race(bench, path).winner == "arm5"
    assert all(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    short = JournaledBench(KnownBench(ALIKE, seed=3), Journal(path))
    left = Race([*ALIKE][1:], short, PEOPLE, RaceRules(900), lambda _: None).run()
    bench = KnownBench(ALIKE, seed=4)
    found = race(bench, path)
    assert left.not_raced and not found.not_raced
    assert len(found.standing.boots) - len(bench.boots) >= len(left.standing.boots) - 1


@pytest.mark.parametrize("text", ["nothing\n", "[]\n", '{"kind": "boot"\n'])
def test_what_is_no_journal(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"journal.jsonl:1: is no line of a race; give another --out"):
        Journal(path)
