"""What a profile's model can do: the engine's flags, what is left and why, what clients are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.planning import capabilities, deployments, explain, plan, profile
from fullbatch.planning.capabilities import Capabilities
from tests.fullbatch.checkout import REPOSITORY

QWEN = {"description": "d", "model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "rtx4090"}}


def _profile(**changes: Any) -> profile.Profile:
    return profile.parse(QWEN | changes, "x")


def _choose(**changes: Any) -> Capabilities:
    asked = _profile(**changes)
    return capabilities.choose(asked, asked.facts)


def _flags(**changes: Any) -> dict[str, Any]:
    return {flag.name: flag.value for flag in _choose(**changes).flags}


def test_a_family_that_calls_tools_gets_its_parser() -> None:
    assert _flags() == {"enable-auto-tool-choice": True, "tool-call-parser": "hermes"}
    assert _choose().named == ("completion", "tools")
    assert dict(_choose().left)["reasoning-parser"].startswith("Qwen 2.5 does not think first")


def test_one_that_thinks_gets_both() -> None:
    found = _flags(model="Qwen/Qwen3-8B-FP8", hardware={"gpu": "rtx5090"})
    assert found == {"enable-auto-tool-choice": True, "tool-call-parser": "hermes", "reasoning-parser": "qwen3"}
    assert _choose(model="Qwen/Qwen3-8B-FP8").named == ("completion", "tools", "thinking")


@pytest.mark.parametrize("wish", ["off", False])
def test_tools_off(wish: Any) -> None:
    found = _choose(tools=wish)
    assert found.named == ("completion",)
    assert not found.flags and not found.ignore_tools
    assert "refused" in dict(found.left)["tool-call-parser"]


def test_tools_that_are_left_out_of_requests() -> None:
    found = _choose(tools="ignore")
    assert (found.named, found.ignore_tools, found.flags) == (("completion",), True, ())


def test_a_parser_by_name() -> None:
    assert _flags(tools="llama3_json")["tool-call-parser"] == "llama3_json"
    assert _flags(model="google/gemma-2-2b-it", tools="pythonic")["tool-call-parser"] == "pythonic"
    assert _flags(thinking="deepseek_r1")["reasoning-parser"] == "deepseek_r1"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tools": "hermez"}, "tools: 'hermez' is no parser of vLLM 0.32.0 (did you mean hermes?); write auto, off"),
        ({"thinking": "quen3"}, "thinking: 'quen3' is no parser of vLLM 0.32.0 (did you mean qwen3?); write auto, on"),
        ({"engine": {"args": {"tool-call-parser": "hermez"}}}, "engine.args.tool-call-parser: 'hermez' is no parser"),
        ({"engine": {"args": {"reasoning-parser": "x"}}}, "engine.args.reasoning-parser: 'x' is no parser of vLLM"),
        ({"thinking": "on"}, "thinking: on: Qwen/Qwen2.5-7B-Instruct: Qwen 2.5 does not think first; write thinking:"),
        ({"model": "openai/gpt-oss-20b", "thinking": False}, "thinking: off: openai/gpt-oss-20b: it always thinks f"),
        ({"model": "Qwen/Qwen3-Embedding-0.6B", "thinking": "on"}, "it makes vectors or scores, no text"),
    ],
)
def test_what_cannot_be_is_a_line_of_the_plan(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        plan.make("x", _profile(**changes))
    assert said in str(refused.value)


@pytest.mark.parametrize("wish", [7, "a b", "", ["hermes"], None])
def test_what_is_no_name_is_a_line_of_the_profile(wish: Any) -> None:
    for key in ("tools", "thinking"):
        with pytest.raises(UsageError, match=f"^x: {key}: "):
            _profile(**{key: wish})


def test_thinking_is_switched_by_default() -> None:
    found = _flags(model="Qwen/Qwen3-8B-FP8", thinking="off")
    assert found["default-chat-template-kwargs"] == {"enable_thinking": False}
    # A request may still ask for it, and then it has to be separated.
    assert found["reasoning-parser"] == "qwen3"
    assert _flags(model="google/gemma-4-12B-it-qat-w4a16-ct", thinking=True)["default-chat-template-kwargs"] == {
        "enable_thinking": True
    }
    assert _choose(thinking="off").named == ("completion", "tools")


def test_thinking_may_stay_in_the_answer() -> None:
    found = _choose(model="Qwen/Qwen3-8B-FP8", thinking="inline")
    assert found.named == ("completion", "tools")
    assert "stands in the answer" in dict(found.left)["reasoning-parser"]


def test_what_the_profile_gives_in_engine_args_wins() -> None:
    own = {"enable-auto-tool-choice": True, "tool-call-parser": "mistral", "reasoning-parser": "granite"}
    found = _choose(engine={"args": own})
    assert found.flags == ()
    assert found.named == ("completion", "tools", "thinking")
    assert _flags(engine={"args": {"tool-call-parser": "mistral"}}) == {"enable-auto-tool-choice": True}
    off = _choose(engine={"args": {"enable-auto-tool-choice": False}})
    assert (off.flags, off.named) == ((), ("completion",))
    plugged = {"tool-call-parser": "ours", "tool-parser-plugin": "/x.py"}
    assert _choose(engine={"args": plugged}).named == ("completion", "tools")
    kwargs = {"default-chat-template-kwargs": {"enable_thinking": True}}
    assert "default-chat-template-kwargs" not in _flags(model="Qwen/Qwen3-4B", thinking="off", engine={"args": kwargs})


def test_what_makes_vectors_is_told_so() -> None:
    assert _choose(model="BAAI/bge-m3").named == ("embedding",)
    found = _choose(model="Qwen/Qwen3-Embedding-0.6B", engine={"args": {"runner": "pooling"}})
    assert (found.named, found.flags) == (("embedding",), ())


def test_vision_is_told_where_the_encoder_is_loaded() -> None:
    model = {"model": "Qwen/Qwen3-VL-8B-Instruct"}
    assert "vision" in _choose(**model).named
    for args in ({"language-model-only": True}, {"limit-mm-per-prompt": {"image": 0}}):
        assert "vision" not in _choose(**model, engine={"args": args}).named
    assert "vision" not in _choose(**model, pictures=0).named
    assert "vision" not in _choose().named


def test_a_family_that_needs_more_gets_it() -> None:
    big = {"hardware": {"gpu": "h200", "count": 8}, "model": "zai-org/GLM-5.1-FP8"}
    assert _flags(**big)["chat-template-content-format"] == "string"


def test_explain_says_why_each_is_on_or_off() -> None:
    said = {line.flag: line.text for line in explain.lines(plan.make("x", _profile()))}
    assert said["tool-call-parser"].startswith("hermes: Qwen 2.5 writes calls so")
    assert said["reasoning-parser"].startswith("not given: Qwen 2.5 does not think first")
    refused = explain.lines(plan.make("x", _profile(model="google/gemma-2-2b-it")))
    why = next(line.text for line in refused if line.flag == "tool-call-parser")
    assert "no place for tools" in why and "`tools`" in why


@pytest.mark.parametrize("path", sorted((REPOSITORY / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_takes_tools(path: Path) -> None:
    """Open WebUI sends its own with every message: without a parser the first one is a red box."""
    made = deployments.planned(REPOSITORY, path.stem)
    assert all("tools" in engine.capabilities for engine in made.engines if "completion" in engine.capabilities)
