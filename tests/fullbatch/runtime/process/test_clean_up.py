"""What is stopped and cleaned up when it was left behind, and what is left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.fullbatch.checkout import Checkout, read_until
from tests.fullbatch.runtime.process.started import (
    DIES_AND_LEAVES_A_WORKER,
    LOADS_FOR_EVER,
    REAPS_NOBODY,
    Words,
    pid_of,
    state_file,
)
from tests.waiting import wait_for


def test_down_cleans_up_after_an_up_that_was_killed(checkout: Checkout, words: Words) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting the engine core")
        up.kill()
        up.wait()
    assert len(checkout.processes()) == 2
    assert checkout.run("down", "cpu-tiny").returncode == 0
    assert checkout.processes() == []


def test_down_ends_workers_whose_engine_is_gone(checkout: Checkout, words: Words) -> None:
    checkout.broken_engine(DIES_AND_LEAVES_A_WORKER.replace("sys.exit(1)", "import time; time.sleep(60)"))
    with checkout.started(*words.up()) as up:
        read_until(up, "starting vLLM")
        wait_for(lambda: len(checkout.processes()) == 4, 20, "two engines and their children")
        engine = pid_of(checkout, "engine")
        up.kill()
        up.wait()
    os.kill(engine, signal.SIGKILL)
    assert checkout.run("down").returncode == 0
    assert checkout.processes() == []


def test_down_does_not_wait_for_those_that_nobody_reaps(checkout: Checkout, words: Words) -> None:
    """In a container without an init process what has ended stays a zombie for ever."""
    checkout.engine()
    environment = checkout.environment() | {"UP": json.dumps(checkout.command(*words.up()))}
    environment |= {"DOWN": json.dumps(checkout.command("down"))}
    command = [sys.executable, "-c", REAPS_NOBODY]
    said = subprocess.run(command, cwd=checkout.root, env=environment, capture_output=True, text=True, check=True)
    assert float(said.stdout.splitlines()[-1]) < 20
    assert checkout.processes() == []


def test_a_stale_state_file_kills_nobody(checkout: Checkout) -> None:
    """After a reboot another program may have the pid that is written there."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as stranger:
        created = psutil.Process(stranger.pid).create_time() - 86_400
        entry = {"name": "engine", "pid": stranger.pid, "created": created, "log": "/nowhere"}
        known = {"profile": "cpu-tiny", "gateway_url": "http://127.0.0.1:1", "engine_urls": {}, "api_keys_file": "k"}
        checkout.write(".fullbatch/run/cpu-tiny/state.json", json.dumps(known | {"processes": [entry]}))
        down = checkout.run("down", "cpu-tiny")
        assert down.returncode == 6
        assert down.stderr == "fullbatch: profile 'cpu-tiny' is not running\n"
        assert stranger.poll() is None
        stranger.kill()


def test_a_broken_state_file_is_as_none(checkout: Checkout) -> None:
    checkout.write(".fullbatch/run/cpu-tiny/state.json", "{")
    assert checkout.run("status").returncode == 6
    assert checkout.run("down").returncode == 6


@pytest.mark.parametrize("becomes", ["gone", "broken", "renamed"])
def test_what_runs_can_be_seen_and_stopped_whatever_became_of_its_profile(
    checkout: Checkout, words: Words, becomes: str
) -> None:
    checkout.engine("--kv-tokens", "524288")
    assert checkout.run(*words.up()).returncode == 0
    path = checkout.root / "profiles" / "cpu-tiny.yaml"
    checkout.write("profiles/another.yaml", "modell: [")  # nobody's business either
    if becomes == "broken":
        path.write_text("users: [1\n", encoding="utf-8")
    else:
        path.rename(path.with_name("cpu-small.yaml")) if becomes == "renamed" else path.unlink()
    status = checkout.run("status", "--json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)[0]["kv_tokens_planned"] == 524_288
    assert "engine  |" in checkout.run("logs", "--tail", "3").stdout
    assert checkout.run("keys", "list").returncode == 0
    assert checkout.run("usage").returncode == 0
    assert checkout.run("top", "--once", "--interval", "0.2").returncode == 0
    down = checkout.run("down", "cpu-tiny")
    assert down.returncode == 0, down.stderr
    assert checkout.processes() == []


def test_a_state_file_of_an_older_version_is_still_stopped(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    assert checkout.run(*words.up()).returncode == 0
    known = json.loads(state_file(checkout).read_text(encoding="utf-8"))
    del known["facts"]
    checkout.write(".fullbatch/run/cpu-tiny/state.json", json.dumps(known))
    assert json.loads(checkout.run("status", "--json").stdout)[0]["kv_tokens_planned"] is None
    assert checkout.run("down").returncode == 0


def test_what_a_killed_run_left_is_gone_at_the_next_start(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    left = checkout.write(".fullbatch/run/cpu-tiny/ipc/of-a-dead-engine", "")
    assert checkout.run(*words.up()).returncode == 0
    assert not left.exists()
    assert checkout.run("down").returncode == 0


def test_an_engine_that_is_started_again_when_stuck_is_seen_dead_and_stopped_like_any_other(
    checkout: Checkout, words: Words
) -> None:
    checkout.engine()
    with (checkout.root / "profiles" / "cpu-tiny.yaml").open("a") as profile:
        profile.write("engine: {restart_stuck: true}\n")
    up = checkout.run(*words.up())
    assert up.returncode == 0, up.stderr
    known = json.loads(state_file(checkout).read_text())
    keeper = psutil.Process(next(one["pid"] for one in known["processes"] if one["name"] == "engine"))
    asked = f"--gateway http://127.0.0.1:{words.gateway}/health --engine engine"
    assert f"fullbatch.runtime.process.keeper {asked}" in " ".join(keeper.cmdline())
    (engine,) = keeper.children()
    engine.kill()
    keeper.wait(30)  # which has to end with it
    (found,) = json.loads(checkout.run("status", "--json").stdout)
    assert len(found["failures"]) == 1
    assert checkout.run("down").returncode == 0
    assert checkout.processes() == []
