"""`scripts/docker-engine` and `scripts/offline-images` as far as they go without an engine: choices, refusals."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from scripts.offline import debian, engine, images, standins
from scripts.offline.process import OfflineError, last_words, output, stream
from tests.e2e.docker_stack import ROOT

COMPOSE_IMAGES = {"prom/prometheus:v3.5.3", "vllm/vllm-openai-cpu:v0.32.0-x86_64"}


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / name, *arguments], text=True, capture_output=True, check=False, timeout=60
    )


def fake_docker(folder: Path, *, info: str, compose: str = "5.6.1", buildx: str = "v0.29.1") -> dict[str, str]:
    """A `docker` that answers the three questions; an empty answer is a failure."""
    program = folder / "docker"
    cases = "\n".join(
        f"  {word}) {f'echo {answer}' if answer else 'echo cannot connect >&2; exit 1'};;"
        for word, answer in (("info", info), ("compose", compose), ("buildx", buildx))
    )
    program.write_text(f"#!/bin/sh\ncase $1 in\n{cases}\nesac\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


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


def test_every_stand_in_has_its_dockerfile_and_stands_on_the_base() -> None:
    for image in standins.STAND_INS:
        text = (images.DOCKERFILES / image.dockerfile).read_text()
        assert f"FROM {standins.BASE}\n" in text, image.name
        assert set(image.inputs) <= set(image.contexts)


def test_compose_uses_the_very_names_of_the_stand_ins() -> None:
    written = (ROOT / "compose.yaml").read_text() + (ROOT / "rendered/cpu-tiny/compose.yaml").read_text()
    for name in COMPOSE_IMAGES:
        assert images.chosen(name).name == name
        assert name in written
    for dockerfile in ("gateway/Dockerfile", "loadtest/Dockerfile"):
        assert "python:3.11-slim-bookworm" in (ROOT / dockerfile).read_text()


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


def test_torch_wheel_is_the_pinned_one_for_python_311(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("tokenizers==1\ntorch==2.13.0+cpu \\\n    --hash=sha256:0\n")
    for name in ("torch-2.12.0+cpu-cp311-cp311-x_x86_64.whl", "torch-2.13.0+cpu-cp312-cp312-x_x86_64.whl"):
        (tmp_path / name).touch()
    assert images.torch_wheels(lock, [tmp_path]) == []
    right = tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
    right.touch()
    assert images.torch_wheels(lock, [tmp_path, tmp_path]) == [right]
    lock.write_text("tokenizers==1\n")
    with pytest.raises(OfflineError, match="no line torch==VERSION"):
        images.torch_wheels(lock, [tmp_path])


def test_pip_links_are_folders_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path} file://{tmp_path} https://wheels.example/x {tmp_path}/missing")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert images.pip_links()[:2] == [tmp_path, tmp_path]


def test_a_failing_program_is_told_in_one_line_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match=r"^sh -c: exit 3: it broke$"):
        output(["sh", "-c", "echo first >&2; echo it broke >&2; exit 3"])
    log = tmp_path / "logs/x.log"
    seen: list[str] = []
    with pytest.raises(OfflineError, match=r"^sh -c: exit 4: last .*x\.log"):
        stream(["sh", "-c", "echo one; echo last; exit 4"], env=dict(os.environ), log=log, line_seen=seen.append)
    assert seen == ["one", "last"]
    assert log.read_text() == "one\nlast\n"


def test_missing_and_slow_programs_are_told_too() -> None:
    with pytest.raises(OfflineError, match="no-such-program: this program is not installed"):
        output(["no-such-program"])
    with pytest.raises(OfflineError, match="no end after"):
        output(["sleep", "5"], timeout_s=0.1)
    assert last_words("\n\n") == "no word of why"


def test_a_mirror_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLBATCH_DEBIAN_MIRROR", "http://mirror.example/debian/")
    assert debian.mirror() == "http://mirror.example/debian/"
