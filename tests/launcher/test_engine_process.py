"""An engine's processes by themselves; tests/launcher/test_card.py has them in a launcher."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from launcher.config import CommandedModel, EngineAddress
from launcher.engine_process import CannotStart, EngineProcess, digest_of
from launcher.ledger import LedgerLine
from tests.launcher.launchers import gone
from tests.waiting import wait_until

LISTEN = EngineAddress("127.0.0.1", 8000)


def started(tmp_path: Path, *words: str) -> tuple[EngineProcess, list[LedgerLine]]:
    recorded: list[LedgerLine] = []
    output = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    try:
        return EngineProcess.start(CommandedModel("a", words, LISTEN), "secret", output, recorded.append), recorded
    finally:
        os.close(output)


def test_it_is_recorded_before_it_begins(tmp_path: Path) -> None:
    process, recorded = started(tmp_path, "/bin/sh", "-c", f"touch {tmp_path}/began; sleep 300")
    assert recorded == [process.running]
    wait_until((tmp_path / "began").exists, 10, "it has begun")
    assert process.alive() and process.exit_code is None
    assert process.end(10)
    assert gone(process.running.pid)


def test_a_launcher_that_is_killed_before_the_record_starts_nothing(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    pids: list[int] = []

    def die(running: LedgerLine) -> None:
        pids.append(running.pid)
        raise Killed

    with pytest.raises(Killed), (tmp_path / "log").open("wb") as log:
        EngineProcess.start(CommandedModel("a", ("touch", str(tmp_path / "began")), LISTEN), "", log.fileno(), die)
    wait_until(lambda: gone(pids[0]), 10, "it has ended without having begun")
    assert not (tmp_path / "began").exists()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="'/no/such' cannot be run: no such program"):
        started(tmp_path, "/no/such")


def test_one_that_does_not_listen_to_sigterm_is_killed(tmp_path: Path) -> None:
    process, _ = started(tmp_path, "/bin/sh", "-c", f"trap '' TERM; touch {tmp_path}/deaf; while :; do sleep 1; done")
    wait_until((tmp_path / "deaf").exists, 10, "it is deaf")
    assert process.end(0.3)
    assert process.exit_code == -signal.SIGKILL


def test_a_socket_of_before_is_taken_away(tmp_path: Path) -> None:
    old = tmp_path / "old.sock"
    old.touch()
    with (tmp_path / "log").open("wb") as log:
        model = CommandedModel("a", ("true",), EngineAddress(uds=str(old)))
        EngineProcess.start(model, "", log.fileno(), lambda _: None).end(5)
    assert not old.exists()


def test_only_the_very_same_process_is_taken_over(tmp_path: Path) -> None:
    process, (recorded,) = started(tmp_path, "/bin/sh", "-c", "sleep 300")  # the address comes after it
    again = EngineProcess.adopt(recorded)
    assert again is not None and again.alive()
    later = LedgerLine(recorded.pid, recorded.started + 1, recorded.digest, recorded.secret, 0.0)
    assert EngineProcess.adopt(later) is None
    assert process.end(10)
    assert EngineProcess.adopt(recorded) is None
    assert not again.alive() and again.exit_code is None


def test_a_digest_is_of_the_command_and_what_belongs_to_it() -> None:
    one = CommandedModel("a", ("x",), LISTEN)
    assert digest_of(one) == digest_of(CommandedModel("a", ("x",), LISTEN, stop_timeout_s=3))
    others = [
        CommandedModel("a", ("y",), LISTEN),
        CommandedModel("a", ("x",), LISTEN, (("A", "1"),)),
        CommandedModel("a", ("x",), EngineAddress("h", 2)),
    ]
    assert digest_of(one) not in map(digest_of, others)
