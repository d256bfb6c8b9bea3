"""Model directories of true shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from scripts.gpubench import models
from tests.scripts.conftest import REPOSITORY


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


def test_a_llama_has_the_word_that_its_tool_parser_looks_for(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    facts = catalog.models()["meta-llama/Llama-3.2-3B-Instruct"]
    models.write(tmp_path, "llama", facts.name, quantised=False)
    tokenizer = Tokenizer.from_file(str(tmp_path / "llama" / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == facts.vocab
    assert tokenizer.encode("<|python_tag|>").ids == [facts.vocab - 1]


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
