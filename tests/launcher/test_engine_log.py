from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher import engine_log
from launcher.engine_log import LINE_CHARS, LINES, EngineLog


def write(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_new_lines_are_said_once_and_the_last_are_kept(tmp_path: Path) -> None:
    said: list[str] = []
    log = EngineLog(tmp_path / "a.log", said.append)
    log.read()  # nothing there yet
    os.close(log.begin())
    write(log.path, "one\ntwo\nhal")
    log.read()
    assert said == ["one", "two"]
    write(log.path, "f\n" + "x" * 2000 + "\n")
    log.read()
    assert said[2:] == ["half", "x" * 2000]
    assert list(log.tail) == ["one", "two", "half", "x" * LINE_CHARS]
    write(log.path, "".join(f"{n}\n" for n in range(100)))
    log.read()
    assert list(log.tail) == [str(n) for n in range(100 - LINES, 100)]


def test_a_new_engine_begins_a_new_log_and_another_one_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    log = EngineLog(tmp_path / "a.log", said.append)
    write(log.path, "old\n" * 10_000)
    log.resume()
    log.read()
    assert 0 < len(said) < 5_000
    os.close(log.begin())
    assert (log.path.stat().st_size, list(log.tail)) == (0, [])
    assert log.path.stat().st_mode & 0o777 in (0o600, 0o644)


def test_the_file_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_log, "MAX_BYTES", 1000)
    said: list[str] = []
    log = EngineLog(tmp_path / "a.log", said.append)
    descriptor = log.begin()
    for n in range(200):
        os.write(descriptor, b"line %d\n" % n)
        log.read()
    os.close(descriptor)
    assert said == [f"line {n}" for n in range(200)]
    assert log.path.stat().st_size < 1100
