"""Two real models on the processor, as processes: together, and in turns behind a launcher.

Three starts of an engine and one switch; every API, and every answer from the model that was asked.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fullbatch.runtime.process import state
from tests.fullbatch.checkout import REPOSITORY

pytestmark = pytest.mark.engine

SMOL, TINY = "SmolLM2-135M-Instruct", "tiny"
MESSAGES = [{"role": "user", "content": "Say hello."}]
# A first start compiles; beside other tests it takes minutes.
START_S = 1800


class Served:
    """One deployment that runs."""

    def __init__(self, profile: str, port: int) -> None:
        self.profile, self.url = profile, f"http://127.0.0.1:{port}"
        self.key = (state.run_dir(REPOSITORY, profile) / "api_keys").read_text(encoding="utf-8").split()[0]

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"authorization": f"Bearer {self.key}", "x-api-key": self.key, "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            return json.loads(answer.read())

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


def _answers_of_each_api(one: Served, models: tuple[str, ...]) -> None:
    for model in models:
        chat = one.ask("/v1/chat/completions", {"model": model, "messages": MESSAGES, "max_tokens": 4})
        assert (chat["model"], chat["usage"]["completion_tokens"]) == (model, 4)
        told = one.ask("/v1/messages", {"model": model, "messages": MESSAGES, "max_tokens": 4})
        assert (told["model"], told["usage"]["output_tokens"]) == (model, 4)
        body = {"model": model, "messages": MESSAGES, "stream": False, "options": {"num_predict": 4}}
        ollama = one.ask("/api/chat", body)
        assert (ollama["model"], ollama["eval_count"]) == (model, 4)
        assert _is_of(model, chat["choices"][0]["message"]["content"])


def _is_of(model: str, text: str) -> bool:
    """Only the tiny model has words such as w0424, and it has hardly any others."""
    return bool(re.search(r"\bw\d{4}\b", text)) == (model == TINY)


def test_together_each_answers_under_its_name(served: Callable[[str], Served]) -> None:
    one = served("cpu-two-models")
    _answers_of_each_api(one, (SMOL, TINY, SMOL))
    alias = one.ask("/v1/chat/completions", {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 4})
    assert alias["model"] == SMOL


def test_in_turns_each_is_loaded_when_it_is_asked_for(served: Callable[[str], Served]) -> None:
    one = served("cpu-turns")
    assert one.models()[SMOL]["state"] == "ready", "up has asked the first"
    _answers_of_each_api(one, (SMOL, TINY))
    found = one.models()
    assert (found[SMOL]["state"], found[TINY]["state"]) == ("stopped", "ready")
    assert found[TINY]["cold_learned"]
    assert _is_alone(Path(state.run_dir(REPOSITORY, "cpu-turns")), TINY)


def _is_alone(folder: Path, name: str) -> bool:
    """Whether the launcher holds this engine and no other."""
    return list(json.loads((folder / "launcher-cpu" / "running.json").read_text(encoding="utf-8"))) == [name]
