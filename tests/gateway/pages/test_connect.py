"""Each text works when it is copied, whatever the model is called."""

from __future__ import annotations

import ast
import json
import shlex

import pytest

from gateway.pages.address import Address
from gateway.pages.connect import KEY, Recipe, recipes
from tests.gateway.pages.conftest import EVIL

HERE = Address("http://127.0.0.1:8080", True)


def named(model: str) -> dict[str, Recipe]:
    return {recipe.name: recipe for recipe in recipes(HERE, model)}


@pytest.mark.parametrize("model", ["tiny", "Qwen/Qwen3-8B", EVIL, 'it\'s "$HOME" `id`\\', "größe"])
def test_shell_and_python_read_the_models_name_as_it_is(model: str) -> None:
    found = named(model)
    words = shlex.split(found["curl"].text.replace("\\\n", " "))
    assert words[:2] == ["curl", "http://127.0.0.1:8080/v1/chat/completions"]
    assert json.loads(words[words.index("-d") + 1])["model"] == model
    for name in ("OpenAI", "Anthropic", "Ollama"):
        constants = [node.value for node in ast.walk(ast.parse(found[name].text)) if isinstance(node, ast.Constant)]
        assert model in constants
    assert f"ANTHROPIC_MODEL={model}" in shlex.split(found["Coding agents"].text)


def test_all_kinds_are_there_with_the_address_and_a_word_for_the_key() -> None:
    found = named("tiny")
    assert list(found) == ["curl", "OpenAI", "Anthropic", "Ollama", "Open WebUI", "Coding agents"]
    for recipe in found.values():
        assert "http://127.0.0.1:8080" in recipe.text and KEY in recipe.text
    assert "--network host" in found["Open WebUI"].note
    elsewhere = {recipe.name: recipe for recipe in recipes(Address("https://llm.example", True), "tiny")}
    assert "--network host" not in elsewhere["Open WebUI"].note
