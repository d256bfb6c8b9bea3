"""What Open WebUI sends, at the gateway of every shipped profile: nobody may see a red box for a first message.

The requests were recorded from Open WebUI 0.12.4 (tests/fixtures/open-webui-requests.json); the engine is a fake one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from tests.gateway.harness import KEY, ROOT, Engine, Gateway, bearer

REQUESTS: dict[str, dict[str, Any]] = json.loads((ROOT / "tests/fixtures/open-webui-requests.json").read_text())
# What our settings leave out: 36 tools of Open WebUI's own with every message, more than a short context holds.
WITH_TOOLS = "chat_with_tools"
RENDERED: dict[str, dict[str, Any]] = {
    path.parent.name: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "rendered").glob("*/gateway.yaml"))
}
PROFILES = sorted(RENDERED)
# As many characters as a token has at least, of English and of JSON.
CHARS_PER_TOKEN = 3


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway with the engines of all profiles; each profile's model is called as the profile."""
    engine = Engine(
        tmp_path_factory.mktemp("engine"), max_model_len=131_072, itl_ms=0.0, ttft_ms=1.0, model=",".join(PROFILES)
    )
    engines = [
        {**_always(each), "name": f"{name}-{number}", "url": engine.url, "models": [name], "adapters": {}}
        for name, settings in RENDERED.items()
        for number, each in enumerate(settings["engines"][:1])
    ]
    polling = {"health_interval_s": 2}
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), [engine.url], engines=engines, polling=polling)
    gateway.wait_up()
    yield gateway
    gateway.stop()
    engine.stop()


def _always(engine: dict[str, Any]) -> dict[str, Any]:
    """One that takes turns, as if it were there all the time: nothing here starts it."""
    return {name: value for name, value in engine.items() if name != "turn"}


@pytest.mark.parametrize("profile", PROFILES)
def test_no_shipped_profile_answers_open_webui_with_an_error(gateway: Gateway, profile: str) -> None:
    context = RENDERED[profile]["engines"][0]["max_model_len"]
    headers = bearer(KEY) | {"x-openwebui-user-id": "alice"}
    for name, request in REQUESTS.items():
        fits = len(json.dumps(request)) / CHARS_PER_TOKEN < context
        if name == WITH_TOOLS and not fits:
            continue  # for the engine to refuse; our settings do not send it
        assert fits, name
        body = request | {"model": profile}
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, f"{name}: {answer.text}"
        assert "error" not in answer.text[:200], name
