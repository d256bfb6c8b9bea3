"""`scripts/llama-server` as a person meets it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.llama import cli, gguf, real, server
from scripts.offline.process import OfflineError


@pytest.mark.parametrize(("words", "code"), [([], 2), (["--help"], 0), (["-h"], 0), (["instal"], 2)])
def test_help_is_what_it_says_of_other_words(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == code
    assert "scripts/llama-server install" in capsys.readouterr().out


def test_a_model_that_is_none_is_told_before_anything_is_unpacked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "q8"]) == 2
    assert capsys.readouterr().err == "scripts/llama-server: 'q8' is no model; write tiny, q4_1 or bf16\n"


def test_a_model_goes_before_the_servers_own_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[Sequence[str]] = []
    (tmp_path / "tiny.gguf").touch()
    monkeypatch.setattr(server, "MODEL", tmp_path / "tiny.gguf")
    for name, one in (("install", lambda: None), ("version", lambda: "1"), ("environment", dict), ("command", list)):
        monkeypatch.setattr(server, name, one)
    monkeypatch.setattr(real, "file", lambda kind: tmp_path / f"{kind}.gguf")
    monkeypatch.setattr("os.execve", lambda _program, words, _environment: started.append(words))
    assert cli.main(["run", "bf16", "--port", "9"]) == 0
    assert started == [["--offline", "--no-webui", "--model", str(tmp_path / "bf16.gguf"), "--port", "9"]]


def test_what_cannot_be_had_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OfflineError("apt-get: exit 100: no mirror")

    monkeypatch.setattr(server, "install", refuse)
    assert cli.main(["install"]) == 1
    assert capsys.readouterr().err == "scripts/llama-server: apt-get: exit 100: no mirror\n"


def test_the_model_is_written_once_and_the_words_reach_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    started: list[Sequence[str]] = []

    def write(_directory: Path, path: Path) -> None:
        written.append(path)
        path.touch()

    def command(words: Sequence[str]) -> list[str]:
        return ["llama", *words]

    def replaced(_program: str, words: Sequence[str], _environment: Any) -> None:
        started.append(words)

    monkeypatch.setattr(server, "ROOT", tmp_path)
    monkeypatch.setattr(server, "MODEL", tmp_path / "tiny.gguf")
    for name, one in (("install", lambda: None), ("version", lambda: "1"), ("environment", dict), ("command", command)):
        monkeypatch.setattr(server, name, one)
    monkeypatch.setattr(gguf, "write", write)
    monkeypatch.setattr("os.execve", replaced)
    assert cli.main(["install"]) == 0 and started == []
    assert cli.main(["run", "--port", "9"]) == 0
    assert written == [tmp_path / "tiny.gguf"]
    assert started == [["llama", "--offline", "--no-webui", "--model", str(tmp_path / "tiny.gguf"), "--port", "9"]]
