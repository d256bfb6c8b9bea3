"""Weights of an engine that runs as a process: fetched with the Python that runs `vllm`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core.errors import HostError
from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make
from fullbatch.runtime import fetch
from fullbatch.runtime.process import weights


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    return tmp_path / "asked"


def _vllm(tmp_path: Path, asked: Path, code: int) -> str:
    """A `vllm` whose Python is a program that writes down what it is given."""
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\necho "$@" > {asked}\nexit {code}\n', encoding="utf-8")
    python.chmod(0o755)
    program = tmp_path / "bin" / "vllm"
    program.write_text(f"#!{python}\n", encoding="utf-8")
    return str(program)


@pytest.mark.parametrize(("code", "there"), [(fetch.THERE, True), (fetch.NO_LIBRARY, False)])
def test_the_engines_own_python_fetches(
    code: int, there: bool, tmp_path: Path, asked: Path, plan_of: Callable[[str], Plan]
) -> None:
    engine = plan_of("cpu").engines[0]
    assert weights.ready(engine, _vllm(tmp_path, asked, code), tmp_path) is there
    assert asked.read_text(encoding="utf-8") == f"-P {fetch.__file__} {engine.model}\n"


def test_what_drafts_is_fetched_too(tmp_path: Path, asked: Path) -> None:
    data = {"description": "d", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "rtx4090"}, "speculative": "eagle3"}
    engine = make("x", profile.parse(data, "x")).engines[0]
    assert weights.ready(engine, _vllm(tmp_path, asked, fetch.THERE), tmp_path)
    assert asked.read_text(encoding="utf-8").endswith(" Qwen/Qwen3-8B --also RedHatAI/Qwen3-8B-speculator.eagle3\n")


def test_what_cannot_be_had_ends_the_start(tmp_path: Path, asked: Path, plan_of: Callable[[str], Plan]) -> None:
    with pytest.raises(HostError, match="the weights of Qwen/Qwen2.5-0.5B-Instruct are not here"):
        weights.ready(plan_of("cpu").engines[0], _vllm(tmp_path, asked, fetch.MISSING), tmp_path)


def test_a_model_that_is_made_and_a_program_that_is_no_script_fetch_nothing(
    tmp_path: Path, asked: Path, plan_of: Callable[[str], Plan]
) -> None:
    assert weights.ready(plan_of("cpu-tiny").engines[0], _vllm(tmp_path, asked, 0), tmp_path) is False
    assert weights.ready(plan_of("cpu").engines[0], sys.executable, tmp_path) is False
    assert weights.ready(plan_of("cpu").engines[0], "/nowhere/vllm", tmp_path) is False
    assert not asked.exists()


def test_a_packaged_model_is_made_by_the_engines_own_python(
    tmp_path: Path, asked: Path, plan_of: Callable[[str], Plan]
) -> None:
    engine = plan_of("cpu-smollm2").engines[0]
    assert engine.package is not None
    assert weights.ready(engine, _vllm(tmp_path, asked, 0), tmp_path / "models") is True
    words = " ".join(engine.package.words())
    assert asked.read_text(encoding="utf-8") == f"-P -m fullbatch.packaged --models {tmp_path}/models {words}\n"


def test_a_packaged_model_that_cannot_be_had_ends_the_start(
    tmp_path: Path, asked: Path, plan_of: Callable[[str], Plan]
) -> None:
    engine = plan_of("cpu-smollm2").engines[0]
    with pytest.raises(HostError, match="SmolLM2-135M-Instruct is not here; the line above says why"):
        weights.ready(engine, _vllm(tmp_path, asked, 1), tmp_path)
    with pytest.raises(HostError, match="the Python of `vllm` is not known"):
        weights.ready(engine, sys.executable, tmp_path)
