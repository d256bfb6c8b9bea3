"""`scripts/docker-engine` and `scripts/offline-images` as far as they go without an engine: choices, refusals."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts.offline import debian, engine
from scripts.offline.process import OfflineError
from tests.scripts.offline.programs import fake_docker


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("26.1.5+dfsg1", (26, 1, 5)),
        ("5.6.1", (5, 6, 1)),
        ("github.com/docker/buildx 0.29.1+ds1 0.29.1+ds1-4", (0, 29, 1)),
        ("2.40", (2, 40, 0)),
        ("dev", (0, 0, 0)),
    ],
)
def test_version_of_each_programs_answer(answer: str, expected: tuple[int, int, int]) -> None:
    assert engine.version(answer) == expected


def test_new_enough_docker_has_no_fault(tmp_path: Path) -> None:
    assert engine.faults(fake_docker(tmp_path, info="25.0.0")) == {}


def test_each_old_part_is_named_with_what_is_needed(tmp_path: Path) -> None:
    found = engine.faults(fake_docker(tmp_path, info="20.10.24", compose="2.32.1", buildx="v0.16.9"))
    assert found["engine"] == "is 20.10.24, 25.0.0 or newer is needed"
    assert found["compose"] == "is 2.32.1, 2.32.2 or newer is needed"
    assert "0.17.0 or newer" in found["buildx"]


def test_a_silent_engine_is_named_with_its_words(tmp_path: Path) -> None:
    assert "cannot connect" in engine.faults(fake_docker(tmp_path, info=""))["engine"]


def test_an_old_engine_of_the_host_is_not_worked_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", fake_docker(tmp_path, info="20.10.24")["PATH"])
    with pytest.raises(OfflineError, match="20.10.24.*upgrade it"):
        engine.start(engine.EngineHome(tmp_path / "checkout"), lambda _: None)


def test_without_root_and_engine_the_error_says_what_would_be_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", fake_docker(tmp_path, info="")["PATH"])
    monkeypatch.setattr(debian, "is_root", lambda: False)
    with pytest.raises(OfflineError, match="start one, or run this as root"):
        engine.start(engine.EngineHome(tmp_path / "checkout"), lambda _: None)


def test_an_engine_of_the_host_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", fake_docker(tmp_path, info="28.0.0")["PATH"])
    place = engine.EngineHome(tmp_path / "checkout")
    assert engine.start(place, lambda _: None) == {}
    assert engine.saved_environment(place) == {}


def test_stop_leaves_a_stranger_with_a_reused_pid_alone(tmp_path: Path) -> None:
    place = engine.EngineHome(tmp_path)
    place.home.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        place.pidfile.write_text(str(stranger.pid))
        said: list[str] = []
        engine.stop(place, said.append)
        assert said == ["docker: no engine of this checkout is running"]
        assert stranger.poll() is None
        stranger.terminate()


def test_saved_environment_gets_the_path_of_the_shell_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = engine.EngineHome(tmp_path)
    place.home.mkdir(parents=True)
    place.environment.write_text(json.dumps({"DOCKER_HOST": "unix:///run/x/docker.sock"}))
    monkeypatch.setenv("PATH", "/only/this")
    saved = engine.saved_environment(place)
    assert saved["DOCKER_HOST"] == "unix:///run/x/docker.sock"
    assert saved["PATH"].startswith(place.programs) and ":/only/this:" in saved["PATH"]


def test_sockets_fit_into_a_unix_address_however_deep_the_checkout_lies(tmp_path: Path) -> None:
    deep = engine.EngineHome(tmp_path.joinpath(*["folder"] * 30))
    assert len(str(deep.socket)) < 108
    assert deep.socket != engine.EngineHome(tmp_path).socket
