"""An adapter of the hub: described once, without its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.core.errors import HostError, UsageError
from fullbatch.hub import adapters
from tests.fullbatch import lora_files
from tests.fullbatch.hub.local import COMMIT, LocalHub

LAW = "acme/law"
TINY = catalog.models()["tiny"]


def _add(hub: LocalHub, *, without: str = "", **changes: Any) -> None:
    files: dict[str, str | bytes | int] = {
        "adapter_config.json": json.dumps(lora_files.config(**changes)),
        "adapter_model.safetensors": lora_files.safetensors(lora_files.shapes()),
        "README.md": "x",
    }
    hub.repositories[LAW] = {name: content for name, content in files.items() if name != without}


def _find(cache: Path, revision: str | None = None) -> tuple[str, int]:
    commit, facts = adapters.find(LAW, revision, TINY, cache)
    return commit, facts.rank


def test_its_commit_and_its_rank(hub: LocalHub, tmp_path: Path) -> None:
    _add(hub)
    assert _find(tmp_path) == (COMMIT, 8)


def test_it_is_asked_once(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _add(hub)
    _find(tmp_path)
    asked = len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert _find(tmp_path) == (COMMIT, 8) and len(hub.asked) == asked
    next(tmp_path.glob("adapter--*")).write_text("{")
    with pytest.raises(HostError, match="HF_HUB_OFFLINE forbids asking"):
        _find(tmp_path)


def test_its_numbers_are_not_fetched(hub: LocalHub, tmp_path: Path) -> None:
    _add(hub)
    whole = hub.repositories[LAW]["adapter_model.safetensors"]
    assert isinstance(whole, bytes)
    _find(tmp_path)
    kept = next(tmp_path.glob("adapter--*")).read_text()
    assert len(kept) < len(whole) / 4


def test_a_repository_that_is_none(hub: LocalHub, tmp_path: Path) -> None:
    _add(hub, without="adapter_config.json")
    with pytest.raises(UsageError, match="acme/law has no adapter_config.json: it is no LoRA adapter"):
        _find(tmp_path)
    _add(hub, without="adapter_model.safetensors")
    with pytest.raises(UsageError, match="acme/law has no adapter_model.safetensors; name an adapter that was saved"):
        _find(tmp_path)


def test_one_that_is_cut_off_or_no_file_at_all(hub: LocalHub, tmp_path: Path) -> None:
    _add(hub)
    hub.repositories[LAW] = {**hub.repositories[LAW], "adapter_model.safetensors": b"version https://git-lfs"}
    with pytest.raises(UsageError, match="cut off, or no safetensors file"):
        _find(tmp_path)


def test_one_of_another_model(hub: LocalHub, tmp_path: Path) -> None:
    _add(hub, base_model_name_or_path="Qwen/Qwen3-8B")
    with pytest.raises(UsageError, match="made for Qwen/Qwen3-8B, not for tiny"):
        _find(tmp_path)


@pytest.mark.usefixtures("hub")
def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no acme/law for you"):
        _find(tmp_path)
