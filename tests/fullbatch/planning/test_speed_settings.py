"""How a profile asks for drafts and for room beyond the card."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from fullbatch.planning.speed_settings import KvOffload, OffloadDisk, Speculative

BASE = {"description": "d", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "rtx4090"}}


def _asked(text: str) -> profile.Profile:
    return profile.parse(BASE | yaml.safe_load(text), "profiles/x.yaml")


def _refusal(text: str) -> str:
    with pytest.raises(UsageError) as raised:
        _asked(text)
    return str(raised.value).removeprefix("profiles/x.yaml: ")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{}", Speculative()),
        ("speculative: off", Speculative()),  # false, as YAML reads it
        ("speculative: {method: off}", Speculative()),
        ("speculative: ngram", Speculative(method="ngram")),
        ("speculative: {method: mtp, tokens: 2}", Speculative(method="mtp", tokens=2)),
        (
            "speculative: {method: draft, model: Qwen/Qwen3-0.6B}",
            Speculative(method="draft", model="Qwen/Qwen3-0.6B"),
        ),
    ],
)
def test_a_method_alone_or_with_more(text: str, wanted: Speculative) -> None:
    asked = _asked(text)
    assert asked.speculative == wanted
    assert profile.parse(asked.model_dump(exclude_defaults=True), "x").speculative == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speculative: on", "speculative.method: "),
        ("speculative: eagle", "speculative.method: 'eagle'"),
        ("speculative: {method: mtp, k: 3}", "speculative.k: "),
        ("speculative: {method: mtp, tokens: 0}", "speculative.tokens: 0 "),
        ("speculative: {method: mtp, tokens: 17}", "speculative.tokens: 17 "),
        ("speculative: {tokens: 3}", "speculative: tokens: off takes none"),
        ("speculative: draft", "speculative: draft needs a model"),
        ("speculative: {method: ngram, model: a/b}", "speculative: ngram takes no model"),
        ("speculative: {method: draft, model: /srv/x}", "speculative.model: "),
        ("kv_offload: 32", "kv_offload: "),
        ("kv_offload: {}", "kv_offload.ram_gib: "),
        ("kv_offload: {ram_gib: 0}", "kv_offload.ram_gib: 0 "),
        ("kv_offload: {ram_gib: 8, disk: {folder: /kv}}", "kv_offload.disk.quota_gib: "),
    ],
)
def test_what_is_no_such_setting(text: str, said: str) -> None:
    refusal = _refusal(text)
    assert refusal.startswith(said), refusal


def test_memory_and_disk() -> None:
    wanted = KvOffload(ram_gib=32, disk=OffloadDisk(quota_gib=200))
    assert _asked("kv_offload: {ram_gib: 32, disk: {quota_gib: 200}}").kv_offload == wanted


def test_an_editor_knows_both_forms() -> None:
    found: dict[str, Any] = profile.Profile.model_json_schema()
    kinds = found["properties"]["speculative"]["anyOf"]
    assert any("mtp" in kind.get("enum", ()) for kind in kinds)
    assert any("$ref" in kind for kind in kinds)
