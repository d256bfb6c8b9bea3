from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher import environment
from launcher.config import CommandedModel, EngineAddress

LISTEN = EngineAddress("127.0.0.1", 8000)
ROOT = str(Path(environment.__file__).resolve().parents[1])


@pytest.mark.parametrize("sleep", [True, False])
def test_dev_mode_is_for_those_that_sleep_only(sleep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    model = CommandedModel("a", ("vllm", "serve"), LISTEN, (("HF_HOME", "/x"),), sleep)
    found = environment.variables(model, "s3cret")
    assert found.get("VLLM_SERVER_DEV_MODE") == ("1" if sleep else None)
    assert found["PYTHONPATH"] == f"{ROOT}{os.pathsep}/elsewhere"
    assert (found["HF_HOME"], found["FULLBATCH_GUARD_SECRET"]) == ("/x", "s3cret")


def test_the_guard_stands_before_every_engine() -> None:
    model = CommandedModel("a", ("vllm", "serve", "m"), LISTEN)
    assert environment.command(model) == ["vllm", "serve", "m", "--middleware", "launcher.guard.RouteGuard"]
