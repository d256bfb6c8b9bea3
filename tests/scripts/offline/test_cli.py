"""`scripts/docker-engine` and `scripts/offline-images` as a person meets them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts.offline import cli, engine, standins
from tests.scripts.offline.programs import script


def test_unknown_stand_in_lists_the_known_ones() -> None:
    refused = script("offline-images", "--only", "nginx")
    assert refused.returncode == 1
    assert refused.stderr.startswith("scripts/offline-images: --only nginx: no such stand-in; known: python:3.11")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["docker-engine", "offline-images"])
def test_help_is_for_a_newcomer(name: str) -> None:
    shown = script(name, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"usage: scripts/{name}")


def test_list_names_the_images_and_what_has_no_stand_in() -> None:
    shown = script("offline-images", "--list")
    assert shown.returncode == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()] == [
        *(image.name for image in standins.STAND_INS),
        *standins.WITHOUT,
    ]


def test_the_environment_is_words_for_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "ROOT", tmp_path / "it's here")
    assert cli.main(["docker-engine", "env"]) == 1
    assert "no engine was started for this checkout; run scripts/docker-engine start" in capsys.readouterr().err
    home = engine.EngineHome(tmp_path / "it's here")
    home.home.mkdir(parents=True)
    home.environment.write_text(json.dumps({"DOCKER_HOST": "unix:///run/a b.sock"}))
    assert cli.main(["docker-engine", "env"]) == 0
    words = capsys.readouterr().out + 'echo "$DOCKER_HOST|$PATH"'
    said = subprocess.run(["sh", "-c", words], env={"PATH": "/bin"}, capture_output=True, text=True, check=True).stdout
    assert said == f"unix:///run/a b.sock|{home.programs}:/bin\n"


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "stop", interrupted)
    assert cli.main(["docker-engine", "stop"]) == 130
    assert capsys.readouterr().err == "scripts/docker-engine: stopped\n"
