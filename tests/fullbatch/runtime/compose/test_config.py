from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fullbatch.runtime.compose import config
from tests.fullbatch.checkout import REPOSITORY


def test_only_engines_are_engine_commands() -> None:
    """The one-shot `model` has a command too, of another program."""
    assert set(config.engine_commands(REPOSITORY, "cpu-tiny")) == {"engine"}


def test_the_commands_of_models_that_take_turns_stand_in_the_launchers_file() -> None:
    found = config.engine_commands(REPOSITORY, "cpu-turns")
    assert set(found) == {"launcher-cpu smollm2-135m-instruct", "launcher-cpu tiny"}
    assert found["launcher-cpu tiny"][:3] == ["/models/cpu-tiny", "--served-model-name", "tiny"]


@pytest.mark.parametrize(("code", "usable"), [(0, True), (1, False)])
def test_the_plugin_is_used_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, usable: bool
) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\nexit {code}\n", encoding="utf-8")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert config.compose_program() == ([str(tmp_path / "docker"), "compose"] if usable else None)
