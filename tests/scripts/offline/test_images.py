"""Stand-ins that are built, up to where Docker does it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.offline import debian, engine, images, standins
from scripts.offline.process import OfflineError


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


DOCKER = """#!/bin/sh
echo "$*" >> {folder}/asked
case "$1 $2" in
  "image inspect") case "$*" in
    *Labels*) cat "{folder}/labels/$(echo "$5" | tr '/:' '__')" 2>/dev/null || exit 1 ;;
    *Size*) echo 123456789 ;;
    *) echo sha256:1 ;;
  esac ;;
  "build --progress") echo "#7 [stage 1/2] RUN true" ;;
esac
"""


class Made(NamedTuple):
    """A builder of stand-ins over a `docker` of the test's own, in a checkout that has what they are made from."""

    folder: Path
    builder: images.Builder
    said: list[str]

    def label(self, name: str, value: str) -> None:
        """The image is there, with this digest; an empty one is that of somebody else's."""
        (self.folder / "labels").mkdir(exist_ok=True)
        (self.folder / "labels" / name.replace("/", "_").replace(":", "_")).write_text(f"{value}\n")

    def asked(self, word: str) -> list[str]:
        return [line for line in (self.folder / "asked").read_text().splitlines() if line.startswith(word)]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/docker").write_text(DOCKER.format(folder=tmp_path))
    (tmp_path / "bin/docker").chmod(0o755)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/engine-cpu.txt").write_text("torch==2.13.0+cpu \\\n")
    (tmp_path / "trust.crt").write_text("a certificate")
    monkeypatch.setattr(images, "TRUST", tmp_path / "trust.crt")
    said: list[str] = []
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    return Made(tmp_path, images.Builder(engine.EngineHome(tmp_path), environment, said.append), said)


def digest_of(made: Made, name: str) -> str:
    """What a build of this stand-in is labelled with."""
    made.label(standins.BASE, base_digest())
    made.builder.build(only=name, force=True)
    build = made.asked("build ")[-1]
    return build.partition(f"{images.LABEL}=")[2].split()[0]


def base_digest() -> str:
    recipe = repr((standins.BASE_SUITE, standins.BASE_PACKAGES, standins.BASE_LEAVES_OUT))
    return hashlib.sha256(recipe.encode()).hexdigest()


def test_an_image_is_built_with_its_contexts_and_the_digest_of_what_it_is_made_of(made: Made) -> None:
    digest = digest_of(made, "python")
    (build,) = made.asked("build ")
    context = made.folder / ".fullbatch/docker/contexts/trust"
    assert "--tag python:3.11-slim-bookworm" in build and f"--build-context trust={context}" in build
    assert (context / "trust.crt").read_text() == "a certificate"
    assert made.said[0].startswith("images 1/1: python:3.11-slim-bookworm: building from Debian 12's Python 3.11")
    assert "images:   [stage 1/2] RUN true" in made.said
    assert re.fullmatch(r"images 1/1: \S+ built in \d+ s \(123 MB, shared layers included\)", made.said[-1])
    (made.folder / "trust.crt").write_text("another certificate")
    assert digest_of(made, "python") != digest


def test_what_is_there_already_is_not_built_again(made: Made) -> None:
    made.label("python:3.11-slim-bookworm", digest_of(made, "python"))
    made.said.clear()
    made.builder.build(only="python")
    assert made.said == ["images 1/1: python:3.11-slim-bookworm: is there (123 MB)"]
    assert len(made.asked("build ")) == 1


def test_an_image_of_somebody_else_is_left_alone(made: Made) -> None:
    made.label("python:3.11-slim-bookworm", "")
    made.builder.build(only="python")
    assert "that is no stand-in is there; left alone (--force replaces it)" in made.said[0]
    assert made.asked("build ") == []


def test_a_stale_image_is_replaced_and_a_base_that_is_not_there_needs_root(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.label("python:3.11-slim-bookworm", "0123")
    monkeypatch.setattr(debian, "is_root", lambda: False)
    with pytest.raises(OfflineError, match="debootstrap needs root"):
        made.builder.build(only="python")


def test_the_list_says_what_is_built_and_what_is_not_ours(made: Made) -> None:
    made.label("python:3.11-slim-bookworm", "0123")
    made.label("prom/prometheus:v3.5.3", "")
    states = {line.split()[0]: line[41:53].strip() for line in made.builder.listing()}
    assert states == {
        "python:3.11-slim-bookworm": "built",
        "prom/prometheus:v3.5.3": "public",
        "vllm/vllm-openai-cpu:v0.32.0-x86_64": "not built",
        "openwebui/open-webui:v0.12.4": "not built",
        "caddy:2.11.7": "not built",
        **dict.fromkeys(standins.WITHOUT, "none"),
    }
