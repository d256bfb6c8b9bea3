"""`fullbatch top` from outside: what it finds, shows, refuses, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fullbatch.core.errors import StateError
from fullbatch.runtime.compose import deployment as compose
from fullbatch.top import sources
from tests.fullbatch.checkout import Checkout


@pytest.fixture
def running(checkout: Checkout, free_port: Callable[[], int]) -> Iterator[Checkout]:
    checkout.engine()
    ports = ["--gateway-port", str(free_port()), "--engine-port", str(free_port())]
    up = checkout.run("up", "cpu-tiny", "--runtime", "process", *ports)
    assert up.returncode == 0, up.stderr
    yield checkout
    assert checkout.run("down", "cpu-tiny").returncode == 0


def test_one_look_at_what_is_running(running: Checkout) -> None:
    look = running.run("top", "--once", "--interval", "0.2")
    assert (look.returncode, look.stderr) == (0, "")
    assert "cpu-tiny  process  idle" in look.stdout and "0 of 56 slots" in look.stdout
    told = json.loads(running.run("top", "cpu-tiny", "--once", "--json", "--interval", "0.2").stdout)
    assert (told["slots"], told["engines_up"], told["limit"]) == (56, 1, "idle")


def test_json_goes_on_until_its_reader_leaves(running: Checkout) -> None:
    with running.started("top", "--json", "--interval", "0.2") as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.stdout.close()
        assert process.wait(10) == 0
    assert [one["profile"] for one in seen] == ["cpu-tiny"] * 3


def test_in_a_terminal_it_is_live_and_ctrl_c_ends_it_cleanly(running: Checkout) -> None:
    ours, theirs = pty.openpty()
    environment = running.environment() | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(
        running.command("top", "--interval", "0.2"), cwd=running.root, env=environment,
        stdin=theirs, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        screen = _until(ours, lambda text: text.count("slots") >= 3)
        process.send_signal(signal.SIGINT)
        screen += _until(ours, lambda _: False)
    os.close(ours)
    assert process.returncode == 0
    assert "\x1b[?1049h" in screen and screen.rindex("\x1b[?1049l") > screen.rindex("slots"), "the old screen is back"
    assert "\x1b[?25h" in screen[screen.rindex("slots") :], "the cursor is back"
    assert "Traceback" not in screen


def test_q_ends_it_and_the_terminal_is_as_before(running: Checkout) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    environment = running.environment() | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(
        running.command("top", "--interval", "5"), cwd=running.root, env=environment,
        stdin=theirs, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        _until(ours, lambda text: "\x1b[?1049h" in text)
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < 20:
            os.write(ours, b"xq")
            time.sleep(0.2)
    assert process.returncode == 0
    assert termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)


def _until(terminal: int, done: Callable[[str], bool], seconds: float = 20) -> str:
    """What the terminal shows until `done` or until nobody writes to it any more."""
    seen, deadline = "", time.monotonic() + seconds
    while not done(seen) and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                return seen
    return seen


def test_containers_are_read_inside_themselves_as_the_published_port_names_no_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(compose, "running_profile", lambda: "cpu")
    monkeypatch.setattr(compose, "published_gateway", lambda: url)
    monkeypatch.setattr(compose, "running_facts", lambda: None)
    monkeypatch.setattr(compose, "gateway_metrics", lambda: "gateway_connections 1\n")
    monkeypatch.setattr(compose, "engine_metrics", lambda: "vllm:num_requests_running 3\n")
    found = sources.find(tmp_path, None)
    assert (found.profile, found.runtime, found.gateway_url) == ("cpu", "compose", url)
    assert (found.read_gateway(), found.read_engines()) == ("gateway_connections 1\n", "vllm:num_requests_running 3\n")
    monkeypatch.setattr(compose, "gateway_metrics", lambda: "")
    assert found.read_gateway() == ""  # nothing listens at the published port either
    with pytest.raises(StateError, match="profile 'other' is not running"):
        sources.find(tmp_path, "other")


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["top", "--once"], 6, "fullbatch: nothing is running; start a profile with: fullbatch up PROFILE\n"),
        (["top", "cpu", "--json"], 6, "fullbatch: profile 'cpu' is not running; start it with: fullbatch up cpu\n"),
        (["top"], 2, "fullbatch: top: the output is not a terminal; add --once or --json\n"),
    ],
)
def test_what_it_cannot_show_it_says_in_a_line(checkout: Checkout, words: list[str], code: int, line: str) -> None:
    run = checkout.run(*words)
    assert (run.returncode, run.stderr, run.stdout) == (code, line, "")


@pytest.mark.parametrize("interval", ["0", "-1", "often", "nan", "1e9"])
def test_an_interval_is_a_number_of_seconds(checkout: Checkout, interval: str) -> None:
    run = checkout.run("top", "--interval", interval)
    assert run.returncode == 2
    assert f"'{interval}': write seconds from 0.2 to 3600" in run.stderr
