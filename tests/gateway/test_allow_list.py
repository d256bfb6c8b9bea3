"""Every route that vLLM has, asked for at the gateway: what is not on the list is 404 and never reaches the engine."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import httpx
import pytest

from tests.gateway.harness import KEY, POLLED, ROOT, Engine, Gateway, Raw

RECORDED = ROOT / "tests" / "fixtures" / "vllm_routes_0.32.0.txt"
SERVED = {
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages",
    "/v1/messages/count_tokens", "/v1/score", "/score", "/v1/rerank", "/rerank", "/v2/rerank", "/classify", "/pooling",
    "/tokenize", "/detokenize",
    # The gateway's own pages; the engine's are never asked for on a client's behalf.
    "/v1/models", "/health", "/metrics", "/openapi.json",
}  # fmt: skip
# What reaches the engines by itself: the gateway asks how they are.
_VERBS = {"get", "post", "put", "patch", "delete", "head", "options", "websocket", "api_route", "mount"}


def routes_of(folder: Path) -> set[str]:
    """Every path that a decorator or a mount below this folder gives, whether or not a flag is needed for it."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _VERBS:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.startswith("/"):
                    found.add(first.value)
    return found


def recorded() -> list[str]:
    return [line for line in RECORDED.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.engine
def test_the_recording_is_what_the_engine_has() -> None:
    (package,) = (ROOT / ".fullbatch" / "engine" / "lib").glob("python3*/site-packages/vllm")
    routes = routes_of(package / "entrypoints") | {"/metrics", "/openapi.json", "/docs", "/redoc"}  # FastAPI's own
    assert recorded() == sorted(routes)


def test_the_recording_holds_what_must_not_be_reached() -> None:
    for path in (
        "/sleep",
        "/collective_rpc",
        "/pause",
        "/invocations",
        "/update_weights",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
    ):
        assert path in recorded()


def test_p57_no_other_route_of_the_engine_can_be_reached(gateway: Gateway, engine: Engine) -> None:
    with gateway.client() as client:
        before = engine.paths()
        for route in recorded():
            path = re.sub(r"\{[^}]*\}", "resp_1", route)
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                status = client.request(method, path, json={"model": "tiny"}).status_code
                if path in SERVED:
                    # 404 where this fake engine, which generates text, has no such path either.
                    assert status in (200, 400, 404, 405), (method, path)
                else:
                    assert status == 404, (method, path)
        after = engine.paths()
    reached = {path for path in after if after[path] != before.get(path, 0)} - POLLED
    assert {path.split(" ")[1] for path in reached} <= SERVED
    assert {path.split(" ")[0] for path in reached} == {"POST"}


@pytest.mark.parametrize(
    "target",
    [
        "/v1/chat/completions/../../sleep", "/v1/chat/completions/..%2f..%2fsleep", "//sleep", "/./sleep", "/sleep/",
        "/%73leep", "/SLEEP", "/v1/models/../../sleep", "/v1/models/%2e%2e/%2e%2e/sleep", "/sleep;/v1/models",
        "/v1/models\\..\\sleep", "http://engine/sleep", "*", "/v1/chat/completions%00", "/v1/responses/resp_1/cancel",
        "/?path=/sleep", "/v1/chat/completions?/sleep", "/sleep#/v1/models",
    ],
)  # fmt: skip
def test_p57_no_spelling_of_a_path_gets_round_it(gateway: Gateway, engine: Engine, target: str) -> None:
    before = engine.paths()
    with Raw(gateway.port) as raw:
        head = f"POST {target} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 2\r\n\r\n{{}}"
        raw.send(head.encode() + b"GET /livez HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")
        answer = raw.read_to_close()
    assert re.match(rb"HTTP/1\.1 4(00|04|05) ", answer)
    after = engine.paths()
    assert {path for path in after if after[path] != before.get(path, 0)} <= POLLED


def test_p57_the_engine_is_asked_by_the_path_that_was_compared(client: httpx.Client, engine: Engine) -> None:
    before = engine.paths()
    client.post("/v1/completions?path=/sleep", json={"model": "tiny", "prompt": "x", "max_tokens": 1})
    after = engine.paths()
    assert after["POST /v1/completions"] == before.get("POST /v1/completions", 0) + 1
