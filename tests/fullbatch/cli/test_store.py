"""`fullbatch store`: what goes to the program beside the gateway, and by which way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fullbatch.cli import commands, options, store
from fullbatch.core.errors import UsageError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], str]]:
    found: list[tuple[str, list[str], str]] = []

    def run(_root: Path, _name: str | None, module: str, words: Sequence[str], given: str = "") -> int:
        found.append((module, list(words), given))
        return 0

    monkeypatch.setattr("fullbatch.lifecycle.deployment.run_gateway_module", run)
    return found


def command(*words: str) -> int:
    return store.run(commands.ROOT, options.parser([]).parse_args(["store", *words]))


def test_the_address_goes_by_standard_input(tmp_path: Path, asked: list[tuple[str, list[str], str]]) -> None:
    (tmp_path / "url").write_text("postgresql://u:secret@localhost/db\n")
    (tmp_path / "ca").write_text("PEM")
    assert command("to-postgres", "--url-file", str(tmp_path / "url"), "--ca-file", str(tmp_path / "ca"), "--json") == 0
    assert (command("status"), command("to-sqlite")) == (0, 0)
    assert [(module, words) for module, words, _ in asked] == [
        ("gateway.store", ["to-postgres", "--stdin", "--json"]),
        ("gateway.store", ["status"]),
        ("gateway.store", ["to-sqlite"]),
    ]
    assert json.loads(asked[0][2]) == {"url": "postgresql://u:secret@localhost/db\n", "ca": "PEM"}


def test_a_file_that_cannot_be_read_is_a_mistake_in_an_option(asked: list[tuple[str, list[str], str]]) -> None:
    with pytest.raises(UsageError, match="--url-file /nowhere: cannot be read"):
        command("join", "--url-file", "/nowhere")
    assert not asked
