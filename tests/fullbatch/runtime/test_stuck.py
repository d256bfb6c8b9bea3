"""A stuck engine ends itself, and only then."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fullbatch.runtime import stuck
from tests.fullbatch.checkout import REPOSITORY

LONG = stuck.NOT_BEFORE_S + 1


def page(seconds: float, **more: str) -> dict[str, Any]:
    """The gateway's /health with one engine of two stuck for so long."""
    since = datetime.fromtimestamp(time.time() - seconds, UTC).isoformat(timespec="seconds")
    return {"engines": [{"name": "other", "state": "up"}, {"name": "engine", "stuck": [{"since": since} | more]}]}


@contextmanager
def served(pages: dict[str, tuple[int, Any]]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = pages[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_it_is_found_by_its_name_or_by_its_address() -> None:
    now = time.time()
    assert 70 <= stuck.since(page(70), now, "engine") < 73
    assert stuck.since(page(70), now, "other") == 0
    there = page(70, address="10.0.0.2:8000")
    assert 70 <= stuck.since(there, now, addresses={"10.0.0.2:8000"}) < 73
    assert stuck.since(there, now, addresses={"10.0.0.3:8000"}) == 0
    assert stuck.since(page(70), now, addresses={"10.0.0.2:8000"}) == 0, "a page without addresses names nobody"


@pytest.mark.parametrize(
    "odd",
    [
        None, [], {}, "x", {"engines": None}, {"engines": [{}]}, {"engines": [{"name": "engine", "stuck": [{}]}]},
        {"engines": [{"name": "engine", "stuck": [{"since": "soon"}]}]}, {"engines": [{"name": "engine", "stuck": 1}]},
    ],
)  # fmt: skip
def test_a_page_that_says_nothing_ends_nothing(odd: Any) -> None:
    assert stuck.since(odd, time.time(), "engine") == 0


def test_health_is_read_whatever_its_status_and_never_raises() -> None:
    with served({"/health": (503, page(1)), "/odd": (200, "x")}) as url:
        assert stuck.health(f"{url}/health")["engines"][0]["name"] == "other"
        assert stuck.since(stuck.health(f"{url}/odd"), 0.0, "engine") == 0
    assert stuck.health("http://127.0.0.1:9/health") is None


def test_it_is_asked_to_end_once_and_then_killed(tmp_path: Path) -> None:
    sent: list[tuple[int, int]] = []
    mine = stuck.Container(0.3, tmp_path / "ending", lambda pid, number: sent.append((pid, number)))
    assert mine.end(stuck.AFTER_S - 1, LONG) == "" and not sent
    assert mine.end(LONG, stuck.NOT_BEFORE_S - 1) == "" and not sent, "it would never come to run"
    assert "the engine ends here" in mine.end(stuck.AFTER_S, LONG)
    assert sent == [(1, signal.SIGTERM)]
    # The gateway may not say so any more: what was begun is ended.
    assert mine.end(0.0, LONG) == "it is ending" and len(sent) == 1
    time.sleep(0.35)
    assert "killed" in mine.end(0.0, LONG) and sent[1:] == [(-1, signal.SIGKILL)]


def _check(gateway: str, engine: str) -> subprocess.CompletedProcess[str]:
    words = ["--gateway", gateway, "--engine", engine, "--port", "8000", "--grace", "40"]
    return subprocess.run(
        # As in the engine's image: nothing but the standard library.
        [sys.executable, "-I", "-S", str(REPOSITORY / "fullbatch" / "runtime" / "stuck.py"), *words],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


def test_as_a_health_check_it_says_whether_the_engine_answers() -> None:
    with served({"/health": (200, {"engines": []}), "/down": (503, {})}) as url:
        assert _check(f"{url}/health", f"{url}/health").returncode == 0
        assert _check("http://127.0.0.1:9/health", f"{url}/health").returncode == 0, "without a gateway as before"
        down = _check(f"{url}/health", f"{url}/down")
        assert down.returncode == 1 and "503" in down.stdout


def test_it_asks_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with served({"/health": (200, {"engines": []})}) as url:
        assert _check(f"{url}/health", f"{url}/health").returncode == 0


INSIDE = """
import os, signal, subprocess, sys, time
engine = subprocess.Popen([sys.executable, "-c", {engine!r}], stdout=subprocess.PIPE)
engine.stdout.readline()
signal.signal(signal.SIGTERM, lambda *_: engine.terminate())  # as an init does
sys.path.insert(0, {root!r})
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
check = "from fullbatch.runtime import stuck; from pathlib import Path; " \\
    "print(stuck.running() < 60, stuck.Container(0.5, Path({state!r})).end(1e9, 1e9), flush=True)"
for _ in range(40):
    subprocess.run([sys.executable, "-c", check], cwd={root!r})
    try:
        print("ended", engine.wait(0.2), flush=True)
        break
    except subprocess.TimeoutExpired:
        pass
"""
GOOD = "import time; print(1, flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"


@pytest.mark.skipif(
    subprocess.run(["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true"],
                   check=False, capture_output=True).returncode != 0,
    reason="no namespaces of one's own here",
)  # fmt: skip
@pytest.mark.parametrize(("engine", "end"), [(GOOD, -signal.SIGTERM), (DEAF, -signal.SIGKILL)])
def test_in_a_container_the_engine_ends_by_the_hand_of_its_own_user(engine: str, end: int, tmp_path: Path) -> None:
    program = INSIDE.format(engine=engine, root=str(REPOSITORY), state=str(tmp_path / "ending"))
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ,
    )  # fmt: skip
    assert f"ended {int(end)}" in done.stdout, done
    assert done.stdout.startswith("True structured output has been stuck for")
