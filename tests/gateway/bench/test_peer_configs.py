"""The programs themselves find their configuration valid."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.bench import peer_configs
from gateway.bench.peers import ALL, Peer


def arguments(program: str, folder: Path) -> list[str]:
    if program == "nginx":
        return ["-t", "-c", str(peer_configs.nginx(folder, 8998, 8999))]
    return ["-c", "-f", str(peer_configs.haproxy(folder, 8998, 8999))]


@pytest.mark.parametrize("peer", [peer for peer in ALL if peer.name in ("nginx", "haproxy") and not peer.absent])
def test_the_program_takes_its_configuration(peer: Peer, tmp_path: Path) -> None:
    command = [str(peer.needs), *arguments(peer.name, tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_litellm_has_the_bench_s_model_and_key(tmp_path: Path) -> None:
    settings = yaml.safe_load(peer_configs.litellm(tmp_path, 99).read_text())
    assert settings["model_list"][0]["litellm_params"]["api_base"] == "http://127.0.0.1:99/v1"
    assert settings["general_settings"]["master_key"]
