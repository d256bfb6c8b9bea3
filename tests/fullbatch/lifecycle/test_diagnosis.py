"""Each failure is recognised by the source's own words, and these words still stand in the pinned engine."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from fullbatch.core.yamlfile import read_mapping
from fullbatch.lifecycle import diagnosis
from fullbatch.planning.flags import Flag
from fullbatch.planning.plan import Plan, make
from fullbatch.planning.profile import load, parse
from tests.conftest import VLLM
from tests.fullbatch.checkout import REPOSITORY

FAILURES: list[dict[str, Any]] = yaml.safe_load(
    (REPOSITORY / "tests" / "fixtures" / "engine-failures.yaml").read_text(encoding="utf-8")
)


def _id(value: Any) -> str:
    return str(value["name"] if isinstance(value, dict) else value.name)


def _plan(name: str) -> Plan:
    return make(name, load(REPOSITORY, name))


@pytest.mark.parametrize("failure", FAILURES, ids=_id)
def test_cause_and_change(failure: dict[str, Any]) -> None:
    found = diagnosis.findings(failure["log"], _plan(failure["profile"]))
    assert found[0].name == failure["name"]
    assert found[0].change == failure["change"]
    assert "{" not in found[0].cause
    assert "\n" not in found[0].cause


@pytest.mark.parametrize("entry", diagnosis.patterns(), ids=_id)
def test_every_pattern_has_a_failure_that_only_it_explains(entry: diagnosis.Pattern) -> None:
    explained = []
    for failure in FAILURES:
        found = diagnosis.findings(failure["log"], _plan(failure["profile"]))
        explained += [failure for line in found if entry.name == line.name and entry.pattern.search(line.line)]
    assert explained
    if entry.wording:
        assert any(entry.wording.strip() in line for failure in explained for line in failure["log"])


def test_where_each_message_comes_from_is_said() -> None:
    assert [one.name for one in diagnosis.patterns() if bool(one.source and one.wording) == bool(one.elsewhere)] == []


@pytest.mark.engine
@pytest.mark.parametrize("entry", [one for one in diagnosis.patterns() if one.source], ids=_id)
def test_the_wording_stands_in_the_pinned_engine(entry: diagnosis.Pattern) -> None:
    path, _, number = str(entry.source).rpartition(":")
    (packages,) = VLLM.parents[1].glob("lib/python3*/site-packages")
    line = (packages / path).read_text(encoding="utf-8").splitlines()[int(number) - 1]
    assert str(entry.wording) in line


def test_the_systems_own_words() -> None:
    """Two patterns wait for the C library's texts."""
    plan = _plan("cpu")
    for number, name in ((errno.EADDRINUSE, "port-taken"), (errno.ENOSPC, "disk-full")):
        (found,) = diagnosis.findings([f"OSError: [Errno {int(number)}] {os.strerror(number)}"], plan)
        assert found.name == name


def test_a_healthy_log_names_nothing() -> None:
    healthy = [
        "(APIServer pid=1) INFO 11-23 14:00:51 [api_utils.py:286] vLLM API server version 0.32.0",
        "(EngineCore pid=2) INFO 11-23 14:01:06 [kv_cache_utils.py:2316] CPU KV cache size: 1,048,576 tokens",
        "(EngineCore pid=2) INFO 11-23 14:01:06 [cpu_model_runner.py:90] Warming up done.",
        "(APIServer pid=1) INFO:     Application startup complete.",
    ]
    assert diagnosis.findings(healthy, _plan("cpu")) == []
    assert diagnosis.findings([], _plan("cpu")) == []


def test_the_first_is_the_root_and_what_may_be_harmless_is_left_out() -> None:
    log = [
        "INFO No available shared memory broadcast block found in 60 seconds. This typically happens",
        "RuntimeError: Cannot find any model weights with `/m`",
        "RuntimeError: NCCL error: remote process exited",
    ]
    found = diagnosis.findings(log, _plan("cpu"))
    assert [one.name for one in found] == ["no-weights", "nccl"]
    assert [one.name for one in diagnosis.findings(log[:1], _plan("cpu"))] == ["worker-silent"]


def test_a_context_too_short_to_be_written_is_not_advised(plan_of: Callable[[str], Plan]) -> None:
    said = (
        "ValueError: To serve at least one request with the model's max seq len (4096), (2.0 GiB KV cache is needed, "
        "which is larger than the available KV cache memory (0.1 GiB). Based on the available memory, the estimated "
        "maximum model length is 128. Try increasing"
    )
    (found,) = diagnosis.findings([said], plan_of("cpu"))
    assert "128" not in found.change


def test_the_key_named_is_the_one_the_profile_sets() -> None:
    data = read_mapping(REPOSITORY / "profiles" / "rtx4090-qwen2.5-7b.yaml")
    data["engine"] = {"args": {"max-model-len": 9000}}
    plan = make("own", parse(data, "profiles/own.yaml"))
    (found,) = diagnosis.findings(FAILURES[0]["log"], plan)
    assert found.change == "in profiles/own.yaml write `engine.args.max-model-len: 6032`, or take a smaller model"


def test_a_line_that_is_no_format_of_ours_is_passed_through() -> None:
    """Braces in what the engine says must not be read as fields of a sentence."""
    (found,) = diagnosis.findings(['vllm serve: error: unrecognized arguments: --x {"a": 1}'], _plan("cpu"))
    assert '--x {"a": 1}' in found.cause


def test_a_flag_that_is_nonsense_is_explained_too() -> None:
    data = read_mapping(REPOSITORY / "profiles" / "rtx4090-qwen2.5-7b.yaml")
    plan = make("own", parse(data, "profiles/own.yaml"))
    flags = (Flag("tensor-parallel-size", "two", "nonsense"), *plan.engines[0].flags)
    plan = dataclasses.replace(plan, engines=(dataclasses.replace(plan.engines[0], flags=flags),))
    said = "vllm serve: error: argument --tensor-parallel-size/-tp: Value two cannot be converted to <class 'int'>."
    (found,) = diagnosis.findings([said], plan)
    assert "refuses the value of --tensor-parallel-size/-tp: Value two" in found.cause
