"""What a machine lacks is told before anything is started."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core import host
from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make
from fullbatch.runtime import requirements


def test_too_little_disk_and_memory(
    plan_of: Callable[[str], Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(host, "free_disk_gib", lambda _path: 1.5)
    monkeypatch.setattr(host, "available_memory_gib", lambda: 2.0)
    disk, memory = requirements.shortages(plan_of("cpu"))
    assert disk.startswith(f"Qwen/Qwen2.5-0.5B-Instruct needs 2 GiB of disk at {tmp_path}/hub, 1.5 GiB are free")
    assert "needs 4.4 GiB of memory, 2.0 GiB are free" in memory


def test_weights_that_are_there_need_no_disk(
    plan_of: Callable[[str], Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(host, "free_disk_gib", lambda _path: 0.5)
    plan = plan_of("cpu")
    assert requirements.shortages(plan)
    (tmp_path / "hub" / "models--Qwen--Qwen2.5-0.5B-Instruct").mkdir(parents=True)
    assert requirements.shortages(plan) == []


def test_the_tiny_model_needs_no_disk(plan_of: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "free_disk_gib", lambda _path: 0.5)
    assert requirements.shortages(plan_of("cpu-tiny")) == []


def test_too_little_shared_memory_as_in_a_container(
    plan_of: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "free_disk_gib", lambda path: 0.0625 if path == Path("/dev/shm") else 100.0)
    (line,) = requirements.shortages(plan_of("cpu-tiny"))
    assert line.startswith("/dev/shm has 64 MiB free, the engine's processes need 256; ")
    assert "--shm-size" in line


def test_a_card_that_is_not_there(plan_of: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "gpus", lambda: ["NVIDIA T400, 2048 MiB", "NVIDIA GeForce RTX 4090, 24564 MiB"])
    plan = plan_of("rtx4090-qwen2.5-7b")
    for number, lacking in ((1, False), (2, True)):
        engine = dataclasses.replace(plan.engines[0], card_ids=(number,))
        found = requirements.missing_cards(dataclasses.replace(plan, engines=(engine,)))
        assert bool(found) is lacking
        assert all("there is no card 2; the driver reports 0: NVIDIA T400" in line for line in found)


@pytest.mark.parametrize(("cards", "lacking"), [([], True), (["NVIDIA GeForce RTX 4090, 24564 MiB"], False)])
def test_cards(
    cards: list[str], lacking: bool, plan_of: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "gpus", lambda: cards)
    found = requirements.missing_cards(plan_of("rtx4090-qwen2.5-7b"))
    assert bool(found) is lacking
    assert all("wants 1 NVIDIA card(s), the driver reports: none" in line for line in found)


def test_the_disk_holds_the_checkpoint_once_and_as_it_was_published(plan_of: Callable[[str], Plan]) -> None:
    """Whatever the cards hold: two copies of it, or an FP8 version made while loading."""
    engine = plan_of("rtx4090-qwen2.5-7b").engines[0]
    cards = dataclasses.replace(engine.budget, weights_gib=7.6)
    assert requirements.checkpoint_gib(dataclasses.replace(engine, budget=cards)) == engine.budget.weights_gib
    assert requirements.checkpoint_gib(dataclasses.replace(engine, checkpoint_gib=0.0, budget=cards)) == 7.6


LLAMA = "rtx4090-llama3.1-8b"


def test_a_gated_model_wants_a_token(
    plan_of: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_TOKEN_PATH", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (token,) = requirements.token(plan_of(LLAMA).engines[0])
    assert token.severity == "fail"
    assert "meta-llama/Llama-3.1-8B-Instruct is gated" in token.finding
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_x", encoding="utf-8")
    assert requirements.token(plan_of(LLAMA).engines[0])[0].severity == "ok"
    (tmp_path / "hf" / "token").unlink()
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert requirements.token(plan_of(LLAMA).engines[0])[0].severity == "ok"
    monkeypatch.setenv("HF_TOKEN", " ")
    assert requirements.token(plan_of(LLAMA).engines[0])[0].severity == "fail"


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({}, "~/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/c", "HF_HOME": "/h"}, "/h/hub"),
        ({"HF_HOME": "/h", "HF_HUB_CACHE": "/k"}, "/k"),
    ],
)
def test_the_cache_is_where_the_library_has_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str
) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert requirements.hub_folder() == Path(folder).expanduser()


def _offloads(**changes: object) -> Plan:
    data = {"description": "d", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "rtx4090"}, "kv_offload": {"ram_gib": 32}}
    return make("x", profile.parse(data | changes, "x"))


def test_kv_cache_beyond_the_card_needs_memory_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "available_memory_gib", lambda: 40.0)
    assert requirements.memory(_offloads()) == []
    (line,) = requirements.memory(_offloads(hardware={"gpu": "rtx4090", "replicas": 2}))
    assert line == ("profiles/x.yaml: kv_offload needs 64.0 GiB of memory, 40.0 GiB are free; lower kv_offload.ram_gib")


def test_it_lies_in_shared_memory() -> None:
    assert requirements.shared_memory_gib(_offloads()) == 32
    assert requirements.shared_memory_gib(_offloads(hardware={"gpu": "rtx4090", "count": 2})) == 32.25
    assert requirements.more_shared_memory(32.25) == (
        "start this container with --shm-size=33g, or sudo mount -o remount,size=33g /dev/shm"
    )
