"""The volumes' keys and secrets, through a `docker` of the test's own: folders stand for volumes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core import host
from fullbatch.core.host import Docker
from fullbatch.runtime import state_files
from fullbatch.runtime.compose import deployment, kept
from fullbatch.runtime.compose.runtime import ComposeRuntime
from gateway.keys.store import KeyStore

# Mounts the folders of the named volumes below one folder of its own and runs the text there, as a container would.
DOCKER = """
echo "$*" | head -n 1 >> '{log}'
case "$1 $2" in
"volume ls") ls '{volumes}' ;;
"volume create") for last; do :; done; mkdir '{volumes}'/"$last" ;;
run*) '{python}' -I '{mount}' "$@" ;;
*) exit 1 ;;
esac
"""
MOUNT = """
import pathlib, subprocess, sys, tempfile
words = sys.argv[1:]
with tempfile.TemporaryDirectory() as top:
    for word in words:
        if word.startswith("--volume="):
            volume, target = word.removeprefix("--volume=").split(":")[:2]
            pathlib.Path(top, pathlib.Path(target).name).symlink_to(f"{volumes}/{{volume}}")
    if "chmod" in words:
        sys.exit(0)
    verb = words[-2]
    sys.exit(subprocess.run([sys.executable, "-I", "-c", words[-3], verb, top]).returncode)
"""


@pytest.fixture
def log(tmp_path: Path, programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host, "docker", lambda: Docker(None, "5.0.0"))
    monkeypatch.setattr(deployment, "containers", lambda *_: [])
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:/usr/bin:/bin")
    for name in ("COMPOSE_PROJECT_NAME", "FULLBATCH_GATEWAY_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    (tmp_path / "mount.py").write_text(MOUNT.format(volumes=volumes))
    words = {"log": tmp_path / "log", "volumes": volumes, "python": sys.executable, "mount": tmp_path / "mount.py"}
    programs("docker", DOCKER.format(**words))
    return tmp_path / "log"


def test_what_is_in_the_volumes_goes_out_and_into_new_ones(log: Path, tmp_path: Path) -> None:
    runtime, volumes = ComposeRuntime(), tmp_path / "volumes"
    assert runtime.kept_state(tmp_path) == {}, "before the first start"
    for name in ("fullbatch_gateway-state", "fullbatch_secrets-gateway", "fullbatch_models", "other_gateway-state"):
        (volumes / name).mkdir()
    KeyStore(volumes / "fullbatch_gateway-state" / "store").close()
    (volumes / "fullbatch_secrets-gateway" / "api_keys").write_text("fb-1 first\n")
    found = runtime.kept_state(tmp_path)
    assert sorted(found) == ["gateway-state/store", "secrets-gateway/api_keys"]
    looked = next(line for line in log.read_text().splitlines() if line.startswith("run "))
    assert "--network=none" in looked and "--cap-drop=ALL" in looked and "--user 10001:0" in looked
    assert "--volume=fullbatch_secrets-gateway:/kept/secrets-gateway:ro" in looked, "looking changes no secret"

    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=second\n")
    runtime.put_state(tmp_path, found)
    assert {name: (volumes / f"second_{name}").read_bytes() for name in found} == found
    made = [line for line in log.read_text().splitlines() if line.startswith("volume create")]
    assert all("--label=com.docker.compose.project=second" in line for line in made) and len(made) == 2


def test_each_volume_is_written_by_who_owns_it(log: Path, tmp_path: Path) -> None:
    for name in kept.VOLUMES:
        (tmp_path / "volumes" / f"fullbatch_{name}").mkdir()
    files = {f"{name}/api_keys": name.encode() for name in kept.VOLUMES}
    kept.write(tmp_path, files)
    assert kept.read(tmp_path) == files
    written = [line for line in log.read_text().splitlines() if line.startswith("run ")][:2]
    assert [line.split("--user ")[1].split()[0] for line in written] == [kept.GATEWAY, kept.ROOT]
    assert "gateway-state" in written[0] and "secrets" not in written[0].partition("--entrypoint")[0]


def test_without_docker_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "docker", lambda: Docker("Docker is not installed"))
    assert ComposeRuntime().kept_state(tmp_path) == {}
    assert ComposeRuntime().store_version(tmp_path) is None
    assert state_files.unpacked(state_files.packed({})) == {}
