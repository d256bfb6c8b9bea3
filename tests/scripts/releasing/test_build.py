"""The same bytes, whoever builds and when."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from scripts.releasing import build

PROJECT = """\
[project]
name = "small"
version = "1.0"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
py-modules = ["small"]
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "small.py").write_text("")
    commit(root)
    return root


def commit(root: Path) -> str:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"]):
        subprocess.run([*git, *words], cwd=root, check=True)
    return head(root)


def head(root: Path) -> str:
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
    return said.stdout.strip()


def test_two_builds_are_one_and_hold_no_builder(repository: Path, tmp_path: Path) -> None:
    (repository / "litter.txt").write_text("not committed")
    wheel, sdist = build.build(repository, head(repository), tmp_path / "scratch", tmp_path / "out")
    assert (wheel.name, sdist.name) == ("small-1.0-py3-none-any.whl", "small-1.0.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.uname, member.mtime) for member in members} == {(0, "", build.commit_time(repository))}
    assert not any("litter" in member.name for member in members)


def test_builds_that_differ_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def once(_root: Path, _commit: str, folder: Path) -> tuple[Path, Path]:
        folder.mkdir(parents=True)
        for name, text in (("a.whl", "same"), ("a.tar.gz", folder.name)):
            (folder / name).write_text(text)
        return folder / "a.whl", folder / "a.tar.gz"

    monkeypatch.setattr(build, "_once", once)
    with pytest.raises(build.CannotBuild, match=r"a\.tar\.gz: two builds of commit c0ffee differ"):
        build.build(tmp_path, "c0ffee", tmp_path / "scratch", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_build_that_fails_is_one_line(repository: Path, tmp_path: Path) -> None:
    (repository / "setup.py").write_text("raise SystemExit('no compiler')\n")
    with pytest.raises(build.CannotBuild, match="failed: no compiler$"):
        build.build(repository, commit(repository), tmp_path / "scratch", tmp_path / "out")


def test_an_archive_is_evened(tmp_path: Path) -> None:
    made = []
    for name, mtime in (("b", 1), ("a", 2)):
        path = tmp_path / f"{name}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for member in sorted(("x", "y"), reverse=name == "b"):
                info = tarfile.TarInfo(member)
                info.mtime, info.uname, info.size = mtime, name, 1
                archive.addfile(info, io.BytesIO(b"."))
        build._even(path, 7)
        made.append(path.read_bytes())
    assert made[0] == made[1]
