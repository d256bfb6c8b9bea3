"""Model directories and GGUF files: true shapes, random weights. The file is read back by a reader of its own."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from scripts.gpubench import models
from scripts.llama import blocks, gguf

REPOSITORY = "Qwen/Qwen2.5-1.5B-Instruct"
SMALL = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 8, "vocab_size": 2048, "head_dim": 64}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    models.write(place, "qwen", REPOSITORY, quantised=False)
    return models.directory(place, "qwen")


def test_the_shapes_are_the_catalogs(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    facts = catalog.models()[REPOSITORY]
    assert (config["hidden_size"], config["num_hidden_layers"]) == (facts.hidden, facts.layers)
    assert (config["num_key_value_heads"], config["head_dim"]) == (facts.kv_heads, facts.head_dim)
    assert (config["vocab_size"], config["max_position_embeddings"]) == (facts.vocab, facts.native_context)


def test_every_number_of_the_vocabulary_has_a_text(directory: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == catalog.models()[REPOSITORY].vocab
    assert tokenizer.decode([151_000, 90_000]).split() == ["v151000", "v90000"]
    assert len(tokenizer.encode("the engine waits").ids) < 8


def test_a_four_bit_checkpoint_is_a_directory_of_its_own(tmp_path: Path) -> None:
    (awq, *_) = catalog.models()[REPOSITORY].checkpoints["int4"]
    models.write(tmp_path, "qwen", awq, quantised=False)
    config = json.loads((models.directory(tmp_path, "qwen", "int4") / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "awq"
    assert config["torch_dtype"] == "float16"
    assert config["hidden_size"] == catalog.models()[REPOSITORY].hidden
    assert not models.directory(tmp_path, "qwen").exists()


def test_an_architecture_that_is_not_written_down_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not written down"):
        models.write(tmp_path, "phi", "microsoft/Phi-3-mini-4k-instruct", quantised=False)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("quantised", [True, False])
def test_a_gguf_file_holds_what_its_list_says(directory: Path, tmp_path: Path, tied: bool, quantised: bool) -> None:
    config = json.loads((directory / "config.json").read_text())
    family = "qwen2" if tied else "llama"
    config |= SMALL | {
        "model_type": family,
        "tie_word_embeddings": tied,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    small = tmp_path / "small"
    small.mkdir()
    (small / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] = {
        text: n for text, n in tokenizer["model"]["vocab"].items() if n < SMALL["vocab_size"]
    }
    (small / "tokenizer.json").write_text(json.dumps(tokenizer))
    (small / "tokenizer_config.json").write_text((directory / "tokenizer_config.json").read_text())
    gguf.write(small, tmp_path / "small.gguf", quantised)
    metadata, tensors, left = read_back(tmp_path / "small.gguf")
    assert metadata["general.architecture"] == family
    assert len(metadata["tokenizer.ggml.tokens"]) == SMALL["vocab_size"]
    assert ("output.weight" in tensors) is not tied
    assert ("blk.0.attn_q.bias" in tensors) is (family == "qwen2")
    kinds = {kind for _, kind in tensors.values()}
    assert kinds == ({blocks.F32.number, blocks.Q4_K.number, blocks.Q6_K.number} if quantised else {0, 1})
    assert tensors["blk.3.ffn_down.weight"][0] == (512, 256)
    assert left == 0


def read_back(path: Path) -> tuple[dict[str, Any], dict[str, tuple[tuple[int, ...], int]], int]:
    """Metadata, tensors (dimensions and kind), and how many bytes the file differs from what the list adds up to."""
    data, at = path.read_bytes(), 24
    count, entries = struct.unpack_from("<QQ", data, 8)

    def take(form: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def text() -> str:
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size : at].decode()

    def value(kind: int) -> Any:
        if kind == 8:
            return text()
        if kind == 9:
            inner = take("I")
            return [value(inner) for _ in range(take("Q"))]
        return take({4: "I", 5: "i", 6: "f"}[kind])

    metadata = {}
    for _ in range(entries):
        key = text()
        metadata[key] = value(take("I"))
    tensors, end = {}, 0
    sizes = {kind.number: kind for kind in (blocks.F32, blocks.F16, blocks.Q4_K, blocks.Q6_K)}
    for _ in range(count):
        name = text()
        dimensions = tuple(take("Q") for _ in range(take("I")))
        kind, offset = take("I"), take("Q")
        assert offset == end
        rows = dimensions[1] if len(dimensions) > 1 else 1
        end = offset + -(-sizes[kind].row_bytes(dimensions[0]) * rows // 32) * 32
        tensors[name] = (dimensions, kind)
    begin = -(-at // 32) * 32
    return metadata, tensors, len(data) - begin - end


def test_the_mix_of_formats_is_that_of_q4_k_m() -> None:
    layers = 32
    down = [blocks.q4_k_m("ffn_down", layer, layers) for layer in range(layers)]
    assert down.count(blocks.Q6_K) == 16
    assert blocks.q4_k_m("ffn_up", 0, layers) is blocks.Q4_K
    assert blocks.q4_k_m("output", 0, layers) is blocks.Q6_K


def test_a_row_that_is_no_whole_number_of_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole number of blocks"):
        blocks.Q4_K.row_bytes(704)


def test_weights_are_about_as_large_as_models_are_initialised() -> None:
    pool = blocks.pool(blocks.Q6_K, random.Random(1))
    one = pool[: blocks.Q6_K.bytes]
    (scale,) = struct.unpack("<e", one[-2:])
    scales = struct.unpack("16b", one[192:208])
    assert 0.005 < abs(scale) * max(map(abs, scales)) * 32 < 0.2
