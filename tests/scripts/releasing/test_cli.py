"""What a person who releases is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from common.version import VERSION
from scripts.releasing import audit, build, checks, cli, licences, sbom
from scripts.releasing.audit import Audited


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything is in order; what would take minutes is done by hand."""

    def built(_root: Path, _commit: str, _scratch: Path, out: Path) -> list[Path]:
        out.mkdir()
        (out / "fullbatch-0.whl").write_text("wheel")
        return [out / "fullbatch-0.whl"]

    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(checks, "refusals", lambda _root, _version: [])
    monkeypatch.setattr(audit, "audit", lambda _root: Audited((), ()))
    monkeypatch.setattr(build, "build", built)
    monkeypatch.setattr(build, "install", lambda _root, _wheel, _scratch: None)
    monkeypatch.setattr(build, "commit_time", lambda _root: 1)
    monkeypatch.setattr(licences, "of_images", lambda _root: {})
    monkeypatch.setattr(sbom, "all_of", lambda *_args: {"fullbatch-0.cdx.json": "{}"})
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "-m", "x"], ["config", "user.name", "a"],
                  ["config", "user.email", "a@b"]):  # fmt: skip
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    return tmp_path


def test_without_make_nothing_is_kept(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "nothing was made or tagged" in capsys.readouterr().out
    assert not (ready / "dist").exists() and not list((ready / ".git/refs/tags").iterdir())


def test_make_tags_and_keeps_files(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--make"]) == 0
    kept = {path.name for path in (ready / "dist").iterdir()}
    assert kept == {"SHA256SUMS", "fullbatch-0.cdx.json", "fullbatch-0.whl"}
    assert (ready / "dist/SHA256SUMS").read_text().splitlines()[1].endswith("  fullbatch-0.whl")
    assert [path.name for path in (ready / ".git/refs/tags").iterdir()] == [f"v{VERSION}"]
    assert cli.main(["--make"]) == 1
    assert "is there already" in capsys.readouterr().out


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_the_tag_is_of_what_was_built(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = _git(ready, "rev-parse", "HEAD")

    def install(_root: Path, _wheel: Path, _scratch: Path) -> None:
        _git(ready, "commit", "--quiet", "--allow-empty", "-m", "of somebody meanwhile")

    monkeypatch.setattr(build, "install", install)
    assert cli.main(["--make"]) == 0
    assert _git(ready, "rev-parse", f"v{VERSION}^{{commit}}") == built != _git(ready, "rev-parse", "HEAD")


def test_without_a_tag_no_files_stay_in_the_way(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _git(ready, "tag", f"v{VERSION}")
    assert cli.main(["--make"]) == 1
    assert "git could not tag it: " in capsys.readouterr().out
    assert list((ready / "dist").iterdir()) == []
    _git(ready, "tag", "--delete", f"v{VERSION}")
    assert cli.main(["--make"]) == 0


@pytest.mark.parametrize(("words", "code"), [([], 1), (["--unaudited"], 0)])
def test_what_could_not_be_asked_is_said_and_no_pass(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    monkeypatch.setattr(audit, "audit", lambda _root: Audited((), ("no service",)))
    assert cli.main(words) == code
    assert ("NOT AUDITED" if words else "refused: not audited") in capsys.readouterr().out
    assert ready.is_dir()


def test_a_hole_refuses_whatever_is_said(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "audit", lambda _root: Audited(("a 1: X-1",), ()))
    assert cli.main(["--unaudited", "--make"]) == 1
    assert "a known hole: a 1: X-1" in capsys.readouterr().out
    assert not (ready / "dist").exists()


def test_all_refusals_come_at_once(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "refusals", lambda _root, _version: ["tree: dirty", "tag: there"])
    assert cli.main(["--make"]) == 1
    assert capsys.readouterr().out.splitlines() == ["release: refused: tree: dirty", "release: refused: tag: there"]
    assert not (ready / "dist").exists()
