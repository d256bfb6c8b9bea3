"""`fullbatch peers`: what goes to the program beside the gateway, and by which way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fullbatch.cli import commands, options, peers
from fullbatch.core.errors import UsageError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], str]]:
    found: list[tuple[str, list[str], str]] = []

    def run(root: Path, name: str | None, module: str, words: Sequence[str], given: str = "") -> int:
        assert root == commands.ROOT
        assert name is None
        found.append((module, list(words), given))
        return 0

    monkeypatch.setattr("fullbatch.lifecycle.deployment.run_gateway_module", run)
    return found


def command(*words: str) -> int:
    return peers.run(commands.ROOT, options.parser([]).parse_args(["peers", *words]))


def test_key_and_ca_go_by_standard_input_and_not_on_a_command_line(
    tmp_path: Path, asked: list[tuple[str, list[str], str]]
) -> None:
    (tmp_path / "key").write_text("fb-secret-0123456789\n")
    (tmp_path / "ca").write_text("PEM")
    files = ("--key-file", str(tmp_path / "key"), "--ca-file", str(tmp_path / "ca"))
    assert command("add", "b", "https://b:8443", *files, "--models", "m", "--json") == 0
    ((module, words, given),) = asked
    assert (module, words) == (
        "gateway.peers", ["add", "b", "https://b:8443", "--stdin", "--models", "m", "--json"],
    )  # fmt: skip
    assert json.loads(given) == {"key": "fb-secret-0123456789\n", "ca": "PEM"}


def test_list_and_remove(asked: list[tuple[str, list[str], str]]) -> None:
    assert (command("list", "--json"), command("remove", "b")) == (0, 0)
    assert [words for _, words, _ in asked] == [["list", "--json"], ["remove", "b"]]


def test_a_file_that_cannot_be_read_is_a_mistake_in_an_option(asked: list[tuple[str, list[str], str]]) -> None:
    with pytest.raises(UsageError, match="--key-file /nowhere: cannot be read"):
        command("add", "b", "https://b:8443", "--key-file", "/nowhere")
    assert not asked
