"""Cards and driver against a plan, each fault made on purpose from an answer of nvidia-smi."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from fullbatch.core.check_result import CheckResult
from fullbatch.doctor import cards, nvidia
from fullbatch.doctor.nvidia import Nvidia
from fullbatch.planning.flags import Flag
from fullbatch.planning.plan import Plan
from tests.fullbatch.doctor.test_nvidia import text

TAKEN = Nvidia(nvidia.parse_cards(text("rtx4090-cards-taken.csv")), nvidia.parse_holders(text("rtx4090-holders.csv")))
FREE = Nvidia(TAKEN.cards[1:])
BIG = "rtx4090-qwen2.5-7b"
SMALL = "rtx4090-qwen2.5-1.5b"


@pytest.fixture
def plan(plan_of: Callable[[str], Plan]) -> Plan:
    return plan_of(BIG)


def _named(found: list[CheckResult], check: str) -> CheckResult:
    (one,) = [one for one in found if one.check == check]
    return one


@pytest.mark.parametrize("version", ["580.159.04", "580.65.06", "595.10"])
def test_a_driver_for_cuda_13(plan: Plan, version: str) -> None:
    assert cards.driver(version, plan.engines[0]).severity == "ok"


@pytest.mark.parametrize("version", ["570.124.06", "579.99", "525.60.13"])
def test_an_older_driver_and_the_image_that_runs_with_it(plan: Plan, version: str) -> None:
    found = cards.driver(version, plan.engines[0])
    assert found.severity == "fail"
    assert f"NVIDIA {version}" in found.finding
    assert "vllm/vllm-openai:v0.32.0-cu129" in found.fix
    assert "update the driver to 580" in found.fix


def test_a_driver_too_old_for_any_image(plan: Plan) -> None:
    found = cards.driver("470.256.02", plan.engines[0])
    assert (found.severity, found.fix) == ("fail", "update the driver to 580 or newer")


def test_no_driver(plan: Plan) -> None:
    (found,) = cards.judge(Nvidia(problem="no driver", fix="install it"), plan, {})
    assert (found.severity, found.finding, found.fix) == ("fail", "no driver", "install it")


def test_a_free_card(plan: Plan) -> None:
    found = cards.judge(FREE, plan, {})
    assert _named(found, "card").severity == "ok"
    memory = _named(found, "card memory")
    assert (memory.severity, memory.finding) == ("ok", "1: 23.5 of 23.5 GiB free, the engine takes 21.7")


def test_a_taken_card_names_who_holds_it_the_largest_first(plan: Plan) -> None:
    memory = _named(cards.judge(TAKEN, plan, {}), "card memory")
    assert memory.severity == "fail"
    assert "14.3 of 23.5 GiB free" in memory.finding
    assert "held by /opt/a,b/ollama_llama_server (process 30117, 8.8 GiB), /usr/lib/xorg/Xorg (process 2871" in (
        memory.finding
    )
    assert memory.fix == "stop that process; the weights alone do not fit beside it"


def test_a_small_model_may_share_the_card(plan_of: Callable[[str], Plan]) -> None:
    memory = _named(cards.judge(TAKEN, plan_of(SMALL), {}), "card memory")
    assert "write `engine.args: {gpu-memory-utilization: 0.59}` in profiles/rtx4090-qwen2.5-1.5b.yaml" in memory.fix


def test_what_the_profile_asks_for_is_what_counts(plan: Plan) -> None:
    engine = plan.engines[0]
    flags = (*engine.flags, Flag("gpu-memory-utilization", 0.5, "set in the profile (engine.args)"))
    modest = dataclasses.replace(plan, engines=(dataclasses.replace(engine, flags=flags),))
    assert _named(cards.judge(TAKEN, modest, {}), "card memory").severity == "ok"


def test_our_own_engine_on_the_card(plan: Plan) -> None:
    memory = _named(cards.judge(TAKEN, plan, {30117: "mine"}), "card memory")
    assert (memory.severity, memory.fix) == ("warn", "that is profile 'mine' of your own; stop it: fullbatch down mine")


def test_memory_nobody_is_named_for(plan: Plan) -> None:
    memory = _named(cards.judge(Nvidia(TAKEN.cards), plan, {}), "card memory")
    assert "held by a process nvidia-smi does not name" in memory.finding
    hidden = Nvidia(TAKEN.cards, nvidia.parse_holders(text("wsl2-holders.csv")))
    assert "(process 1234)" in _named(cards.judge(hidden, plan, {}), "card memory").finding


def test_fewer_cards_than_the_profile_wants(plan: Plan) -> None:
    engine = dataclasses.replace(plan.engines[0], gpus=2)
    found = _named(cards.judge(FREE, dataclasses.replace(plan, engines=(engine,)), {}), "cards")
    assert found.finding == f"profiles/{BIG}.yaml wants 2 cards, the driver reports 1: NVIDIA GeForce RTX 4090"
    assert found.fix == "write `hardware.count: 1`, or add cards"


def test_the_card_that_the_profile_names_is_the_one_looked_at(plan: Plan) -> None:
    """The first is taken by a desktop, the second is free."""
    two = Nvidia((TAKEN.cards[0], FREE.cards[0]), TAKEN.holders)
    named = dataclasses.replace(plan, engines=(dataclasses.replace(plan.engines[0], card_ids=(FREE.cards[0].index,)),))
    assert _named(cards.judge(two, plan, {}), "card memory").severity == "fail"
    assert _named(cards.judge(two, named, {}), "card memory").severity == "ok"
    absent = dataclasses.replace(plan, engines=(dataclasses.replace(plan.engines[0], card_ids=(7,)),))
    found = _named(cards.judge(two, absent, {}), "cards")
    assert (found.severity, "names card 7 (hardware.device_ids)" in found.finding) == ("fail", True)


def test_a_smaller_card_than_planned(plan: Plan) -> None:
    card = dataclasses.replace(FREE.cards[0], name="NVIDIA GeForce RTX 4060 Ti", memory_mib=16000, free_mib=16000)
    found = _named(cards.judge(Nvidia((card,)), plan, {}), "card")
    assert found.severity == "fail"
    assert "sized for 23.5 GiB" in found.finding


def test_a_card_too_old(plan: Plan) -> None:
    card = dataclasses.replace(FREE.cards[0], name="NVIDIA GeForce GTX 1080 Ti", capability="6.1")
    found = _named(cards.judge(Nvidia((card,)), plan, {}), "card")
    assert (found.severity, "vLLM needs 7.5" in found.finding) == ("fail", True)


def test_a_real_card_while_it_is_free_and_while_it_is_held(plan: Plan) -> None:
    idle = Nvidia(nvidia.parse_cards(text("h100-cards-idle.csv")))
    held = Nvidia(nvidia.parse_cards(text("h100-cards-held.csv")), nvidia.parse_holders(text("h100-holders.csv")))
    assert {one.severity for one in cards.judge(idle, plan, {})} == {"ok"}
    memory = _named(cards.judge(held, plan, {}), "card memory")
    assert memory.severity == "fail"
    assert "70.7 of 79.2 GiB free" in memory.finding
    assert "held by python3 (process 414, 8.5 GiB)" in memory.finding
