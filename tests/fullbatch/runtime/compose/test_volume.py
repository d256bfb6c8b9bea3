"""The volume with the weights, through a `docker` of the test's own that runs the script on a folder instead."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core.errors import HostError
from fullbatch.runtime import hub_cache
from fullbatch.runtime.compose.runtime import ComposeRuntime
from fullbatch.runtime.compose.volume import VolumeStore
from fullbatch.runtime.hub_folder import HubFolder
from tests.fullbatch import cached_hub

REVISION = "a" * 40
# What `docker run` is given, in the container's words; the folder stands for the volume.
DOCKER = """
echo "$*" >> '{log}'
case "$1" in
inspect) [ "$4" = fullbatch_models ] || [ "$4" = fullbatch/gateway:local ] ;;
run) while [ "$1" != /hub_cache.py ]; do shift; done; shift 2; exec '{python}' -I '{script}' '{folder}' "$@" ;;
esac
"""


@pytest.fixture
def log(tmp_path: Path, programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FULLBATCH_HF_HOME", raising=False)
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    log, folder = tmp_path / "log", tmp_path / "volume"
    cached_hub.add(folder, "org/name", REVISION, {"config.json": b"{}", "model.safetensors": b"w" * 500})
    programs("docker", DOCKER.format(log=log, python=sys.executable, script=hub_cache.__file__, folder=folder))
    return log


def test_what_is_in_the_volume(log: Path, tmp_path: Path) -> None:
    (store,) = ComposeRuntime().weights(tmp_path)
    assert (store.where, store.shared) == ("Docker volume fullbatch_models", False)
    (found,) = store.revisions()
    assert (found.name, found.revision, found.size, found.branches) == ("org/name", REVISION, 502, ("main",))
    run = log.read_text(encoding="utf-8").splitlines()[-1]
    assert "--volume fullbatch_models:/models:ro " in run and "--network none" in run, "looking changes nothing"
    assert store.remove([("org/name", REVISION)]) == 502 + len(REVISION)
    assert store.revisions() == []


@pytest.mark.usefixtures("log")
def test_a_folder_of_this_machine_is_looked_into_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLBATCH_HF_HOME", str(tmp_path / "hf"))
    (store,) = ComposeRuntime().weights(tmp_path)
    assert isinstance(store, HubFolder) and store.where == str(tmp_path / "hf" / "hub")
    assert store.shared


def test_before_the_first_start_there_is_none(tmp_path: Path, programs: Callable[[str, str], None]) -> None:
    assert ComposeRuntime().weights(tmp_path) == [], "without Docker"
    programs("docker", "exit 1")
    assert ComposeRuntime().weights(tmp_path) == []
    with pytest.raises(HostError, match="^Docker volume fullbatch_models: a container cannot read it"):
        VolumeStore(tmp_path).revisions()
