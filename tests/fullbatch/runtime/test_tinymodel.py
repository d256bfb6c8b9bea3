from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest
from tokenizers import Tokenizer

from fullbatch import catalog
from fullbatch.runtime import tinymodel
from tests.fullbatch.checkout import REPOSITORY


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by the script as the engine's image runs it: alone, without the rest of the program."""
    out = tmp_path_factory.mktemp("model") / "cpu-tiny"
    script = REPOSITORY / "fullbatch" / "runtime" / "tinymodel.py"
    subprocess.run([sys.executable, "-P", str(script), "--out", str(out)], check=True, cwd=out.parent)
    return out


def _json(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def test_the_config_is_what_the_catalog_says(model: Path) -> None:
    config, facts = _json(model / "config.json"), catalog.models()["tiny"]
    assert config["num_hidden_layers"] == facts.layers
    assert config["hidden_size"] == facts.hidden
    assert config["num_attention_heads"] == facts.heads
    assert config["num_key_value_heads"] == facts.kv_heads
    assert config["head_dim"] == facts.head_dim
    assert config["vocab_size"] == facts.vocab
    assert config["max_position_embeddings"] == facts.native_context


def test_the_weights_are_as_large_as_the_catalog_says() -> None:
    """Counted from the architecture: tied embedding, four projections with three biases, MLP, norms."""
    c = tinymodel.CONFIG
    hidden, ffn, layers = tinymodel.HIDDEN, tinymodel.FFN, tinymodel.LAYERS
    kv = tinymodel.KV_HEADS * tinymodel.HEAD_DIM
    attention = 2 * hidden * hidden + 2 * hidden * kv + hidden + 2 * kv
    layer = attention + 3 * hidden * ffn + 2 * hidden
    parameters = tinymodel.VOCAB * hidden + layers * layer + hidden
    assert c["tie_word_embeddings"] is True
    assert 2 * parameters / 2**30 == pytest.approx(catalog.models()["tiny"].weights_gib["bf16"], rel=0.2)


def test_the_tokenizer_has_a_text_for_every_id(model: Path) -> None:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == tinymodel.VOCAB == 2048
    assert sorted(tokenizer.get_vocab().values()) == list(range(2048))
    special = {tinymodel.END_OF_TEXT: 0, tinymodel.IM_START: 1, tinymodel.IM_END: 2}
    assert {token: tokenizer.token_to_id(token) for token in special} == special
    assert _json(model / "config.json")["eos_token_id"] == special[tinymodel.IM_END]


@pytest.mark.parametrize("text", ["The engine waits for a block.", "Größe 137 ☃\n", "  two  spaces", "{'a': 1}"])
def test_any_text_comes_back(model: Path, text: str) -> None:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_words_of_the_field_are_short(model: Path) -> None:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    assert len(tokenizer.encode("the engine waits for a block at once").ids) <= 10


def test_it_is_always_the_same(model: Path, tmp_path: Path) -> None:
    tinymodel.write_model(tmp_path)
    names = sorted(path.name for path in model.iterdir())
    assert names == ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
    assert [(tmp_path / name).read_bytes() for name in names] == [(model / name).read_bytes() for name in names]


def test_the_chat_template(model: Path) -> None:
    template = jinja2.Environment().from_string(_json(model / "tokenizer_config.json")["chat_template"])
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    )
    assert template.render(messages=messages[:1], add_generation_prompt=False).endswith("<|im_end|>\n")


def test_one_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert tinymodel.main(["--out", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_one_that_was_cut_short_is_made_again(model: Path, tmp_path: Path) -> None:
    """config.json is written last, so a directory without it is not taken for whole."""
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        (tmp_path / name).write_text("{", encoding="utf-8")
    assert tinymodel.main(["--out", str(tmp_path)]) == 0
    assert (tmp_path / "tokenizer.json").read_bytes() == (model / "tokenizer.json").read_bytes()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    out = tmp_path / "file" / "model"
    assert tinymodel.main(["--out", str(out)]) == 4
    assert capsys.readouterr().err == f"{out}: Not a directory; name a directory that can be written\n"


def test_written_again_each_file_is_replaced_and_not_emptied_first(tmp_path: Path) -> None:
    """Two engines that are started together share the folder: one reads while the other writes."""
    tinymodel.write_model(tmp_path)
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in tmp_path.iterdir()}
    held = [path.open() for path in tmp_path.iterdir()]  # else a freed number may be used again
    tinymodel.write_model(tmp_path)
    after = {path.name: (path.stat().st_ino, path.read_bytes()) for path in tmp_path.iterdir()}
    for file in held:
        file.close()
    assert before.keys() == after.keys() and len(after) == 4
    assert all(after[name][0] != inode and after[name][1] == text for name, (inode, text) in before.items())
