"""`fullbatch init` as a person types it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from common.version import VERSION
from fullbatch.cli import commands, init
from fullbatch.core.errors import UsageError
from fullbatch.layout import place


def test_a_laid_out_folder_is_rendered_and_is_updated_to_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = tmp_path / "house"
    assert commands.main(["init", str(house)]) == 0
    said = capsys.readouterr().out
    assert f"laid out by fullbatch {VERSION}" in said and f"cd {house}" in said
    (house / "profiles" / "mine.yaml").write_text((house / "profiles" / "cpu-tiny.yaml").read_text())
    (house / "profiles" / "cpu.yaml").write_text("users: [\n")  # of a person who is not done yet
    (house / "profiles" / "cpu.yaml").unlink()
    (house / "gateway" / "app.py").write_text("# mine\n")
    assert commands.main(["init", "--update", "--dry-run", str(house)]) == 0
    assert "changed: gateway/app.py" in capsys.readouterr().out
    assert (house / "gateway" / "app.py").read_text() == "# mine\n"
    assert commands.main(["init", "--update", str(house)]) == 0
    said = capsys.readouterr().out
    assert "yours is replaced, and kept in the backup: gateway/app.py" in said
    assert "rendered anew: " in said
    assert (house / "rendered" / "mine" / "compose.yaml").is_file()
    assert not (house / "profiles" / "cpu.yaml").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["init"], "init: give the folder"),
        (["init", "--dry-run", "x"], "--dry-run is for --update"),
        (["init", "."], ".: is not empty"),
        (["init", "--update", "."], ".: was not laid out"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert commands.main(words) == UsageError.exit_code
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_without_a_folder_only_what_needs_none_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "is_whole", lambda: False)
    for command in commands._COMMANDS:
        args = argparse.Namespace(command=command)
        if command in init.ANYWHERE:
            init.refuse_without_folder(args)
        else:
            with pytest.raises(UsageError, match=f"{command}: there is no folder of Fullbatch's here"):
                init.refuse_without_folder(args)
    with pytest.raises(UsageError, match="plan --write"):
        init.refuse_without_folder(argparse.Namespace(command="plan", write="mine"))
