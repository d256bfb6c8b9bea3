"""The programs themselves find their configuration valid."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bench.gateway import peer_configs
from bench.gateway.peers import ALL, envoy_program

CHECKS: dict[str, Callable[[str, Path], list[str]]] = {
    "nginx": lambda program, folder: [program, "-t", "-c", str(peer_configs.nginx(folder, 8998, 8999))],
    "haproxy": lambda program, folder: [program, "-c", "-f", str(peer_configs.haproxy(folder, 8998, 8999))],
    "envoy": lambda _, folder: [
        str(envoy_program()), "--mode", "validate", "-c", str(peer_configs.envoy(folder, 8998, 8999)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_the_program_takes_its_configuration(name: str, tmp_path: Path) -> None:
    peer = next(peer for peer in ALL if peer.name == name)
    if peer.absent:
        pytest.skip(f"{name} is {peer.absent}")
    ran = subprocess.run(CHECKS[name](str(peer.needs), tmp_path), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_litellm_has_the_bench_s_model_and_key(tmp_path: Path) -> None:
    settings = yaml.safe_load(peer_configs.litellm(tmp_path, 99).read_text())
    assert settings["model_list"][0]["litellm_params"]["api_base"] == "http://127.0.0.1:99/v1"
    assert settings["general_settings"]["master_key"]
