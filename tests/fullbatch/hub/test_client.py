from __future__ import annotations

import pytest

from fullbatch.core.errors import FullbatchError, HostError, UsageError
from fullbatch.hub import client
from tests.fullbatch.hub.conftest import TUNE
from tests.fullbatch.hub.local import COMMIT, LocalHub


def _refused(name: str = TUNE, revision: str = "main") -> str:
    with pytest.raises(FullbatchError) as raised:
        client.described(name, revision)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.usefixtures("hub")
def test_a_repository_and_a_file_of_it() -> None:
    assert client.described(TUNE, "main")["sha"] == COMMIT
    assert b"LlamaForCausalLM" in client.file(TUNE, COMMIT, "config.json")


def test_a_token_is_sent_to_the_hub(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    client.described(TUNE, "main")
    assert hub.asked[-1][1] == "Bearer hf_right"


def test_without_a_token_none_is_sent(hub: LocalHub) -> None:
    client.described(TUNE, "main")
    assert hub.asked[-1][1] is None


def test_a_private_repository(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.private = (TUNE,)
    assert "look at the name, or, if it is private, set HF_TOKEN=hf_..." in _refused()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "a token that may read it" in _refused()
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert client.described(TUNE, "main")


def test_a_gated_one_says_whose_licence(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated = (TUNE,)
    with pytest.raises(UsageError, match=f"{TUNE} is gated: accept the licence on its page at .*; set HF_TOKEN=hf_"):
        client.file(TUNE, COMMIT, "config.json")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UsageError, match="your token was not let in yet"):
        client.file(TUNE, COMMIT, "config.json")


def test_one_that_has_another_name_now(hub: LocalHub) -> None:
    hub.renamed = {TUNE: "acme/tuned"}
    assert f"{TUNE} is called acme/tuned at" in _refused()


@pytest.mark.usefixtures("hub")
def test_a_revision_that_it_has_not() -> None:
    assert "has no revision 'v9'" in _refused(revision="v9")


@pytest.mark.usefixtures("hub")
def test_one_that_is_not_there() -> None:
    assert "has no acme/none for you" in _refused("acme/none")


def test_a_mirror_that_answers_with_a_web_page(hub: LocalHub) -> None:
    hub.page = True
    assert "does not answer as a hub does (it sent a web page)" in _refused()


@pytest.mark.parametrize("address", ["hf-mirror.example", "ftp://x", "https://"])
@pytest.mark.usefixtures("hub")
def test_an_endpoint_that_is_no_address(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert _refused().startswith("HF_ENDPOINT: ")


@pytest.mark.usefixtures("hub")
def test_a_password_in_the_endpoint_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://me:secret@127.0.0.1:9")
    assert "secret" not in _refused()


def test_offline_nobody_is_asked(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HostError, match="HF_HUB_OFFLINE forbids asking"):
        client.described(TUNE, "main")
    assert hub.asked == []
