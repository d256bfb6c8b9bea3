from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.runtime import dotenv

TEXT = """\
# what this box serves
PROFILE=one
export HF_TOKEN='hf_#x'   # quoted
GATEWAY_PORT = 9000 # said so
EMPTY=
nonsense
"""


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROFILE", "GATEWAY_PORT", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)


def test_its_variables(tmp_path: Path) -> None:
    assert dotenv.read(tmp_path) == {}
    (tmp_path / ".env").write_text(TEXT, encoding="utf-8")
    assert dotenv.read(tmp_path) == {"PROFILE": "one", "HF_TOKEN": "hf_#x", "GATEWAY_PORT": "9000", "EMPTY": ""}


def test_the_shell_goes_first_as_with_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (dotenv.profile(tmp_path), dotenv.gateway_port(tmp_path), dotenv.project(tmp_path)) == (
        "cpu-smollm2",
        8080,
        "fullbatch",
    )
    (tmp_path / ".env").write_text(TEXT + "COMPOSE_PROJECT_NAME=second\n", encoding="utf-8")
    assert (dotenv.profile(tmp_path), dotenv.gateway_port(tmp_path), dotenv.project(tmp_path)) == (
        "one",
        9000,
        "second",
    )
    monkeypatch.setenv("PROFILE", "two")
    monkeypatch.setenv("GATEWAY_PORT", "http")
    assert dotenv.profile(tmp_path) == "two"
    with pytest.raises(UsageError, match="GATEWAY_PORT: 'http': write a port"):
        dotenv.gateway_port(tmp_path)


def test_what_is_kept_leaves_every_other_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(TEXT, encoding="utf-8")
    (tmp_path / ".env").chmod(0o600)
    assert dotenv.keep(tmp_path, {"PROFILE": "two", "NEW": "1"})
    lines = (tmp_path / ".env").read_text(encoding="utf-8").splitlines()
    assert lines == [line for line in TEXT.splitlines() if not line.startswith("PROFILE")] + ["PROFILE=two", "NEW=1"]
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert not dotenv.keep(tmp_path, {"PROFILE": "two"})


def test_a_first_file_is_made(tmp_path: Path) -> None:
    assert dotenv.keep(tmp_path, {"PROFILE": "two"})
    assert (tmp_path / ".env").read_text(encoding="utf-8") == "PROFILE=two\n"
