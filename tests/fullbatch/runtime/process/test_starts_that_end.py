"""Starts that come to nothing: an engine that dies, a limit of time, an interrupt. Nothing is left of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.fullbatch.checkout import Checkout, read_until, rest
from tests.fullbatch.runtime.process.started import (
    DIES,
    DIES_AND_LEAVES_A_WORKER,
    HEARS_NO_SIGTERM,
    LOADS_FOR_EVER,
    Words,
    pid_of,
    state_file,
)
from tests.waiting import wait_for


@pytest.mark.parametrize("engine", [DIES, DIES_AND_LEAVES_A_WORKER], ids=["alone", "with a worker"])
def test_an_engine_that_dies_ends_the_wait_with_its_last_words(checkout: Checkout, words: Words, engine: str) -> None:
    checkout.broken_engine(engine)
    began = time.monotonic()
    up = checkout.run(*words.up())
    assert up.returncode == 5
    assert time.monotonic() - began < 40
    lines = up.stderr.splitlines()
    assert lines[0].startswith("fullbatch: the engine process (")
    assert "has ended" in lines[0]
    assert lines[-1] == "fullbatch:   RuntimeError: the reason it died"
    assert "Traceback" not in up.stderr
    assert checkout.processes() == []
    assert not state_file(checkout).exists()


def test_an_engine_killed_while_it_starts_ends_the_wait(checkout: Checkout, words: Words) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting the engine core")
        os.kill(pid_of(checkout, "engine"), signal.SIGKILL)
        said = rest(up)
    assert up.returncode == 5
    assert "has ended" in said


def test_a_gateway_that_dies_is_told_in_its_own_words(checkout: Checkout, words: Words) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    checkout.write("gateway/__main__.py", "raise SystemExit('gateway.yaml: no good')\n")
    up = checkout.run(*words.up())
    assert up.returncode == 5
    assert "the gateway process (" in up.stderr.splitlines()[0]
    assert up.stderr.splitlines()[0].endswith("which ends: gateway.yaml: no good")
    assert checkout.processes() == []


def test_a_time_limit_leaves_nothing(checkout: Checkout, words: Words) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    command = words.up()
    command[command.index("--timeout") + 1] = "2"
    up = checkout.run(*command)
    assert up.returncode == 5
    assert "no token within 2 s (last state: starting the engine core" in up.stderr
    assert checkout.processes() == []


@pytest.mark.parametrize("which", ["gateway", "engine"])
def test_a_taken_port_names_the_process(checkout: Checkout, words: Words, which: str) -> None:
    checkout.engine()
    port = words.gateway if which == "gateway" else words.engine
    with socket.create_server(("127.0.0.1", port)):
        up = checkout.run(*words.up(on_ports=True))
    assert up.returncode == 4
    (line,) = up.stderr.splitlines()
    assert line.startswith(f"fullbatch: port {port} on 127.0.0.1 is taken by process {os.getpid()} (")
    assert line.endswith(f"stop it or choose another with --{which}-port")
    assert checkout.processes() == []


def test_one_port_for_both_is_refused(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    words.engine = words.gateway
    up = checkout.run(*words.up(on_ports=True))
    assert up.returncode == 2
    assert (
        up.stderr
        == f"fullbatch: --gateway-port and --engine-port are both {words.gateway}; give one of them another port\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing(checkout: Checkout, words: Words, number: signal.Signals) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting the engine core")
        up.send_signal(number)
        said = rest(up)
    assert up.returncode == 130
    assert said.endswith("fullbatch: interrupted; what was started is stopped\n")
    assert "Traceback" not in said
    assert checkout.processes() == []
    assert not state_file(checkout).exists()


@pytest.mark.parametrize("delay", [0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3])
def test_an_interrupt_at_any_moment_leaves_nothing(checkout: Checkout, words: Words, delay: float) -> None:
    """The checkout's own clean-up fails the test when a process is left."""
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        time.sleep(delay)
        up.send_signal(signal.SIGTERM)
        rest(up)
    assert checkout.processes() == []


def test_a_second_interrupt_ends_the_patience(checkout: Checkout, words: Words) -> None:
    checkout.broken_engine(HEARS_NO_SIGTERM)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting vLLM")
        log = checkout.root / ".fullbatch/run/cpu-tiny/engine.log"
        wait_for(lambda: "deaf" in log.read_text(), 20, "the engine has said so")
        up.send_signal(signal.SIGINT)
        read_until(up, "stopping the engine")
        time.sleep(0.5)
        began = time.monotonic()
        up.send_signal(signal.SIGINT)
        rest(up)
    assert time.monotonic() - began < 10
    assert up.returncode == 130
    assert checkout.processes() == []
    assert not state_file(checkout).exists()


def test_a_terminal_that_is_gone_does_not_keep_it_from_stopping(checkout: Checkout, words: Words) -> None:
    """`fullbatch up | tee log`, and Ctrl-C takes the tee too."""
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting the engine core")
        assert up.stdout is not None
        up.stdout.close()
        up.send_signal(signal.SIGINT)
        up.wait(60)
    assert checkout.processes() == []


def test_nohup_is_respected(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    command = ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *checkout.command(*words.up())]
    with subprocess.Popen(command, cwd=checkout.root, env=checkout.environment(), stdout=-1, text=True) as up:
        read_until(up, "starting the gateway")
        up.send_signal(signal.SIGHUP)
        assert "is up" in rest(up)
    assert up.returncode == 0
    assert checkout.run("down").returncode == 0


def test_weights_that_cannot_be_had_end_the_start_with_one_line_and_no_traceback(
    checkout: Checkout, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    checkout.engine()
    up = checkout.run(*words.up("cpu"), timeout=120)
    assert up.returncode == 4, up.stderr
    *_, said, last = up.stderr.splitlines()
    assert said.startswith("fetch: http://127.0.0.1:9 does not give Qwen/Qwen2.5-0.5B-Instruct: ")
    assert last == "fullbatch: the weights of Qwen/Qwen2.5-0.5B-Instruct are not here; the line above says why"
    assert "Traceback" not in up.stderr
    assert checkout.processes() == []
