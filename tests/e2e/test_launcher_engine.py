"""The launcher with real engines: the guard before vLLM's dev mode, one that cannot start, and the end of all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from launcher import guard
from tests.e2e.vllm_engines import HOME, MODEL, environment
from tests.gateway.harness import ROOT
from tests.launcher.conftest import short_folder as short_folder
from tests.launcher.launchers import Launcher, gone
from tests.ports import free_port

pytestmark = [pytest.mark.engine]
START_S = 240.0
RECORDED = (ROOT / "tests/fixtures/vllm_routes_0.32.0.txt").read_text().splitlines()


def real(name: str, port: int, context: int, **env: str) -> dict[str, Any]:
    command = [
        str(HOME / "engine" / "bin" / "vllm"), "serve", str(MODEL), "--served-model-name", name,
        "--max-model-len", str(context), "--load-format", "dummy", "--host", "127.0.0.1", "--port", str(port),
        "--enforce-eager",
    ]  # fmt: skip
    listen = {"host": "127.0.0.1", "port": port}
    # CPU engines have no sleep mode, so dev mode is turned on here by itself.
    return {"name": name, "command": command, "env": environment() | env, "listen": listen, "stop_timeout_s": 30}


@pytest.fixture
def launcher(short_folder: Path) -> Iterator[Launcher]:
    models = [real("tiny", free_port(), 4096, VLLM_SERVER_DEV_MODE="1"), real("huge", free_port(), 10**8)]
    launcher = Launcher(short_folder, models)
    yield launcher
    launcher.stop()


def test_a_real_engine_behind_the_guard_and_its_end(launcher: Launcher) -> None:
    ready = launcher.do("tiny", "start", "ready", START_S)
    secret = json.loads((launcher.folder / "c.d" / "running.json").read_text())["tiny"]["secret"]
    with httpx.Client(base_url=launcher.engine("tiny"), timeout=30) as client:
        body = {"model": "tiny", "prompt": "1", "max_tokens": 3}
        assert client.post("/v1/completions", json=body).json()["usage"]["completion_tokens"] == 3
        for path in guard.WATCHED:
            assert client.get(path).status_code == 200
        mine = {guard.HEADER.decode(): secret}
        for route in (one for one in RECORDED if one.startswith("/")):
            path = re.sub(r"\{[^}]*\}", "x", route)
            if path in guard.SERVED | guard.WATCHED:
                continue
            for headers in ({}, mine):
                if headers and path in ("/sleep", "/wake_up", "/is_sleeping"):
                    continue
                assert client.get(path, headers=headers).status_code == 404, path
                assert client.post(path, headers=headers, json={}).status_code == 404, path
        # Dev mode is on, and this one of its routes is there for whoever knows the secret.
        assert client.get("/is_sleeping", headers=mine).json() == {"is_sleeping": False}
        assert client.post("/sleep?level=1&mode=abort", headers=mine).status_code == 404

    family = [ready["pid"], *(child.pid for child in psutil.Process(ready["pid"]).children(recursive=True))]
    assert len(family) > 1  # vLLM's core is a process of its own
    launcher.kill()
    launcher.start()
    assert launcher.of("tiny")["pid"] == ready["pid"]
    launcher.do("tiny", "stop", "stopped", 60)
    assert all(map(gone, family))

    failed = launcher.do("huge", "start", "failed", START_S)
    assert failed["why"] == "ended with exit code 1 while loading"
    assert any("max_model_len" in line for line in failed["log"])
    assert "max_model_len (100000000) is greater than" in failed["cause"]
