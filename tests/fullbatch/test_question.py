from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fullbatch import answers, profile, question, tinymodel
from fullbatch.errors import UsageError
from tests.fullbatch.checkout import REPOSITORY

QWEN_7B = "Qwen/Qwen2.5-7B-Instruct"


def _ask(**options: Any) -> question.Asked:
    return question.ask(REPOSITORY, options)


def test_a_model_and_a_card_are_enough() -> None:
    asked = _ask(model=QWEN_7B, gpu="rtx4090")
    assert (asked.profile.users, asked.profile.context, asked.profile.hardware.gpu) == (10, 4096, "rtx4090")
    assert asked.profile.description == f"{QWEN_7B} on rtx4090, for up to 10 people"


def test_every_option_is_a_setting() -> None:
    asked = _ask(model=QWEN_7B, gpu="l40s", gpus=2, replicas=3, users=50, context=2048, goal="throughput",
                 workload="rag", weights="fp8", kv_cache="fp8").profile  # fmt: skip
    hardware = asked.hardware
    assert (hardware.gpu, hardware.count, hardware.replicas) == ("l40s", 2, 3)
    assert (asked.users, asked.context, asked.goal, asked.workload) == (50, 2048, "throughput", "rag")
    assert _ask(model=QWEN_7B, gpu="l40s", nodes=2).profile.hardware.nodes == 2
    assert (asked.weights, asked.kv_cache) == ("fp8", "fp8")
    assert asked.description == f"{QWEN_7B} on 6 l40s, for up to 50 people"


def test_options_override_a_profile_and_leave_the_rest() -> None:
    asked = _ask(profile="rtx4090-qwen2.5-7b", users=7)
    shipped = profile.load(REPOSITORY, "rtx4090-qwen2.5-7b")
    assert asked.name == "rtx4090-qwen2.5-7b"
    assert asked.profile == shipped.model_copy(update={"users": 7})
    assert _ask(profile="cpu", gpu="l4").profile.hardware.gpu == "l4"


@pytest.mark.parametrize("options", [{}, {"model": QWEN_7B}, {"gpu": "l4"}])
def test_too_little_is_said(options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="plan: name a profile, or give --model and --gpu"):
        _ask(**options)


def test_a_question_that_cannot_work_names_no_file() -> None:
    with pytest.raises(UsageError) as raised:
        question.plan_of(_ask(model="meta-llama/Llama-3.1-70B-Instruct", gpu="rtx4090"))
    assert str(raised.value).startswith("meta-llama/Llama-3.1-70B-Instruct needs 131.4 GiB")
    with pytest.raises(UsageError, match=r"^options \(.* config\.json\): 'llama' is no known model"):
        _ask(model="llama", gpu="rtx4090")


def test_a_model_on_this_disk(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(tinymodel.CONFIG), encoding="utf-8")
    for path in (tmp_path, tmp_path / "config.json"):
        made = question.plan_of(_ask(model=str(path), gpu="rtx4090"))
        assert made.engines[0].capacity.kv_bytes_per_token == 2048
    with pytest.raises(UsageError, match="is on this disk only"):
        question.keep(tmp_path, "mine", _ask(model=str(tmp_path), gpu="rtx4090"))


def test_a_mixture_of_experts_has_no_known_step(tmp_path: Path) -> None:
    """Which experts a step reads depends on the batch: no bound is better than a wrong one."""
    data = tinymodel.CONFIG | {"num_local_experts": 8, "architectures": ["MixtralForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(data), encoding="utf-8")
    asked = _ask(model=str(tmp_path), gpu="rtx4090")
    assert answers.answer(question.plan_of(asked), asked.profile, asked.own).step_ms is None


def test_a_path_that_leads_nowhere() -> None:
    with pytest.raises(UsageError, match=r"no/where.*No such file or directory; name a model directory"):
        _ask(model="./no/where", gpu="rtx4090")


def test_what_is_kept_is_the_same_profile(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    asked = _ask(model=QWEN_7B, gpu="rtx3090", gpus=2, users=33, context=2048, weights="fp8")
    path = question.keep(tmp_path, "mine", asked)
    assert path == Path("profiles/mine.yaml")
    assert profile.load(tmp_path, "mine") == asked.profile
    assert (tmp_path / path).read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")
    with pytest.raises(UsageError, match="profiles/mine.yaml: there is one already"):
        question.keep(tmp_path, "mine", asked)


@pytest.mark.parametrize("name", ["../x", "My Chat", "", "x/y", "-x"])
def test_a_name_that_cannot_be_a_profile_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a profile is named with"):
        question.keep(tmp_path, name, _ask(model=QWEN_7B, gpu="rtx4090"))
