"""`docker` as a program: its output, or one line that says why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core.errors import HostError
from fullbatch.runtime.compose import docker_cli

Programs = Callable[[str, str], None]


def test_what_it_says_and_what_it_is_given(programs: Programs) -> None:
    programs("docker", 'while read -r line; do echo "$1: $line"; done')
    assert docker_cli.call(["load"], b"one\ntwo\n") == b"load: one\nload: two\n"


def test_a_failure_is_its_last_line(programs: Programs) -> None:
    programs("docker", "echo progress >&2; echo 'no space left on device' >&2; echo >&2; exit 1")
    with pytest.raises(HostError) as told:
        docker_cli.call(["pull", "x"])
    assert str(told.value) == "docker pull: no space left on device"
    programs("docker", "exit 3")
    with pytest.raises(HostError, match="docker pull: exit code 3"):
        docker_cli.call(["pull", "x"])


def test_without_docker_and_without_an_end(programs: Programs, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="look at `docker info`"):
        docker_cli.call(["info"])
    assert docker_cli.identity("x") is None
    programs("docker", "exec /bin/sleep 5")
    with pytest.raises(HostError, match="no answer"):
        docker_cli.run(["docker", "info"], tmp_path, None, timeout=0.2)


def test_images_by_id_and_by_digest(programs: Programs) -> None:
    programs("docker", 'case "$4" in *Id*) echo sha256:1 ;; *) echo name@sha256:2 ;; esac')
    assert docker_cli.identity("name") == "sha256:1"
    assert docker_cli.digest("name") == "name@sha256:2"
