from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from launcher import engine_log
from launcher.engine_log import LINE_CHARS, LINES, EngineLog
from tests.gateway.harness import ROOT

# vLLM's own words when it does not start; these say it in no line that is an error's.
FAILURES = yaml.safe_load((ROOT / "tests/fixtures/engine-failures.yaml").read_text())
WITHOUT = {"shared-memory", "worker-silent", "disk-full"}


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


@pytest.mark.parametrize(
    "failure", [one for one in FAILURES if one["name"] not in WITHOUT], ids=lambda one: one["name"]
)
def test_the_cause_is_an_error_that_says_what_was_wrong(tmp_path: Path, failure: dict[str, list[str]]) -> None:
    log = EngineLog(tmp_path / "a.log", lambda _: None)
    os.close(log.begin())
    *first, last = failure["log"]
    frames = [f'(APIServer pid=1)   File "/x.py", line {n}, in y' for n in range(2 * LINES)]
    write(
        log.path, "\n".join([*first, *(frames if first else []), last, "(APIServer pid=1) See https://x/error"]) + "\n"
    )
    log.read()
    assert log.cause
    assert any(log.cause[:100] in line for line in failure["log"])
    for word in (
        "See root cause above",
        "See stack trace (above)",
        "validation error for",
        "(APIServer",
        "(EngineCore",
    ):
        assert word not in log.cause


def test_without_a_better_one_the_cause_is_the_vague_one_and_of_this_engine_alone(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "a.log", lambda _: None)
    os.close(log.begin())
    assert log.cause == ""
    write(log.path, "RuntimeError: Engine core initialization failed.\nINFO an Error: is no error's line\n")
    log.read()
    assert log.cause == "RuntimeError: Engine core initialization failed."
    os.close(log.begin())
    assert log.cause == ""
