"""What a profile's adapters are, looked at when it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullbatch.core.errors import FullbatchError
from fullbatch.planning import plan, profile
from tests.fullbatch import lora_files
from tests.fullbatch.hub.conftest import TUNE, hub
from tests.fullbatch.hub.local import COMMIT, LocalHub

__all__ = ["hub"]
LAW = "acme/law"


def _load(root: Path, adapters: str, model: str = "tiny") -> profile.Profile:
    (root / "profiles").mkdir(exist_ok=True)
    hardware = "{cpu: {kv_cache_gib: 1}}" if model == "tiny" else "{gpu: rtx4090}"
    text = f"description: d\nmodel: {model}\nhardware: {hardware}\nadapters:\n{adapters}"
    (root / "profiles/mine.yaml").write_text(text, encoding="utf-8")
    return profile.load(root, "mine")


def _refused(root: Path, adapters: str, model: str = "tiny") -> str:
    with pytest.raises(FullbatchError) as raised:
        _load(root, adapters, model)
    return str(raised.value)


def test_a_folder_is_read(tmp_path: Path) -> None:
    folder = lora_files.write(tmp_path / "sql", 12)
    engine = plan.make("mine", _load(tmp_path, f"  sql: {folder}\n")).engines[0]
    assert engine.names == ("tiny", "sql")
    assert (engine.loras[0].folder, engine.loras[0].rank) == (str(folder), 16)


def test_its_rank_may_be_larger_and_not_less(tmp_path: Path) -> None:
    folder = lora_files.write(tmp_path / "sql", 16)
    wide = _load(tmp_path, f"  sql: {{source: {folder}, rank: 64}}\n")
    assert plan.make("mine", wide).engines[0].loras[0].rank == 64
    said = _refused(tmp_path, f"  sql: {{source: {folder}, rank: 8}}\n")
    assert said == "profiles/mine.yaml: adapters.sql: rank 8 is less than its own, 16; remove it"


def test_every_fault_is_a_line_of_its_own(tmp_path: Path) -> None:
    folder = lora_files.write(tmp_path / "sql", use_dora=True)
    lines = _refused(tmp_path, f"  sql: {folder}\n  law: {tmp_path}/no\n  b: ./here\n  c: acme/law\n").splitlines()
    assert [line.split(": ")[1] for line in lines] == ["adapters.sql", "adapters.law", "adapters.b", "adapters.c"]
    assert "use_dora: vLLM does not support it" in lines[0]
    assert "/no': no such folder" in lines[1]
    assert "'./here': write ORG/NAME of the hub, or the whole path of a folder" in lines[2]
    assert "tiny is fetched from no hub, nor are its adapters; name a folder" in lines[3]


def test_what_is_no_setting_is_the_profiles_to_refuse(tmp_path: Path) -> None:
    assert "profiles/mine.yaml: adapters.sql" in _refused(tmp_path, "  sql: 5\n")
    assert "profiles/mine.yaml: adapters.sql.source" in _refused(tmp_path, "  sql: {rank: 8}\n")
    assert "a folder has no revision; remove it" in _refused(tmp_path, "  sql: {source: /x, revision: main}\n")


def test_one_of_the_hub_is_pinned(hub: LocalHub, tmp_path: Path) -> None:
    shapes = lora_files.shapes(hidden=4096) | {}
    narrow = {name: shape for name, shape in shapes.items() if "lora_A" in name}
    hub.repositories[LAW] = {
        "adapter_config.json": json.dumps(lora_files.config(base_model_name_or_path=TUNE)),
        "adapter_model.safetensors": lora_files.safetensors(narrow),
    }
    engine = plan.make("mine", _load(tmp_path, f"  law: {LAW}\n", TUNE)).engines[0]
    assert (engine.loras[0].commit, engine.loras[0].rank) == (COMMIT, 8)
    assert engine.fetched[-1] == f"--adapter={LAW}@{COMMIT}"


def test_without_the_hub_what_is_said_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    llama = "meta-llama/Llama-3.1-8B-Instruct"
    said = _refused(tmp_path, f"  law: {LAW}\n", llama)
    assert "forbids asking" in said and "give its rank and, as revision, the whole commit" in said
    made = _load(tmp_path, f"  law: {{source: {LAW}, rank: 32, revision: {COMMIT}}}\n", llama)
    assert plan.make("mine", made).engines[0].loras[0].rank == 32
