"""llama.cpp's server where it was unpacked: how it is started, and which back end this processor gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.llama import server
from scripts.offline import debian
from scripts.offline.process import OfflineError

BACKENDS = ("haswell", "sandybridge", "skylakex", "x64")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree as the packages lay it out, whose loader is a program that says what it was started with."""
    libraries = tmp_path / "files/usr/lib/x86_64-linux-gnu"
    (libraries / "ggml/backends0").mkdir(parents=True)
    for name in BACKENDS:
        (libraries / "ggml/backends0" / f"libggml-cpu-{name}.so").touch()
    loader = libraries / "ld-linux-x86-64.so.2"
    loader.write_text('#!/bin/sh\necho "version: 8000 (abc)" >&2\necho "$*" >&2\n')
    loader.chmod(0o755)
    monkeypatch.setattr(server, "PLACE", tmp_path)
    return tmp_path


def with_flags(monkeypatch: pytest.MonkeyPatch, *flags: str) -> str:
    monkeypatch.setattr(server, "_processor_flags", lambda: set(flags))
    return Path(server.environment()["GGML_BACKEND_PATH"]).name


def test_it_is_started_by_its_own_loader_with_its_own_libraries(place: Path) -> None:
    libraries = place / "files/usr/lib/x86_64-linux-gnu"
    assert server.command(["--port", "1"]) == [
        str(libraries / "ld-linux-x86-64.so.2"), "--library-path", f"{libraries}:{libraries}/llama",
        str(place / "files/usr/bin/llama-server"), "--port", "1",
    ]  # fmt: skip
    assert server.version() == "version: 8000 (abc)"


@pytest.mark.usefixtures("place")
def test_a_processor_gets_the_newest_back_end_that_it_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    haswell = ("avx", "avx2", "fma", "f16c", "bmi2")
    assert with_flags(monkeypatch) == "libggml-cpu-x64.so"
    assert with_flags(monkeypatch, "avx") == "libggml-cpu-sandybridge.so"
    assert with_flags(monkeypatch, *haswell) == "libggml-cpu-haswell.so"
    assert with_flags(monkeypatch, *haswell, "avx512f", "avx512vl", "avx512bw") == "libggml-cpu-skylakex.so"
    # The one that it could run as well is not in the packages.
    icelake = ("avx512f", "avx512vl", "avx512bw", "avx512_vnni", "avx512_vbmi")
    assert with_flags(monkeypatch, *haswell, *icelake) == "libggml-cpu-skylakex.so"


def test_where_it_does_not_run_its_last_words_are_told(place: Path) -> None:
    loader = place / "files/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    loader.write_text("#!/bin/sh\necho first >&2\necho 'libssl.so.3: cannot open' >&2\nexit 127\n")
    with pytest.raises(OfflineError, match="^llama-server does not run here: libssl.so.3: cannot open$"):
        server.version()


def test_nothing_unpacked_says_how_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PLACE", tmp_path)
    with pytest.raises(OfflineError, match="nothing is unpacked there; run scripts/llama-server install"):
        server.command([])


def test_it_is_unpacked_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(debian, "has_apt", lambda: True)
    monkeypatch.setattr(debian, "unpack", lambda *words: asked.append(words))
    server.install()
    server.install()
    assert asked == [(server.PACKAGES, "sid", place / "files")]


def test_a_system_without_apt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PLACE", tmp_path)
    monkeypatch.setattr(debian, "has_apt", lambda: False)
    with pytest.raises(OfflineError, match="on Debian and its kin only"):
        server.install()
