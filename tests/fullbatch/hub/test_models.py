from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullbatch.catalog import Model
from fullbatch.core.errors import HostError, UsageError
from fullbatch.hub import models
from tests.fullbatch.catalog.test_config_json import LLAMA
from tests.fullbatch.hub.conftest import CONFIG, TUNE
from tests.fullbatch.hub.local import COMMIT, LocalHub


def _find(cache: Path, name: str = TUNE, revision: str | None = None) -> Model:
    return models.find(name, revision, cache)


def test_a_repository_is_what_its_files_say(hub: LocalHub, tmp_path: Path) -> None:
    found = _find(tmp_path)
    assert (found.name, found.layers, found.revision, found.gated) == (TUNE, 32, COMMIT, False)
    assert found.weights_gib["bf16"] == 15.0, "two shards; not the same weights again, nor those of other programs"
    assert hub.url in found.source
    assert found.notes == ()


def test_it_is_asked_for_once(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, asked = _find(tmp_path), len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert _find(tmp_path) == first
    assert len(hub.asked) == asked


@pytest.mark.usefixtures("hub")
def test_half_a_description_is_asked_for_again(tmp_path: Path) -> None:
    _find(tmp_path)
    (file,) = tmp_path.glob("*.json")
    file.write_text(file.read_text(encoding="utf-8")[:100], encoding="utf-8")
    assert _find(tmp_path).revision == COMMIT


@pytest.mark.usefixtures("hub")
def test_where_nothing_can_be_kept_it_is_described_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert _find(tmp_path / "file").revision == COMMIT


def test_what_modelopt_writes_beside_the_config_counts(hub: LocalHub, tmp_path: Path) -> None:
    hub.repositories[TUNE]["hf_quant_config.json"] = json.dumps(
        {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}}
    )
    found = _find(tmp_path)
    assert (found.precision, found.kv_dtype) == ("nvfp4", "fp8")


def test_pickled_weights_are_said(hub: LocalHub, tmp_path: Path) -> None:
    hub.repositories[TUNE] = {"config.json": CONFIG, "pytorch_model.bin": 15 * 2**30}
    assert any("pickled" in note for note in _find(tmp_path).notes)


def test_weights_that_config_json_does_not_describe_are_said(hub: LocalHub, tmp_path: Path) -> None:
    hub.repositories[TUNE] = {"config.json": CONFIG, "model.safetensors": 40 * 2**30}
    assert any("40.0 GiB, config.json describes 15.0 GiB" in note for note in _find(tmp_path).notes)


BAD: list[tuple[dict[str, str | int], str]] = [
    ({}, "has no config.json (it is empty); name"),
    ({"x.gguf": 1}, "has no config.json: it holds GGUF, which is llama.cpp's"),
    ({"config.json": CONFIG, "x.gguf": 1}, "has no weights that vLLM loads: it holds GGUF"),
    ({"config.json": CONFIG}, "has no weights that vLLM loads; name a repository with safetensors"),
    ({"config.json": CONFIG[:50], "model.safetensors": 1}, "not JSON ("),
    ({"config.json": "<html>", "model.safetensors": 1}, "a web page, not JSON"),
    ({"config.json": json.dumps(LLAMA | {"hidden_size": [1]}), "model.safetensors": 1}, "hidden_size is [1]; write"),
    ({"config.json": json.dumps(LLAMA | {"architectures": ["Phi3SmallForCausalLM"]}), "model.safetensors": 1},
     "serves Phi3SmallForCausalLM no more, 0.9.2 was the last that did"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "said"), BAD)
def test_a_repository_that_is_no_model_is_one_line(
    hub: LocalHub, tmp_path: Path, files: dict[str, str | int], said: str
) -> None:
    hub.repositories[TUNE] = files
    with pytest.raises(UsageError) as raised:
        _find(tmp_path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_byte_order_mark_is_no_fault(hub: LocalHub, tmp_path: Path) -> None:
    hub.repositories[TUNE]["config.json"] = "\ufeff" + CONFIG
    assert _find(tmp_path).layers == 32


def test_a_name_is_an_organisation_and_a_repository() -> None:
    assert models.REPOSITORY.fullmatch("Qwen/Qwen3-30B-A3B-Instruct-2507")
    for name in ("qwen", "a/b/c", "../x", "https://huggingface.co/a/b", "a b/c"):
        assert not models.REPOSITORY.fullmatch(name), name


@pytest.mark.usefixtures("hub")
def test_nobody_there_and_nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HostError, match="does not answer for acme/tune-8b .*; set HF_ENDPOINT for a mirror"):
        _find(tmp_path)
