from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fullbatch.cli import adhoc_profile
from fullbatch.core.errors import UsageError
from fullbatch.planning import advice, profile
from fullbatch.runtime import tinymodel
from tests.fullbatch import lora_files
from tests.fullbatch.catalog.test_config_json import LLAMA
from tests.fullbatch.checkout import REPOSITORY

QWEN_7B = "Qwen/Qwen2.5-7B-Instruct"


def _ask(**options: Any) -> adhoc_profile.Asked:
    return adhoc_profile.ask(REPOSITORY, options)


def test_a_model_and_a_card_are_enough() -> None:
    asked = _ask(model=QWEN_7B, gpu="rtx4090")
    assert (asked.profile.users, asked.profile.context, asked.profile.hardware.gpu) == (10, 4096, "rtx4090")
    assert asked.profile.description == f"{QWEN_7B} on rtx4090, 10 people asked for"


def test_every_option_is_a_setting() -> None:
    asked = _ask(model=QWEN_7B, gpu="l40s", gpus=2, replicas=3, users=50, context=2048, goal="throughput",
                 workload="rag", weights="fp8", kv_cache="fp8").profile  # fmt: skip
    hardware = asked.hardware
    assert (hardware.gpu, hardware.count, hardware.replicas) == ("l40s", 2, 3)
    assert (asked.users, asked.context, asked.goal, asked.workload) == (50, 2048, "throughput", "rag")
    assert _ask(model=QWEN_7B, gpu="l40s", nodes=2).profile.hardware.nodes == 2
    assert (asked.weights, asked.kv_cache) == ("fp8", "fp8")
    assert asked.description == f"{QWEN_7B} on 6 l40s, 50 people asked for"


def test_options_override_a_profile_and_leave_the_rest() -> None:
    asked = _ask(profile="rtx4090-qwen2.5-7b", users=7)
    shipped = profile.load(REPOSITORY, "rtx4090-qwen2.5-7b")
    assert asked.name == "rtx4090-qwen2.5-7b"
    described = f"{QWEN_7B} on rtx4090, 7 people asked for, else as profile rtx4090-qwen2.5-7b"
    assert asked.profile == shipped.model_copy(update={"users": 7, "description": described})
    assert _ask(profile="rtx4090-qwen2.5-7b").profile == shipped
    assert _ask(profile="cpu", gpu="l4").profile.hardware.gpu == "l4"


@pytest.mark.parametrize("options", [{}, {"model": QWEN_7B}, {"gpu": "l4"}])
def test_too_little_is_said(options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="plan: name a profile, or give --model and --gpu"):
        _ask(**options)


def test_a_question_that_cannot_work_names_no_file() -> None:
    with pytest.raises(UsageError) as raised:
        adhoc_profile.plan_of(_ask(model="meta-llama/Llama-3.1-70B-Instruct", gpu="rtx4090"))
    assert str(raised.value).startswith("meta-llama/Llama-3.1-70B-Instruct needs 131.4 GiB")
    with pytest.raises(UsageError, match=r"^--model: 'Qwen' is no known model \(did you mean Qwen/.*\); give ORG/NAME"):
        _ask(model="Qwen", gpu="rtx4090")


def test_a_title_says_what_is_asked_for_not_what_a_profile_once_said() -> None:
    """`cpu-tiny` on a card is not on the CPU, and 500 people were asked for whether they fit or not."""
    assert _ask(profile="cpu-tiny", gpu="rtx4090").profile.description == (
        "tiny on rtx4090, 50 people asked for, else as profile cpu-tiny"
    )
    assert "500 people asked for" in _ask(profile="rtx4090-qwen2.5-7b", users=500).profile.description


def test_any_card_by_its_figures() -> None:
    given = {"memory": 12.0, "bandwidth": 360.0}
    asked = _ask(model="Qwen/Qwen2.5-1.5B-Instruct", gpu="RTX 3060", capability="8.6", **given)
    card = asked.profile.hardware.card
    assert card is not None
    assert (card.title, card.memory_gib, card.bandwidth_gbs, card.capability) == ("RTX 3060", 11.64, 360.0, (8, 6))
    made = adhoc_profile.plan_of(asked)
    assert "RTX 3060: 11.64 of 12 GiB can be had" in made.assumptions
    # What the engine's default is depends on the card that is really there, so nothing is left to it.
    assert {"max-num-seqs", "max-num-batched-tokens"} <= {flag.name for flag in made.engines[0].flags}
    unnamed = adhoc_profile.plan_of(_ask(model="Qwen/Qwen2.5-1.5B-Instruct", **given))
    assert any("compute capability taken as 8.0" in line for line in unnamed.assumptions)
    other = advice.advise(made, asked.profile)
    assert any("cut over 2" in choice.title for choice in other.better)


def test_a_known_card_with_other_memory_keeps_the_rest() -> None:
    card = _ask(model=QWEN_7B, gpu="rtx4090", memory=48.0).profile.hardware.card
    assert card is not None
    assert (card.title, card.memory_gib, card.bandwidth_gbs, card.capability) == ("rtx4090", 46.56, 1008, (8, 9))
    same = _ask(profile="rtx4090-qwen2.5-7b", memory=48.0).profile.hardware.card
    assert same == card


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gpu": "rtx3061"}, "--gpu: 'rtx3061' is no known card (did you mean rtx3060-12gb?); give --memory and"),
        ({"gpu": "RTX 4090"}, "(did you mean rtx4090?)"),
        ({"gpu": "voodoo"}, "--gpu: 'voodoo' is no known card; give --memory and --bandwidth for any other"),
        ({"gpu": "rx7900xtx"}, "not supported here: vLLM's ROCm image is not in the catalog"),
        ({"gpu": "x", "memory": 12.0}, "--gpu x: give --bandwidth too"),
        ({"gpu": "x", "capability": "8.6"}, "--gpu x: give --memory and --bandwidth too"),
        ({"gpu": "l4", "bandwidth": 1.0}, "give --memory too"),
        ({"gpu": "x", "memory": 12.0, "bandwidth": 9.0, "capability": "6.1"}, "x has compute capability 6.1, vLLM n"),
        ({"gpu": "x", "memory": 12.0, "bandwidth": 9.0, "kv_cache": "fp8"}, "needs compute capability 8.9, the x h"),
    ],
)  # fmt: skip
def test_a_card_that_cannot_be_is_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        adhoc_profile.plan_of(_ask(model="Qwen/Qwen2.5-1.5B-Instruct", **options))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_other_cards_than_the_profiles_are_not_its_device_ids(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    text = f"description: d\nmodel: {QWEN_7B}\nhardware: {{gpu: rtx4090, device_ids: [1]}}\n"
    (tmp_path / "profiles" / "mine.yaml").write_text(text, encoding="utf-8")
    assert adhoc_profile.ask(tmp_path, {"profile": "mine", "users": 3}).profile.hardware.device_ids == [1]
    for change in ({"gpus": 2}, {"replicas": 2}, {"gpu": "l40s"}):
        assert adhoc_profile.ask(tmp_path, {"profile": "mine"} | change).profile.hardware.device_ids == []


def test_a_model_on_this_disk(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(tinymodel.CONFIG), encoding="utf-8")
    for path in (tmp_path, tmp_path / "config.json"):
        made = adhoc_profile.plan_of(_ask(model=str(path), gpu="rtx4090"))
        assert made.engines[0].capacity.kv_bytes_per_token == 2048
    (tmp_path / "profiles").mkdir()
    adhoc_profile.keep(tmp_path, "mine", _ask(model=str(tmp_path), gpu="rtx4090"))
    assert profile.load(tmp_path, "mine").model == str(tmp_path)
    (tmp_path / "config.json").rename(tmp_path / "mine.json")
    with pytest.raises(UsageError, match=r"mine.json is a file; a profile names the folder"):
        adhoc_profile.keep(tmp_path, "other", _ask(model=str(tmp_path / "mine.json"), gpu="rtx4090"))


def test_a_mixture_of_experts_has_no_known_step(tmp_path: Path) -> None:
    """Which experts a step reads depends on the batch: no bound is better than a wrong one."""
    data = tinymodel.CONFIG | {"num_local_experts": 8, "architectures": ["MixtralForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(data), encoding="utf-8")
    asked = _ask(model=str(tmp_path), gpu="rtx4090")
    assert advice.advise(adhoc_profile.plan_of(asked), asked.profile, asked.own).step_ms is None


def test_a_path_that_leads_nowhere() -> None:
    with pytest.raises(UsageError, match=r"no/where.*No such file or directory; give a model's directory"):
        _ask(model="./no/where", gpu="rtx4090")


def test_what_is_kept_is_the_same_profile(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    asked = _ask(model=QWEN_7B, gpu="rtx3090", gpus=2, users=33, context=2048, weights="fp8")
    path = adhoc_profile.keep(tmp_path, "mine", asked)
    assert path == Path("profiles/mine.yaml")
    assert profile.load(tmp_path, "mine") == asked.profile
    assert (tmp_path / path).read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")
    with pytest.raises(UsageError, match="profiles/mine.yaml already exists"):
        adhoc_profile.keep(tmp_path, "mine", asked)


@pytest.mark.parametrize("name", ["../x", "My Chat", "", "x/y", "-x"])
def test_a_name_that_cannot_be_a_profile_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="write a name of a-z"):
        adhoc_profile.keep(tmp_path, name, _ask(model=QWEN_7B, gpu="rtx4090"))


def test_a_profile_whose_model_the_catalog_lacks_is_planned(tmp_path: Path) -> None:
    folder = tmp_path / "llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    (tmp_path / "profiles").mkdir()
    text = f"description: d\nmodel: {folder}\nhardware: {{gpu: h200}}\nusers: 2\n"
    (tmp_path / "profiles/mine.yaml").write_text(text, encoding="utf-8")
    asked = adhoc_profile.ask(tmp_path, {"profile": "mine", "users": 3})
    made = adhoc_profile.plan_of(asked)
    assert (asked.profile.users, made.users) == (3, 3)
    assert advice.advise(made, asked.profile, asked.own).gives_first


def test_adapters_of_a_profile_must_fit_the_model_that_is_asked_for(tmp_path: Path) -> None:
    folder = lora_files.write(tmp_path / "sql")
    (tmp_path / "profiles").mkdir()
    text = f"description: d\nmodel: tiny\nhardware: {{cpu: {{kv_cache_gib: 1}}}}\nadapters: {{sql: {folder}}}\n"
    (tmp_path / "profiles/mine.yaml").write_text(text, encoding="utf-8")
    assert adhoc_profile.ask(tmp_path, {"profile": "mine", "users": 3}).profile.adapters
    with pytest.raises(
        UsageError, match=r"profiles/mine.yaml: adapters.sql: .*q_proj is 256 wide .in., and that of Qwen"
    ):
        adhoc_profile.ask(tmp_path, {"profile": "mine", "model": QWEN_7B, "gpu": "rtx4090"})
