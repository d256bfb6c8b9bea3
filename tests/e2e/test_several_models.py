"""Two real models on the processor, as processes: together, and in turns behind a launcher.

Two engines that start at once, and three in turns; each API's own client, every answer from the model that was asked,
and as many KV tokens as planned.
"""

from __future__ import annotations

import concurrent.futures
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fullbatch.core import http
from fullbatch.lifecycle import deployment
from fullbatch.runtime.process import state
from tests.e2e.api_clients import ApiClients
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.several_profiles import planned_of

pytestmark = pytest.mark.engine

SMOL, TINY = "SmolLM2-135M-Instruct", "tiny"
# A first start compiles; beside other tests it takes minutes.
START_S = 1800


class Served:
    """One deployment that runs."""

    def __init__(self, profile: str, port: int) -> None:
        self.profile, self.url = profile, f"http://127.0.0.1:{port}"
        key = (state.run_dir(REPOSITORY, profile) / "api_keys").read_text(encoding="utf-8").split()[0]
        self.clients = ApiClients(self.url, key)

    def kv_tokens(self) -> dict[str, int]:
        """Of each engine that answers, by its own word."""
        known = state.read(REPOSITORY, self.profile)
        assert known is not None
        said = {name: deployment.kv_tokens_reported(http.metrics(url)) for name, url in known.engine_urls.items()}
        return {name: tokens for name, tokens in said.items() if tokens is not None}

    def models(self) -> dict[str, Any]:
        said = _fullbatch("models", "--profile", self.profile, "--json")
        return {one["names"][0]: one for one in json.loads(said.stdout)["models"]}


def _fullbatch(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fullbatch", *words]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=START_S, check=False)


@pytest.fixture
def served(free_port: Callable[[], int]) -> Iterator[Callable[[str], Served]]:
    started = []

    def start(profile: str) -> Served:
        started.append(profile)
        port = free_port()
        up = _fullbatch("up", profile, "--runtime", "process", "--gateway-port", str(port), "--timeout", str(START_S))
        assert up.returncode == 0, up.stderr
        return Served(profile, port)

    yield start
    for profile in started:
        _fullbatch("down", profile)


def _answers_of_each_client(one: Served, *models: str) -> None:
    for model in models:
        for client in one.clients.each():
            said, tokens, text = client(model)
            assert (said, tokens) == (model, 4), client
            assert _is_of(model, text), client


def _planned(profile: str) -> dict[str, int]:
    """KV tokens of each engine."""
    return {part.engines[0].service: part.capacity.kv_tokens for part in planned_of(profile).parts}


def _is_of(model: str, text: str) -> bool:
    """Only the tiny model has words such as w0424, and it has hardly any others."""
    return bool(re.search(r"\bw\d{4}\b", text)) == (model == TINY)


def test_together_each_answers_under_its_name(served: Callable[[str], Served]) -> None:
    one = served("cpu-two-models")
    _answers_of_each_client(one, SMOL, TINY, SMOL)
    assert one.clients.of_openai("gpt-4o-mini")[0] == SMOL
    assert one.kv_tokens() == _planned("cpu-two-models"), "they started at once"


def test_in_turns_each_is_loaded_when_it_is_asked_for(served: Callable[[str], Served]) -> None:
    one = served("cpu-turns")
    assert one.models()[SMOL]["state"] == "ready", "up has asked the first"
    planned = _planned("cpu-turns")
    for name in (SMOL, TINY):
        _answers_of_each_client(one, name)
        assert one.kv_tokens().items() <= planned.items() and len(one.kv_tokens()) == 1
    found = one.models()
    assert (found[SMOL]["state"], found[TINY]["state"]) == ("stopped", "ready")
    assert found[TINY]["cold_learned"]
    assert _is_alone(Path(state.run_dir(REPOSITORY, "cpu-turns")), TINY)
    with concurrent.futures.ThreadPoolExecutor() as pool:  # two starts are wanted at once
        asked = [pool.submit(one.clients.of_openai, name) for name in (SMOL, TINY)]
        assert [answer.result()[0] for answer in asked] == [SMOL, TINY]
    _never_two(Path(state.run_dir(REPOSITORY, "cpu-turns")) / "launcher-cpu.log")


def _never_two(log: Path) -> None:
    """No engine was started before the one before it had ended."""
    there = ""
    for line in log.read_text(encoding="utf-8").splitlines():
        if started := re.match(r"launcher: start '(.*)'", line):
            assert not there, f"{started[1]} was started beside {there}"
            there = started[1]
        elif re.match(rf"launcher: '{re.escape(there)}' has ended", line):
            there = ""


def _is_alone(folder: Path, name: str) -> bool:
    """Whether the launcher holds this engine and no other."""
    return list(json.loads((folder / "launcher-cpu" / "running.json").read_text(encoding="utf-8"))) == [name]
