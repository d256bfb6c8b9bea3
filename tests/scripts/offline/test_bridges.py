"""The bridges after our Docker Engine has ended: a folder in place of the kernel's, an `ip` that keeps its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.offline import bridges

FIRST, SECOND = "br-0123456789ab", "br-ba9876543210"


@pytest.fixture
def interfaces(tmp_path: Path) -> Path:
    folder = tmp_path / "net"
    (folder / "eth0").mkdir(parents=True)
    bridge(folder, "virbr0")
    return folder


def bridge(interfaces: Path, name: str, port: str = "") -> None:
    (interfaces / name / "brif").mkdir(parents=True)
    if port:
        (interfaces / name / "brif" / port).touch()


def removed(tmp_path: Path, interfaces: Path, said: list[str]) -> list[str]:
    """What `ip` is asked to do."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ip").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n[ "$3" != {SECOND} ]\n')
    (tmp_path / "bin/ip").chmod(0o755)
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    for _ in range(2):  # the second time there is nothing to do
        bridges.remove(tmp_path / "kept", env, said.append, interfaces)
    asked = tmp_path / "asked"
    return asked.read_text().splitlines() if asked.exists() else []


def test_what_has_come_since_is_taken_away_and_nothing_else(tmp_path: Path, interfaces: Path) -> None:
    bridges.remember(tmp_path / "kept", interfaces)
    for name in ("docker0", FIRST, "br0", "virbr1"):
        bridge(interfaces, name)
    bridge(interfaces, "br-00000000000a", port="veth1")
    said: list[str] = []
    asked = removed(tmp_path, interfaces, said)
    assert asked == [f"link delete {FIRST} type bridge", "link delete docker0 type bridge"]
    assert said == []


def test_another_engine_s_bridge_stays(tmp_path: Path, interfaces: Path) -> None:
    bridge(interfaces, "docker0")
    bridges.remember(tmp_path / "kept", interfaces)
    assert removed(tmp_path, interfaces, []) == []


def test_one_that_cannot_be_taken_away_is_told(tmp_path: Path, interfaces: Path) -> None:
    bridges.remember(tmp_path / "kept", interfaces)
    bridge(interfaces, SECOND)
    said: list[str] = []
    removed(tmp_path, interfaces, said)
    assert len(said) == 1 and said[0].startswith(f"docker: its bridge {SECOND} stays: ip link: exit 1")
