"""What has to be so before a release: each refusal is one line that says what would be right."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.releasing import licences

TESTED = Path(".fullbatch") / "release" / "tested"
_LOCKS = {
    "dev": ["--group", "dev", "pyproject.toml"],
    "run": ["--group", "run", "-c", "requirements/dev.txt", "pyproject.toml"],
    "gateway": ["--group", "gateway", "-c", "requirements/dev.txt"],
    "gateway-build": ["--group", "gateway-build", "-c", "requirements/dev.txt"],
    "loadtest": ["--group", "loadtest", "-c", "requirements/dev.txt"],
}
_COMPILE = ("--quiet", "--python-version", "3.11", "--universal", "--generate-hashes", "--no-annotate", "--no-header")


def refusals(root: Path, version: str) -> list[str]:
    """Of everything that can be seen without building; empty: go on."""
    return [line for check in CHECKS for line in check(root, version)]


def tree(root: Path, _version: str) -> Iterator[str]:
    """What is released is what is committed."""
    changed = _said(root, "git", "status", "--porcelain").splitlines()
    if changed:
        yield f"tree: {len(changed)} file(s) are not committed, such as {changed[0][3:]}; commit or remove them"


def tag(root: Path, version: str) -> Iterator[str]:
    """No version twice."""
    if _said(root, "git", "tag", "--list", f"v{version}"):
        yield f"tag: v{version} is there already; raise VERSION in common/version.py"


def changelog(root: Path, version: str) -> Iterator[str]:
    """A section of its own, with a date, and nothing left over in the one above."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    own = next((name for name in sections if re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", name)), None)
    if own is None:
        yield f"CHANGELOG.md: no section '## {version} - YYYY-MM-DD'; rename '## Unreleased', put an empty one above"
    elif not sections[own].strip():
        yield f"CHANGELOG.md: the section of {version} is empty; say what is new"
    elif sections.get("Unreleased", "").strip():
        yield f"CHANGELOG.md: '## Unreleased' still has lines; move them into the section of {version}"


def locks(root: Path, _version: str) -> Iterator[str]:
    """They are what pyproject.toml asks for, with no version changed."""
    with tempfile.TemporaryDirectory() as folder:
        for name, words in _LOCKS.items():
            lock = root / "requirements" / f"{name}.txt"
            copy = Path(folder) / lock.name
            copy.write_bytes(lock.read_bytes())
            command = [str(root / ".venv/bin/uv"), "pip", "compile", *_COMPILE, "--output-file", str(copy), *words]
            done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
            if done.returncode:
                why = (done.stderr.strip().splitlines() or ["no word"])[-1][:200]
                yield f"requirements/{name}.txt: could not be looked at ({why}); try again where packages can be had"
                return
            if copy.read_bytes() != lock.read_bytes():
                yield f"requirements/{name}.txt: is not what pyproject.toml asks for; run scripts/lock"


def licensed(root: Path, _version: str) -> Iterator[str]:
    """Of everything in the images, known and written down."""
    try:
        if licences.stale(root):
            yield f"{licences.PAGE}: is stale; run scripts/release --licences"
    except licences.UnknownLicence as fault:
        yield from str(fault).splitlines()


def generated(root: Path, _version: str) -> Iterator[str]:
    """Rendered files and dashboards are current."""
    programs = {"rendered/": ["fullbatch", "render", "--check"], "grafana/generated/": ["grafana", "--check"]}
    for what, words in programs.items():
        done = subprocess.run([sys.executable, "-m", *words], cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines() or ["no word"]
            yield f"{what}: {said[-1]}"


def tested(root: Path, _version: str) -> Iterator[str]:
    """The whole suite has passed on this very commit."""
    commit = _said(root, "git", "rev-parse", "HEAD")
    mark = root / TESTED
    if not mark.is_file() or mark.read_text(encoding="utf-8").strip() != commit:
        yield f"tests: none have passed on commit {commit[:12]}; run scripts/release --test"


CHECKS: tuple[Callable[[Path, str], Iterator[str]], ...] = (tree, tag, changelog, locks, licensed, generated, tested)


def run_tests(root: Path) -> int:
    """`scripts/test`, and the mark if all is good and nothing was changed meanwhile; its exit code."""
    before = _said(root, "git", "rev-parse", "HEAD")
    dirty = list(tree(root, ""))
    code = subprocess.run(["scripts/test"], cwd=root, check=False).returncode
    if code or dirty or list(tree(root, "")) or _said(root, "git", "rev-parse", "HEAD") != before:
        return code or 1
    (root / TESTED).parent.mkdir(parents=True, exist_ok=True)
    (root / TESTED).write_text(before + "\n", encoding="utf-8")
    return 0


def _said(root: Path, *command: str) -> str:
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.rstrip()
