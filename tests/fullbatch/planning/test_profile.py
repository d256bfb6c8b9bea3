from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.catalog import published
from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.shipped import ONE

GOOD: dict[str, Any] = {"description": "for a test", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}


OWN = {"name": "RTX 2080 Ti", "memory_gib": 11, "bandwidth_gbs": 616, "compute_capability": "7.5"}


def _refusal(**changes: Any) -> list[str]:
    with pytest.raises(UsageError) as raised:
        profile.parse(GOOD | changes, "profiles/x.yaml")
    return str(raised.value).splitlines()


def test_defaults() -> None:
    made = profile.parse(GOOD, "x")
    assert (made.users, made.context, made.workload, made.engine.args) == (10, 4096, "chat", {})


@pytest.mark.parametrize("name", ONE)
def test_every_shipped_profile_loads(name: str) -> None:
    assert profile.load(REPOSITORY, name).description


def test_of_the_published_models_only_the_profiles_own_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each start of the program would take a tenth of a second longer."""
    read: list[str] = []
    models = published._models

    def noted(name: str, facts: Mapping[str, Any]) -> dict[str, catalog.Model]:
        read.append(name)
        return models(name, facts)

    monkeypatch.setattr(published, "_models", noted)
    catalog.models.cache_clear()
    try:
        names = [name for name in catalog.read("published.yaml") if name not in catalog.read("models.yaml")]
        profile.parse(GOOD, "x")
        assert read == []
        profile.parse(GOOD | {"model": names[0], "hardware": {"gpu": "h200"}, "context": 1024}, "x")
        assert read == [names[0]]
    finally:
        catalog.models.cache_clear()


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        profile.parse(GOOD, "x").users = 3


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"contxt": 4096}, "contxt: no such setting (did you mean context?)"),
        ({"hardware": {"cpu": {"kv_cache_gib": 1, "kv_cache_gb": 1}}}, "kv_cache_gb: no such setting (did you mean k"),
        ({"engine": {"arg": {}}}, "engine.arg: no such setting (did you mean args?)"),
        ({"model": "Qwen/Qwen2.5-7B"}, "'Qwen/Qwen2.5-7B' is no known model (did you mean Qwen/Qwen2.5-7B-Instruct?)"),
        ({"hardware": {"gpu": "rtx4081"}}, "'rtx4081' is no known card (did you mean rtx4080?); write {name: …, mem"),
        ({"hardware": {"gpu": "NVIDIA L40S"}}, "'NVIDIA L40S' is no known card (did you mean l40s?); write"),
        ({"hardware": {"gpu": "MI300X"}}, "'MI300X' is not supported here: vLLM's ROCm image is not in the catalog"),
        ({"hardware": {"gpu": 4090}}, "hardware.gpu: 4090 should be a text; put it in quotes"),
        ({"hardware": {"gpu": {"memory_gib": 12}}}, "hardware.gpu.bandwidth_gbs: is missing; add it"),
        ({"hardware": {"gpu": OWN | {"memory": 12}}}, "gpu.memory: no such setting (did you mean memory_gib?)"),
        ({"hardware": {"gpu": OWN | {"memory_gib": -1}}}, "gpu.memory_gib: -1 should be greater than 1"),
        ({"hardware": {"gpu": OWN | {"name": "a" * 61}}}, "aaa': write up to 60 letters, digits"),
        ({"hardware": {"gpu": OWN | {"name": "a\nb"}}}, "hardware.gpu.name: 'a\\nb': write up to 60 letters, digits"),
        ({"hardware": {"gpu": OWN | {"compute_capability": "new"}}}, "'new': write it as \"8.6\""),
        ({"hardware": {}}, "hardware: give either gpu (a card) or cpu, and not both"),
        ({"hardware": {"gpu": "rtx4090", "cpu": {"kv_cache_gib": 1}}}, "give either gpu (a card) or cpu, and not both"),
        ({"hardware": {"gpu": "l4", "device_ids": [0, 1]}}, "2 cards named, count x replicas is 1; name 1"),
        ({"hardware": {"gpu": "l4", "count": 2, "device_ids": [1, 1]}}, "[1, 1] names a card twice; name each on"),
        ({"hardware": {"gpu": "l4", "device_ids": [-1]}}, "hardware.device_ids[0]: -1 should be great"),
        ({"hardware": {"gpu": "l4", "device_ids": ["1"]}}, "device_ids[0]: '1' should be a valid int"),
        ({"hardware": {"cpu": {"kv_cache_gib": 1}, "device_ids": [0]}}, "device_ids choose cards; remove them from"),
        ({"users": "10"}, "users: '10' should be a valid integer"),
        ({"users": 0}, "users: 0 should be greater than or equal to 1"),
        ({"users": True}, "users: True should be a valid integer"),
        ({"context": 100}, "context: 100 should be greater than or equal to 256"),
        ({"context": 9000}, "context 9000 is more than tiny was made for; write at most 8192"),
        ({"workload": "caht"}, "workload: 'caht' should be 'chat', 'rag' or 'batch'"),
        ({"description": ""}, "description: '' should have at least 1 character"),
        ({"description": "one\nengines: []"}, "description: write it on one line"),
        ({"description": "one\u2028two"}, "description: write it on one line"),
        ({"engine": {"args": {"--max-num-seqs": 8}}}, "write the flag without dashes in front and with '-'"),
        ({"engine": {"args": {"max_num_seqs": 8}}}, "write the flag without dashes in front and with '-'"),
        ({"engine": {"args": {"port": 8}}}, "engine.args.port: set by Fullbatch itself, the runtime knows the addres"),
        ({"engine": {"args": {"dtype": ["a"]}}}, "engine.args.dtype: ['a']: write a text or a number"),
        ({"engine": {"args": {"dtype": None}}}, "engine.args.dtype: None: write a text or a number"),
        ({"engine": {"args": {"dtype": date(2026, 1, 1)}}}, "engine.args.dtype: datetime.date(2026, 1, 1): write a"),
        ({"engine": {"args": {"no-such-flag": 1}}}, "engine.args.no-such-flag: vLLM 0.32.0 has no such flag"),
        ({"engine": {"args": {"max-modle-len": 1}}}, "has no such flag (did you mean max-model-len?)"),
        ({"engine": {"args": {"swap-space": 4}}}, "engine.args.swap-space: vLLM 0.32.0 refuses it; remove it: preemp"),
        ({"engine": {"args": {"tensor-parallel-size": 2}}}, "tensor-parallel-size: use hardware.count, the cards"),
        ({"engine": {"env": {"CUDA_VISIBLE_DEVICES": "1"}}}, "env.CUDA_VISIBLE_DEVICES: use hardware.device_ids"),
        ({"aliases": ["a*b"]}, "aliases: 'a*b': '*' can only stand at the end"),
        ({"aliases": ["a", "a"]}, "aliases: 'a' is there twice; write it once"),
        ({"aliases": ["tiny"]}, "aliases: 'tiny' is served under that name anyway; remove it"),
        ({"engine": {"env": {"A": 1}}}, "engine.env.A: write a text, in quotes if it looks like a number or a date"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_that_says_where_and_what(changes: dict[str, Any], line: str) -> None:
    lines = _refusal(**changes)
    assert len(lines) == 1
    assert lines[0].startswith("profiles/x.yaml: ")
    assert line in lines[0]


def test_a_setting_far_from_any_other_lists_them_all() -> None:
    assert _refusal(zzz=1)[0].endswith(
        "zzz: no such setting; there are description, model, revision, hardware, users, context, workload, goal, "
        "weights, kv_cache, speculative, kv_offload, tools, thinking, engine, pictures, media_domains, adapters, "
        "aliases, gateway"
    )


def test_a_card_that_the_catalog_does_not_know() -> None:
    hardware = profile.parse(GOOD | {"hardware": {"gpu": OWN}}, "x").hardware
    assert hardware.card is not None
    assert (hardware.card.title, hardware.card.memory_gib, hardware.card.bandwidth_gbs) == ("RTX 2080 Ti", 10.67, 616)
    assert (hardware.card.capability, hardware.card.native) == ((7, 5), ("int8",))
    # 8.6 without quotes is a number in YAML, and 12.0 too.
    for said, meant in ((8.6, (8, 6)), (12.0, (12, 0)), (9, (9, 0)), (None, (8, 0))):
        card = profile.parse(GOOD | {"hardware": {"gpu": OWN | {"compute_capability": said}}}, "x").hardware.card
        assert card is not None
        assert card.capability == meant


def test_all_faults_are_told_at_once() -> None:
    assert len(_refusal(contxt=1, users=0, workload="x")) == 3


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(UsageError) as raised:
        profile.parse({"model": "tiny"}, "p")
    assert str(raised.value).splitlines() == [
        "p: description: is missing; add it",
        "p: hardware: is missing; add it",
    ]


def test_keys_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "x.yaml").write_text("1: x\ndescription: y\nmodel: tiny\nhardware: {gpu: rtx4090}\n")
    with pytest.raises(UsageError, match=r"profiles/x\.yaml: \[1\]: is no name of a setting"):
        profile.load(tmp_path, "x")


@pytest.mark.parametrize("name", ["../cpu", "cpu/", "CPU", "", ".", "cpu.yaml", "c pu"])
def test_a_name_that_is_no_profile_says_how_to_see_those_there_are(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        profile.load(REPOSITORY, name)
    assert f"profile '{name}': no such profile" in str(raised.value)
    # Not the names of all of them, which fill a screen.
    assert str(raised.value).endswith("; see `fullbatch profiles`")
    assert len(str(raised.value)) < 200


def test_a_mistyped_name_is_guessed() -> None:
    with pytest.raises(UsageError, match=r"\(did you mean cpu-tiny\?\)"):
        profile.load(REPOSITORY, "cpu-tinny")


def test_a_file_whose_name_cannot_be_a_profile_says_so(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "My Chat.yaml").write_text("model: tiny\n")
    with pytest.raises(UsageError, match="rename the file"):
        profile.load(tmp_path, "My Chat")


def test_without_profiles_nothing_is_listed(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        profile.load(tmp_path, "x")
    assert str(raised.value) == "profile 'x': no such profile; see `fullbatch profiles`"


@pytest.mark.parametrize(
    "changes",
    [
        {"users": "hf_S3CRETabcdefghijklmn"},
        {"hardware": {"gpu": "h100", "count": "https://me:S3CRET@example.org"}},
        {"engine": {"args": {"max-num-seqs": "hf_S3CRETabcdefghijklmn"}}},
        {"engine": {"args": {"api-token": {"S3CRET": date(2026, 11, 30)}}}},
    ],
)
def test_no_message_repeats_what_may_be_a_secret(changes: dict[str, Any]) -> None:
    said = _refusal(**changes)
    assert said and "S3CRET" not in " ".join(said)
