"""Each refusal of a release, on a small repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.releasing import checks

GOOD = "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-11-30\n\n- It works.\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "CHANGELOG.md").write_text(GOOD)
    (tmp_path / ".gitignore").write_text(".fullbatch/\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all")
    return tmp_path


def git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def test_a_good_one_is_not_refused(repository: Path) -> None:
    for check in (checks.tree, checks.tag, checks.changelog):
        assert list(check(repository, "0.1.0")) == []


def test_what_is_not_committed(repository: Path) -> None:
    (repository / "new").write_text("")
    (line,) = checks.tree(repository, "0.1.0")
    assert line == "tree: 1 file(s) are not committed, such as new; commit or remove them"


def test_a_version_that_is_tagged(repository: Path) -> None:
    git(repository, "tag", "v0.1.0")
    assert "v0.1.0 is there already" in next(checks.tag(repository, "0.1.0"))
    assert list(checks.tag(repository, "0.1.1")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("0.1.0", "0.0.9"), "no section '## 0.1.0 - YYYY-MM-DD'"),
        (GOOD.replace(" - 2026-11-30", ""), "no section"),
        (GOOD.replace("- It works.\n", ""), "the section of 0.1.0 is empty"),
        (GOOD.replace("## Unreleased\n", "## Unreleased\n\n- More.\n"), "'## Unreleased' still has lines"),
    ],
)
def test_a_changelog_without_it(repository: Path, text: str, said: str) -> None:
    (repository / "CHANGELOG.md").write_text(text)
    (line,) = checks.changelog(repository, "0.1.0")
    assert said in line and "\n" not in line


def test_tests_of_another_commit_do_not_count(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none have passed on commit" in next(checks.tested(repository, "0.1.0"))
    (repository / "scripts").mkdir()
    script = repository / "scripts" / "test"
    script.write_text("#!/bin/sh\nexit ${RESULT:-0}\n")
    script.chmod(0o755)
    assert checks.run_tests(repository) == 1, "the script is not committed"
    git(repository, "add", ".")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "script")
    monkeypatch.setenv("RESULT", "3")
    assert checks.run_tests(repository) == 3
    assert list(checks.tested(repository, "0.1.0"))
    monkeypatch.delenv("RESULT")
    assert checks.run_tests(repository) == 0
    assert list(checks.tested(repository, "0.1.0")) == []
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "later")
    assert list(checks.tested(repository, "0.1.0"))


def test_a_stale_page_of_licences(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.releasing.licences.of_images", lambda _root: {})
    (line,) = checks.licensed(repository, "0.1.0")
    assert "is stale; run scripts/release --licences" in line
