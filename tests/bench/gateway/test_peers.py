"""Every gateway does the same work, or the comparison would say nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest

from bench.gateway import peers
from bench.gateway.peers import ALL, CANDIDATES, Peer, PeerPlace
from bench.gateway.processes import free_port, started
from bench.gateway.programs import BenchError, Mock
from bench.gateway.request import KEY, MODEL

URL = "/v1/chat/completions"


def chat(**fields: object) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **fields}


# scripts/test installs these. The others: LiteLLM takes 10 s to start, and what it does is not ours to test;
# production-stack needs GitHub and Python 3.12, so it is tested where it is; tests/gateway runs on the compiled form.
INSTALLED = ("haproxy", "nginx", "envoy", "vllm-router")
HERE = [peer for peer in ALL if peer.name in (*CANDIDATES, *INSTALLED)]
HERE += [peer for peer in ALL if peer.name == "production-stack" and not peer.absent]


@pytest.mark.parametrize("chosen", HERE, ids=lambda peer: str(peer.name))
def test_it_relays_streams_and_answers(chosen: Peer, mock: Mock, tmp_path: Path) -> None:
    if chosen.absent:
        pytest.skip(f"{chosen.name} is {chosen.absent}")
    tmp_path.chmod(0o755)
    place = PeerPlace(tmp_path, free_port(), mock.port)
    with started(chosen.name, chosen.command(place), place.port, tmp_path / "log"):
        with httpx.Client(
            base_url=f"http://127.0.0.1:{place.port}", headers={"authorization": f"Bearer {KEY}"}
        ) as client:
            streamed = client.post(URL, json=chat(stream=True, max_tokens=3)).text
            assert streamed.count("data: {") == 3
            assert streamed.endswith("data: [DONE]\n\n")
            assert client.post(URL, json=chat(max_tokens=3)).json()["usage"]["completion_tokens"] == 3
            if chosen.name in CANDIDATES:
                assert client.post(URL, json={"model": "other"}).status_code == 404
                assert client.post(URL, json=chat(), headers={"authorization": "Bearer x"}).status_code == 401
    assert chosen.disk_mb(place) > 0.5


def test_what_is_not_installed_says_how_to_install_it(tmp_path: Path) -> None:
    for peer in ALL:
        gone = Peer(peer.name, peer.kind, tmp_path / "none", peer.remedy, peer.command, peer.disk_mb)
        assert gone.absent.startswith("not installed (")


def test_what_does_not_compile_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "COMPILE", _script(tmp_path / "compile", "echo 'much'; echo 'mypyc failed' >&2; exit 1"))
    ours = next(peer for peer in ALL if peer.name == "ours")
    with pytest.raises(BenchError, match="^ours is not compiled: mypyc failed$"):
        ours.command(PeerPlace(tmp_path, 1, 2))


def test_ours_is_started_from_the_compiled_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        peers, "COMPILE", _script(tmp_path / "compile", 'mkdir -p "$1/gateway"; touch "$1/gateway/__init__.py"')
    )
    ours = next(peer for peer in ALL if peer.name == "ours")
    command = ours.command(PeerPlace(tmp_path, 1, 2))
    asked = [*command[: command.index("-m")], "-c", "import gateway; print(gateway.__file__)"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=peers.ROOT).stdout
    assert said.strip() == str(tmp_path / "compiled/gateway/__init__.py")


def _script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
