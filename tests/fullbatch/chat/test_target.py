"""Who is talked to, with which key, and which model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fullbatch.chat import target
from fullbatch.chat.target import KEY_VARIABLE, Wanted, find
from fullbatch.core.errors import StateError, UsageError
from fullbatch.runtime import registry
from tests.fullbatch.chat.scripted import Script


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def runs(monkeypatch: pytest.MonkeyPatch, *profiles: str, url: str = "") -> None:
    found = [SimpleNamespace(profile=name, gateway_url=url, api_key=lambda: "fb-own") for name in profiles]
    runtime = SimpleNamespace(running=lambda _root: found)
    monkeypatch.setattr(registry, "RUNTIMES", (runtime,))


def test_what_runs_is_found_with_its_own_key(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, "cpu", url=script.url)
    found = find(tmp_path, Wanted())
    assert (found.name, found.server.url, found.model, script.keys) == ("cpu", script.url, "m", ["Bearer fb-own"])


def test_a_key_that_is_given_goes_first(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, "cpu", url=script.url)
    (tmp_path / ".env").write_text(f"{KEY_VARIABLE}=fb-env\n")
    (tmp_path / "key").write_text("fb-file alice\n")
    find(tmp_path, Wanted("cpu"))
    find(tmp_path, Wanted(url=script.url, key_file=tmp_path / "key"))
    assert script.keys == ["Bearer fb-env", "Bearer fb-file"]


def test_another_server_never_gets_the_deployments_key(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, "cpu", url="http://127.0.0.1:1")
    assert find(tmp_path, Wanted(url=script.url)).name == script.url
    assert script.keys == [None]


@pytest.mark.parametrize(
    ("profiles", "wanted", "said"),
    [
        ((), Wanted(), "nothing is running; start it with fullbatch up PROFILE, or say --url"),
        (("cpu",), Wanted("other"), "profile 'other' is not running; start it with fullbatch up other, or say --url"),
        (("a", "b"), Wanted(), r"several profiles are running \(a, b\); .*: fullbatch chat PROFILE"),
    ],
)
def test_what_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profiles: tuple[str, ...], wanted: Wanted, said: str
) -> None:
    runs(monkeypatch, *profiles)
    with pytest.raises(StateError, match=said):
        find(tmp_path, wanted)


@pytest.mark.parametrize(("asked", "model"), [("", "m"), ("other", "other"), ("alias", "alias")])
def test_the_model(script: Script, tmp_path: Path, asked: str, model: str) -> None:
    assert find(tmp_path, Wanted(url=script.url, model=asked)).model == model


def test_no_such_model_and_none_at_all(script: Script, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--model othr: no such model \(did you mean other\?\); there are: m, other"):
        find(tmp_path, Wanted(url=script.url, model="othr"))
    script.models = {"data": []}
    with pytest.raises(UsageError, match="has no model that this key may use: no key"):
        find(tmp_path, Wanted(url=script.url))


@pytest.fixture
def bad_keys(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "letters").write_text("schlüssel-geheim")
    yield tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "No such file"),
        ("empty", "no key in it"),
        ("binary", "not a text file"),
        ("letters", "no letters beyond ASCII"),
    ],
)
def test_a_bad_key_file(bad_keys: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"--key-file.*{said}") as caught:
        find(bad_keys, Wanted(url="http://127.0.0.1:1", key_file=bad_keys / name))
    assert "geheim" not in str(caught.value)
    assert target.KEY_VARIABLE not in str(caught.value)
