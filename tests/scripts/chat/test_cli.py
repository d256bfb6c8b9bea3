"""scripts/open-webui, with stand-ins for `fullbatch` and for Open WebUI."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from scripts.chat import cli

ONE = [{"gateway_url": "http://127.0.0.1:8080", "profile": "cpu-tiny"}]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, CompletedProcess[str]]:
    """What `fullbatch VERB` answers; the calls are noted under `calls`."""
    answers = {
        "status": CompletedProcess([], 0, json.dumps(ONE), ""),
        "keys": CompletedProcess([], 0, json.dumps({"key": "fb-made"}), ""),
    }
    monkeypatch.setattr(cli, "_fullbatch", lambda *words: answers[words[0]])
    return answers


def test_it_gets_what_the_container_gets() -> None:
    found = cli.environment(cli.ROOT, "http://127.0.0.1:8080/v1", "fb-key", "secret", Path("/home/x"), 3001)
    assert found["ENABLE_FORWARD_USER_INFO_HEADERS"] == "true" and found["ENABLE_OLLAMA_API"] == "false"
    assert json.loads(found["DEFAULT_MODEL_METADATA"]) == {"capabilities": {"builtin_tools": False}}
    assert (found["OPENAI_API_KEY"], found["OPENAI_API_BASE_URL"]) == ("fb-key", "http://127.0.0.1:8080/v1")
    assert found["DATA_DIR"] == "/home/x/data" and "HOME" not in found
    assert not [value for value in found.values() if "$" in value or "gateway" in value]


def test_one_deployment_is_needed(said: dict[str, CompletedProcess[str]]) -> None:
    assert cli.deployment() == ("http://127.0.0.1:8080", "cpu-tiny")
    said["status"] = CompletedProcess([], 0, json.dumps(ONE * 2), "")
    with pytest.raises(cli.ChatError, match="^2 deployments run here, and one is needed"):
        cli.deployment()
    said["status"] = CompletedProcess([], 6, "", "nothing is running")
    with pytest.raises(cli.ChatError, match="^0 deployments"):
        cli.deployment()


def test_its_key_is_made_once_and_kept_to_the_owner(said: dict[str, CompletedProcess[str]], tmp_path: Path) -> None:
    assert cli.kept_key(tmp_path, "cpu-tiny") == "fb-made"
    said["keys"] = CompletedProcess([], 2, "", "keys: 'open-webui': there is a key of that name\n")
    assert cli.kept_key(tmp_path, "cpu-tiny") == "fb-made"
    assert stat.S_IMODE((tmp_path / "key-cpu-tiny").stat().st_mode) == 0o600
    with pytest.raises(cli.ChatError, match="there is a key of that name"):
        cli.kept_key(tmp_path, "cpu")
    assert cli.kept(tmp_path / "secret") == cli.kept(tmp_path / "secret") != ""


def test_without_open_webui_a_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    assert cli.main([]) == 2
    told = ".fullbatch/clients/open-webui/bin/open-webui is not there; run: scripts/test-clients chat"
    assert capsys.readouterr().err == f"open-webui: {told}\n"
