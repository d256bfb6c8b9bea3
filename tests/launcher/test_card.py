"""The launcher as a program: one engine at a time, its end, and what is found after a kill."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.launcher.launchers import Launcher, gone, model, two
from tests.ports import free_port
from tests.waiting import wait_until

Start = Callable[..., Launcher]


def test_a_model_starts_sleeps_wakes_and_stops(start_launcher: Start) -> None:
    launcher = start_launcher(two())
    ready = launcher.do("a", "start", "ready")
    assert [load["kind"] for load in ready["loads"]] == ["cold"]
    assert ready["loads"][0]["seconds"] > 0
    assert any("listening on" in line for line in launcher.do("a", "sleep", "asleep")["log"])
    launcher.do("b", "start", "ready")
    launcher.do("b", "stop", "stopped")
    assert [load["kind"] for load in launcher.do("a", "wake", "ready")["loads"]] == ["cold", "wake"]
    pid = launcher.of("a")["pid"]
    stopped = launcher.do("a", "stop", "stopped")
    assert (stopped["pid"], stopped["exit"], stopped["faults"]) == (None, 0, {})
    assert gone(pid)


def test_two_starts_do_not_overlap(start_launcher: Start) -> None:
    launcher = start_launcher(two())
    assert launcher.ask("POST", "/models/a/start")[0] == 202
    status, body = launcher.ask("POST", "/models/b/start")
    assert (status, body["why"]) == (409, "'a' is starting; one at a time")
    launcher.wait("a", "ready")
    status, body = launcher.ask("POST", "/models/b/start")
    assert (status, body["why"]) == (409, "'a' is ready on this card; put it to sleep or stop it first")
    assert launcher.ask("POST", "/models/a/start") == (202, {"state": "ready"})  # whoever asks again has what it wants
    launcher.do("a", "stop", "stopped")
    launcher.do("b", "start", "ready")
    starts = [line for line in launcher.log().splitlines() if "start '" in line or "has ended" in line]
    expected = ["launcher: start 'a'", "launcher: 'a' has ended (ended with exit code 0)", "launcher: start 'b'"]
    assert starts == expected


def test_what_does_not_start_says_why(start_launcher: Start) -> None:
    models = [model("a", free_port(), fault="slow-start", dies_after_s=0.3), model("b", free_port())]
    models.append(model("c", free_port()) | {"command": ["/no/such/program"]})
    launcher = start_launcher(models)
    failed = launcher.do("a", "start", "failed")
    assert failed["why"] == "ended with exit code 3 while loading"
    assert failed["exit"] == 3
    assert failed["log"][-1] == "RuntimeError: Engine core initialization failed."
    assert failed["faults"] == {"start": 1}
    assert launcher.do("c", "start", "failed")["why"] == "'/no/such/program' cannot be run: no such program"
    launcher.do("b", "start", "ready")  # a child's death ends nobody else


def test_one_that_never_answers_is_ended(start_launcher: Start) -> None:
    launcher = start_launcher([model("a", free_port(), fault="refuse") | {"start_timeout_s": 0.5}])
    assert launcher.do("a", "start", "failed")["why"] == "did not answer within 0.5 s of its start"


def test_a_start_can_be_stopped(start_launcher: Start) -> None:
    launcher = start_launcher([model("a", free_port(), fault="refuse")])
    launcher.ask("POST", "/models/a/start")
    pid = launcher.of("a")["pid"]
    assert launcher.do("a", "stop", "stopped")["faults"] == {}
    assert pid is None or gone(pid)


def test_the_death_of_an_engine_is_seen_and_told(start_launcher: Start) -> None:
    launcher = start_launcher(two())
    pid = launcher.do("a", "start", "ready")["pid"]
    os.kill(pid, signal.SIGKILL)
    failed = launcher.wait("a", "failed")
    assert (failed["why"], failed["faults"]) == ("was ended by signal 9 by itself", {"died": 1})
    launcher.do("b", "start", "ready")


_FAMILY = """
import subprocess, sys, runpy
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "time.sleep(600)"])
open(sys.argv.pop(1), "w").write(str(child.pid))
sys.argv[0] = "engine"
runpy.run_module("tests.fakes.engine", run_name="__main__")
"""


def family(launcher_folder: str, port: int) -> dict[str, Any]:
    """An engine with a worker that ignores SIGTERM, as one that hangs on its card."""
    found = model("a", port)
    found["command"] = [sys.executable, "-c", _FAMILY, f"{launcher_folder}/child", *found["command"][3:]]
    return found | {"stop_timeout_s": 2}


@pytest.mark.parametrize("death", ["stop", "kill"])
def test_nothing_of_an_engine_lives_on(start_launcher: Start, short_folder: Any, death: str) -> None:
    launcher = start_launcher([family(str(short_folder), free_port())])
    leader = launcher.do("a", "start", "ready")["pid"]
    child = int((short_folder / "child").read_text())
    assert not gone(child)
    if death == "stop":
        launcher.do("a", "stop", "stopped")
    else:
        os.kill(leader, signal.SIGKILL)
        launcher.wait("a", "failed")
    assert gone(child)


def test_a_killed_launcher_finds_its_engines_again(start_launcher: Start) -> None:
    launcher = start_launcher(two())
    launcher.do("a", "start", "ready")
    launcher.do("a", "sleep", "asleep")
    asleep = launcher.of("a")["pid"]
    ready = launcher.do("b", "start", "ready")["pid"]
    launcher.kill()
    assert not gone(asleep) and not gone(ready)
    launcher.start()
    assert (launcher.of("a")["state"], launcher.of("a")["pid"]) == ("asleep", asleep)
    assert (launcher.of("b")["state"], launcher.of("b")["pid"]) == ("ready", ready)
    assert launcher.log().count("launcher: start 'b'") == 1
    launcher.do("b", "stop", "stopped")
    assert gone(ready)
    launcher.do("a", "wake", "ready")  # the secret has been kept
    os.kill(asleep, signal.SIGKILL)
    assert launcher.wait("a", "failed")["why"] == "ended by itself"  # nobody learns the exit code of an adopted one


def test_a_launcher_killed_while_loading_waits_for_the_same_engine(start_launcher: Start) -> None:
    launcher = start_launcher([model("a", free_port(), fault="slow-start", slow_start_s=3), model("b", free_port())])
    launcher.ask("POST", "/models/a/start")
    wait_until(lambda: launcher.of("a")["pid"], 10, "the engine has a number")
    pid = launcher.of("a")["pid"]
    launcher.kill()
    launcher.start()
    assert launcher.wait("a", "ready")["pid"] == pid
    assert launcher.log().count("launcher: start 'a'") == 1


def test_what_died_or_changed_without_a_launcher_is_ended(start_launcher: Start, short_folder: Any) -> None:
    port = free_port()
    launcher = start_launcher([family(str(short_folder), port)])
    leader = launcher.do("a", "start", "ready")["pid"]
    child = int((short_folder / "child").read_text())
    launcher.kill()
    os.kill(leader, signal.SIGKILL)
    launcher.start()
    assert launcher.of("a")["state"] == "stopped"
    wait_until(lambda: gone(child), 10, "the worker that was left over is ended")

    leader = launcher.do("a", "start", "ready")["pid"]
    launcher.kill()
    launcher.write([model("a", port, max_num_seqs=3)])
    launcher.start()
    assert launcher.of("a")["state"] == "stopped"
    assert gone(leader)
    assert "not as planned any more" in launcher.log()


def test_a_foreign_process_with_the_same_number_is_left_alone(start_launcher: Start, short_folder: Any) -> None:
    launcher = start_launcher(two())
    launcher.do("b", "start", "ready")
    launcher.kill()
    file = short_folder / "c.d" / "running.json"
    content = json.loads(file.read_text())
    mine = content["b"]["pid"]
    content["a"] = content["b"] | {"pid": os.getpid()}
    file.write_text(json.dumps(content))
    launcher.start()
    assert launcher.of("a")["state"] == "stopped"
    assert launcher.of("b")["pid"] == mine


def test_sigterm_ends_all_engines(start_launcher: Start) -> None:
    launcher = start_launcher(two())
    launcher.do("a", "start", "ready")
    launcher.do("a", "sleep", "asleep")
    pids = [launcher.of("a")["pid"], launcher.do("b", "start", "ready")["pid"]]
    assert launcher.stop() == 0
    assert all(map(gone, pids))
    assert not launcher.socket.exists()
