"""What an adapter is, and what is said of one that cannot be served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.catalog import Model, adapter_config
from fullbatch.core.errors import UsageError
from tests.fullbatch import lora_files

TINY = catalog.models()["tiny"]
LLAMA = catalog.models()["meta-llama/Llama-3.1-8B-Instruct"]


def _refused(folder: Path, model: Model = TINY, **options: Any) -> str:
    with pytest.raises(UsageError) as raised:
        adapter_config.read(folder, model, **options)
    said = str(raised.value)
    assert "\n" not in said
    return said


def test_a_folder_with_one(tmp_path: Path) -> None:
    found = adapter_config.read(lora_files.write(tmp_path / "sql", 8), TINY)
    assert (found.rank, found.kept_rank, found.base) == (8, 8, "")


@pytest.mark.parametrize(("rank", "kept"), [(1, 1), (2, 8), (12, 16), (16, 16), (65, 128), (321, 512)])
def test_a_place_is_kept_of_the_engines_next_rank(rank: int, kept: int) -> None:
    assert adapter_config.AdapterFacts(rank).kept_rank == kept


def test_the_widest_rank_of_a_pattern_counts() -> None:
    text = json.dumps(lora_files.config(8, rank_pattern={"layers.0.mlp": 64})).encode()
    assert adapter_config.parse(text, Path("x")).rank == 64


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "no such folder; name the folder that holds the adapter's adapter_config.json" in _refused(tmp_path / "no")
    (tmp_path / "empty").mkdir()
    assert "has no adapter_config.json; name an adapter's folder" in _refused(tmp_path / "empty")


def test_without_safetensors(tmp_path: Path) -> None:
    folder = lora_files.write(tmp_path / "a")
    (folder / "adapter_model.safetensors").unlink()
    assert "has no adapter_model.safetensors; name an adapter that was saved whole" in _refused(folder)
    (folder / "adapter_model.bin").write_bytes(b"x")
    assert "only adapter_model.bin, which is pickled and can run code; save it as safetensors" in _refused(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "peft_type IA3: vLLM loads LORA adapters only"),
        ({"r": 0}, "r is missing"),
        ({"r": None}, "r is missing"),
        ({"r": -1}, "rank -1: vLLM takes 1 to 512"),
        ({"r": 1024}, "rank 1024: vLLM takes 1 to 512"),
        ({"r": "8"}, "rank 8: vLLM takes 1 to 512"),
        ({"rank_pattern": {"a": 4096}}, "rank 4096: vLLM takes 1 to 512"),
        ({"rank_pattern": ["a"]}, "rank ['a']: vLLM takes 1 to 512"),
        ({"lora_alpha": None}, "lora_alpha is missing"),
        ({"target_modules": []}, "target_modules is missing"),
        ({"use_dora": True}, "use_dora: vLLM does not support it; train or save it as a plain LoRA adapter"),
        ({"bias": "all"}, "bias: vLLM serves none of an adapter's"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save: vLLM serves no whole layers beside LoRA"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights pissa: vLLM does not support it"),
    ],
)
def test_what_the_engine_does_not_do(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in _refused(lora_files.write(tmp_path / "a", **changes))


@pytest.mark.parametrize("saved", [["classifier"], ["score"], None])
def test_heads_of_a_classifier_may_be_saved(saved: list[str] | None) -> None:
    assert adapter_config.parse(json.dumps(lora_files.config(modules_to_save=saved)).encode(), Path("x")).rank == 8


@pytest.mark.parametrize("text", ["", "{", '{"r": 8', "[1]", "8", "\xff", "[" * 100_000])
def test_a_description_that_is_none(tmp_path: Path, text: str) -> None:
    folder = lora_files.write(tmp_path / "a")
    (folder / "adapter_config.json").write_bytes(text.encode("latin-1"))
    assert "adapter_config.json: not " in _refused(folder)


def test_one_that_is_too_large(tmp_path: Path) -> None:
    folder = lora_files.write(tmp_path / "a")
    (folder / "adapter_config.json").write_bytes(b" " * (adapter_config.MOST_CONFIG_BYTES + 1) + b"{}")
    assert "not a JSON object of PEFT's" in _refused(folder)


@pytest.mark.parametrize("left", [0, 4, 8, 100, -1])
def test_weights_that_are_cut_off(tmp_path: Path, left: int) -> None:
    folder = lora_files.write(tmp_path / "a")
    whole = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(whole[:left])
    assert "cut off, or no safetensors file; copy the adapter anew" in _refused(folder)


@pytest.mark.parametrize(
    "header",
    [b"[]", b"5", b'{"a": 5}', b'{"a": {"shape": 5, "data_offsets": [0, 1]}}', b'{"a": {"shape": [1]}}', b"\xff\xff"],
)
def test_a_header_that_is_none(tmp_path: Path, header: bytes) -> None:
    folder = lora_files.write(tmp_path / "a")
    (folder / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "cut off, or no safetensors file" in _refused(folder)


def test_weights_of_something_else(tmp_path: Path) -> None:
    folder = lora_files.write(tmp_path / "a")
    (folder / "adapter_model.safetensors").write_bytes(lora_files.safetensors({"model.norm.weight": (1, 4)}))
    assert "holds no LoRA matrices" in _refused(folder)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (lora_files.shapes(hidden=512), "q_proj is 512 wide (in), and that of tiny is 256"),
        (lora_files.shapes(layers=9), "is for layer 4, and tiny has 4"),
        (lora_files.shapes(32), "q_proj has rank 32, and adapter_config.json says 8"),
        (lora_files.shapes() | {"model.layers.0.mlp.down_proj.lora_A.weight": (8, 700)}, "down_proj is 700 wide (in)"),
        (lora_files.shapes() | {"model.layers.0.self_attn.k_proj.lora_B.weight": (64, 8)}, "k_proj is 64 wide (out)"),
    ],
)
def test_shapes_of_another_model(tmp_path: Path, shapes: lora_files.Shapes, said: str) -> None:
    folder = lora_files.write(tmp_path / "a")
    (folder / "adapter_model.safetensors").write_bytes(lora_files.safetensors(shapes))
    assert said in _refused(folder)


@pytest.mark.parametrize(
    ("base", "fits"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", True),
        ("unsloth/Llama-3.1-8B-Instruct-unsloth-bnb-4bit", True),
        ("RedHatAI/Llama-3.1-8B-Instruct-FP8-dynamic", True),
        ("/home/me/checkpoints/step-900", True),
        ("Qwen/Qwen3-8B", False),
        ("meta-llama/Llama-3.1-8B", False),
    ],
)
def test_the_model_that_it_was_made_for(base: str, fits: bool) -> None:
    facts = adapter_config.AdapterFacts(8, base)
    if fits:
        adapter_config.refuse_misfit(facts, {}, LLAMA, "a")
        return
    with pytest.raises(
        UsageError, match=f"made for {base}, not for {LLAMA.name}; serve it with that, or write any_base"
    ):
        adapter_config.refuse_misfit(facts, {}, LLAMA, "a")
    adapter_config.refuse_misfit(facts, {}, LLAMA, "a", any_base=True)


def test_what_sees_has_layers_of_its_own() -> None:
    shapes = {"model.vision_tower.layers.99.self_attn.q_proj.lora_A.weight": (8, 5)}
    adapter_config.refuse_misfit(adapter_config.AdapterFacts(8), shapes, TINY, "a")


def test_of_layers_that_differ_only_what_is_alike_is_looked_at() -> None:
    gemma = catalog.models()["google/gemma-4-12B-it"]
    shapes = {"model.layers.0.self_attn.k_proj.lora_B.weight": (5, 8)}
    adapter_config.refuse_misfit(adapter_config.AdapterFacts(8), shapes, gemma, "a")
    with pytest.raises(UsageError, match="k_proj is 5 wide"):
        adapter_config.refuse_misfit(
            adapter_config.AdapterFacts(8), {"model.layers.0.self_attn.k_proj.lora_A.weight": (8, 5)}, gemma, "a"
        )


def test_a_model_that_the_engine_serves_none_with(tmp_path: Path) -> None:
    falcon = catalog.Model("tiiuae/falcon", "f", 4, 256, 4, 2, 64, 2048, 8192, {"bf16": 1.0}, takes_adapters=False)
    assert "vLLM serves no adapters with tiiuae/falcon" in _refused(lora_files.write(tmp_path / "a"), falcon)
