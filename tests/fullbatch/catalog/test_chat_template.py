"""Where a chat template stands."""

from __future__ import annotations

import json

import pytest

from fullbatch.catalog import chat_template


def _find(files: dict[str, str]) -> str | None:
    return chat_template.find(files, files.get)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, None),
        ({"config.json": "{}"}, None),
        ({"tokenizer_config.json": "{}"}, ""),
        ({"tokenizer_config.json": "not JSON"}, ""),
        ({"tokenizer_config.json": "[1]"}, ""),
        ({"tokenizer_config.json": json.dumps({"chat_template": "x"})}, "x"),
        ({"tokenizer_config.json": json.dumps({"chat_template": "x"}), "chat_template.jinja": "y"}, "y"),
        ({"chat_template.json": json.dumps({"chat_template": "z"}), "tokenizer_config.json": "{}"}, "z"),
        ({"tokenizer_config.json": json.dumps({"chat_template": 7})}, ""),
    ],
)
def test_the_first_file_that_has_one_counts(files: dict[str, str], found: str | None) -> None:
    assert _find(files) == found


def test_of_several_that_for_tools_is_taken() -> None:
    named = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]
    assert _find({"tokenizer_config.json": json.dumps({"chat_template": named})}) == "tools"
    assert _find({"tokenizer_config.json": json.dumps({"chat_template": named[:1]})}) == "plain"
    assert _find({"tokenizer_config.json": json.dumps({"chat_template": [7]})}) == ""


def test_a_file_that_cannot_be_read_says_nothing() -> None:
    assert chat_template.find(["tokenizer_config.json"], lambda _: None) is None
