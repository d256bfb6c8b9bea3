from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from fullbatch.core.errors import HostError
from fullbatch.planning import profile
from fullbatch.rendering import check, files
from fullbatch.runtime.compose import config
from tests.fullbatch.checkout import REPOSITORY

FIXED = """\
name: test
include:
  - path: rendered/${PROFILE:-cpu}/compose.yaml
    project_directory: .
services:
  gateway: {image: "python:3.11", networks: [engines, front]}
networks: {engines: {internal: true}, front: {}}
volumes: {models: {}, engine-cache: {}, launcher: {}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("profiles", "templates", "rendered"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    (tmp_path / "compose.yaml").write_text(FIXED, encoding="utf-8")
    return tmp_path


def _add_profile(root: Path, name: str, more: str) -> None:
    text = (root / "profiles/cpu.yaml").read_text(encoding="utf-8")
    (root / f"profiles/{name}.yaml").write_text(text + more, encoding="utf-8")
    files.write(root, [name])


def test_good_files_have_no_problem_and_what_was_not_asked_is_said(root: Path) -> None:
    result = check.check(root, profile.names(root))
    assert result.problems == ()
    assert any("vLLM is not installed here" in line for line in result.skipped)


def test_the_shipped_profiles_pass_compose() -> None:
    result = check.check(REPOSITORY, profile.names(REPOSITORY))
    assert result.problems == ()
    assert not any("Compose" in line for line in result.skipped)


def test_a_stale_file_is_told_and_nothing_else(root: Path) -> None:
    (root / "rendered/cpu/compose.yaml").write_text("services: 7\n", encoding="utf-8")
    assert check.check(root, ["cpu"]).problems == (
        "rendered/cpu/compose.yaml: stale or missing; run `fullbatch render`",
    )


def test_an_orphan_is_told(root: Path) -> None:
    (root / "profiles/cpu.yaml").unlink()
    assert check.check(root, ["cpu-tiny"]).problems == ("rendered/cpu: nothing writes it any more; remove it",)


def test_a_service_in_both_files_is_told(root: Path) -> None:
    """Compose itself merges the two without a word."""
    data = yaml.safe_load(FIXED)
    data["services"]["engine"] = {"image": "x"}
    (root / "compose.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    assert "rendered/cpu/compose.yaml: service 'engine' also stands in compose.yaml; rename one" in (
        check.check(root, ["cpu"]).problems
    )


def test_what_compose_says_is_told_with_the_profile(root: Path) -> None:
    (root / "compose.yaml").write_text(FIXED.replace("volumes: {models: {}, ", "volumes: {"), encoding="utf-8")
    problems = check.check(root, ["cpu", "cpu-tiny"]).problems
    assert len(problems) == 2
    assert problems[0].startswith("compose.yaml with PROFILE=cpu: ")
    assert "models" in problems[0]


def test_a_dollar_that_compose_would_eat_is_told(root: Path) -> None:
    (root / "compose.yaml").write_text(FIXED.replace("python:3.11", "python:$NOWHERE"), encoding="utf-8")
    (problem,) = check.check(root, ["cpu"]).problems
    assert "NOWHERE" in problem


def test_a_dollar_in_a_profile_comes_through_compose(root: Path) -> None:
    _add_profile(root, "dollar", "engine: {args: {tokenizer: 'a$b ${HOME}'}, env: {COST: '$5'}}\n")
    assert check.check(root, ["dollar"]).problems == ()
    assert "a$b ${HOME}" in config.engine_commands(root, "dollar")["engine"]


def test_without_compose_it_is_said(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert config.compose_program() is None
    assert "compose.yaml: Docker Compose is not installed here, so it was not asked" in check.check(root, []).skipped


def test_an_engine_environment_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    python = tmp_path / "engine" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 'ImportError: no torch' >&2\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(HostError, match=r"engine does not start \(ImportError: no torch\); .*scripts/install-engine"):
        check.ask_engine_parser(REPOSITORY, python, [["m"]])
