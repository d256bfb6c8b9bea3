"""What the guard lets through; the real engine behind it is in tests/e2e/test_launcher_engine.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher import guard
from tests.gateway.harness import ROOT

SECRET = "0123456789abcdef"
WITH = [(guard.HEADER, SECRET.encode())]
PLAIN: list[tuple[bytes, bytes]] = []


async def asked(
    method: str, path: str, query: bytes = b"", headers: list[tuple[bytes, bytes]] = PLAIN, kind: str = "http"
) -> int:
    """The status that comes back: 200 from the application behind, 404 from the guard."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001
        sent.append({"type": "http.response.start", "status": 200})

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": kind, "method": method, "path": path, "query_string": query, "headers": headers}
    await guard.RouteGuard(app)(scope, receive, send)
    return int(sent[0].get("status", sent[0].get("code", 0)))


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLBATCH_GUARD_SECRET", SECRET)


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("path", sorted(guard.SERVED | guard.WATCHED))
async def test_what_the_gateway_uses_passes(path: str) -> None:
    assert await asked("POST", path) == 200


# Of vLLM's own routes; and ways to write one that is not one.
RECORDED = (ROOT / "tests/fixtures/vllm_routes_0.32.0.txt").read_text().splitlines()
PASSED = guard.SERVED | guard.WATCHED
DEV = [route for route in RECORDED if route.startswith("/") and route not in PASSED]
BENT = ["/", "/health/", "//collective_rpc", "/v1/models/../collective_rpc", "/METRICS", "/sleep/", "/health/../sleep"]


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("path", [*DEV, *BENT])
async def test_nothing_else_passes_with_the_secret_or_without(path: str) -> None:
    for method in ("GET", "POST"):
        assert await asked(method, path) == 404
    if path not in ("/sleep", "/wake_up", "/is_sleeping"):
        for method in ("GET", "POST"):
            assert await asked(method, path, headers=WITH) == 404


def test_the_recording_holds_what_must_not_pass() -> None:
    assert {"/collective_rpc", "/update_weights", "/server_info", "/release_kv_cache_memory", "/sleep"} <= set(DEV)


@pytest.mark.usefixtures("secret")
async def test_sleeping_needs_the_secret() -> None:
    sleep = ("POST", "/sleep", b"level=1&mode=wait")
    assert await asked(*sleep, WITH) == 200
    assert await asked("POST", "/wake_up", b"", WITH) == 200
    assert await asked("GET", "/is_sleeping", b"", WITH) == 200
    assert await asked(*sleep) == 404
    assert await asked(*sleep, [(guard.HEADER, b"wrong")]) == 404
    assert await asked(*sleep, [*WITH, *WITH]) == 404


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("query", [b"", b"level=1", b"level=1&mode=abort", b"level=2&mode=wait", b"level=0&mode=wait"])
async def test_nobody_can_cut_answers_or_throw_weights_away(query: bytes) -> None:
    assert await asked("POST", "/sleep", query, WITH) == 404


async def test_without_a_secret_nobody_can_put_it_to_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FULLBATCH_GUARD_SECRET", raising=False)
    assert await asked("POST", "/sleep", b"level=1&mode=wait", [(guard.HEADER, b"")]) == 404


@pytest.mark.usefixtures("secret")
async def test_other_kinds_of_connections() -> None:
    assert await asked("GET", "/health", kind="lifespan") == 200
    assert await asked("GET", "/v1/realtime", kind="websocket") == 1008


def test_the_gateways_allow_list_is_let_through() -> None:
    """What routes.py sends to engines: a path that is added there has to be added to the guard."""
    source = (ROOT / "gateway/api/routes.py").read_text()
    to_engines = source.partition("def _openai_routes")[2].partition("def _ollama_routes")[0]
    paths = set(re.findall(r'"(/[a-z0-9_/]+)"', to_engines))
    assert len(paths) > 10
    assert paths == guard.SERVED


def test_it_stands_alone(tmp_path: Path) -> None:
    """In Python 3.10's library alone, as in any image of vLLM."""
    (tmp_path / "guard.py").write_text((ROOT / "launcher/guard.py").read_text())
    done = subprocess.run([sys.executable, "-I", "-S", tmp_path / "guard.py"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
