"""scripts/setup, apt-install and test-programs: what they make anew, wait for, and say in words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = """\
[project]
name = "fullbatch"
version = "0"
scripts = {fullbatch = "fullbatch:main"}
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
packages = ["fullbatch"]
"""
# What the scripts call that every Debian has.
COREUTILS = ("awk", "cat", "cksum", "dirname", "grep", "head", "mkdir", "mktemp", "rm", "sed", "sh", "tail", "tr")


def checkout(folder: Path, *scripts: str) -> Path:
    (folder / "scripts").mkdir(parents=True)
    for script in scripts:
        shutil.copy(ROOT / "scripts" / script, folder / "scripts" / script)
    return folder


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(folder / "scripts" / words[0]), *words[1:]]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def says(folder: Path) -> str:
    """What the installed program of this folder prints."""
    return subprocess.run([folder / ".venv/bin/fullbatch"], capture_output=True, text=True, check=True).stdout.strip()


def small_checkout(folder: Path) -> Path:
    """One with a program that says where it lies, and a lock that holds only setuptools."""
    checkout(folder, "setup", "apt-install")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "fullbatch").mkdir()
    (folder / "fullbatch/__init__.py").write_text("def main():\n    print(__file__)\n")
    (folder / "requirements").mkdir()
    lock = (ROOT / "requirements" / "run.txt").read_text()
    found = re.search(r"^setuptools==.*\n(?: +--hash.*\n)+", lock, re.MULTILINE)
    assert found
    (folder / "requirements/run.txt").write_text(found[0])
    return folder


def test_a_copied_or_moved_checkout_is_set_up_anew(tmp_path: Path) -> None:
    one = small_checkout(tmp_path / "one")
    first = run(one, "setup")
    assert (first.returncode, says(one)) == (0, str(one / "fullbatch/__init__.py")), first.stderr
    again = run(one, "setup")
    assert (again.returncode, again.stdout) == (0, ""), "a second run has nothing to do"
    two = tmp_path / "two"
    shutil.copytree(one, two, symlinks=True)
    copied = run(two, "setup")
    assert "made in another folder" in copied.stdout
    assert (copied.returncode, says(two)) == (0, str(two / "fullbatch/__init__.py")), copied.stderr
    three = two.rename(tmp_path / "three")
    assert run(three, "setup").returncode == 0
    assert says(three) == str(three / "fullbatch/__init__.py")
    assert says(one) == str(one / "fullbatch/__init__.py")


def test_an_environment_that_is_only_linked_is_not_emptied(tmp_path: Path) -> None:
    one, two = small_checkout(tmp_path / "one"), small_checkout(tmp_path / "two")
    assert run(one, "setup").returncode == 0
    (two / ".venv").symlink_to(one / ".venv")
    refused = run(two, "setup")
    assert refused.returncode == 4
    assert refused.stderr == (
        f"scripts/setup: .venv is a link to {one / '.venv'}, which is not emptied; remove the link to get one here\n"
    )
    assert says(one) == str(one / "fullbatch/__init__.py")


def test_a_package_that_came_to_the_checkout_is_installed(tmp_path: Path) -> None:
    """As after a pull: the lock is the same, and a program of before knows nothing of the new folder."""
    one = small_checkout(tmp_path / "one")
    assert run(one, "setup").returncode == 0
    (one / "shared").mkdir()
    (one / "shared/__init__.py").write_text("PLACE = __file__\n")
    (one / "fullbatch/__init__.py").write_text("import shared\ndef main():\n    print(shared.PLACE)\n")
    (one / "pyproject.toml").write_text(PROJECT.replace('["fullbatch"]', '["fullbatch", "shared"]'))
    again = run(one, "setup")
    assert (again.returncode, again.stdout) == (0, ""), again.stderr
    assert says(one) == str(one / "shared/__init__.py")


def test_a_copied_engine_is_not_taken_for_this_folder_s(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "here", "install-engine")
    (folder / "requirements").mkdir()
    (folder / "requirements/engine-cpu.txt").write_text("")
    setup = folder / "scripts/setup"
    setup.write_text("#!/bin/sh\necho the engine would be made; exit 9\n")
    setup.chmod(0o755)
    engine = folder / ".fullbatch/engine"
    (engine / "bin").mkdir(parents=True)
    (engine / ".lock").write_text(
        subprocess.run(["cksum"], input="", text=True, capture_output=True, check=True).stdout
    )
    program = engine / "bin/vllm"
    program.write_text(f"#!{engine}/bin/python\n")
    assert run(folder, "install-engine").returncode == 0
    program.write_text("#!/another/folder/.fullbatch/engine/bin/python\n")
    made = run(folder, "install-engine")
    assert "made in another folder" in made.stdout
    assert made.returncode != 0


def test_every_apt_waits_for_another_one() -> None:
    calls = []
    for path in (ROOT / "scripts").rglob("*"):
        if path.is_file() and path.suffix not in (".pyc", ".Dockerfile"):
            for line in path.read_text().splitlines():
                code = re.sub(r"#.*|\"[^\"]*\"|fail .*|'[^']*'", "", line) if path.suffix != ".py" else line
                if re.search(r"apt-get\"?,? .*(update|install|download)", code):
                    calls.append((str(path.relative_to(ROOT)), line.strip()))
    assert calls
    waits = ("DPkg::Lock::Timeout=120", "*_WAITING")
    assert [call for call in calls if not any(words in call[1] for words in waits)] == []


def test_apt_is_told_to_wait_and_its_last_words_are_told(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "here", "apt-install")
    programs = tmp_path / "bin"
    programs.mkdir()
    apt = programs / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/said\ncase "$*" in *update*) exit 0 ;; esac\n'
                   'echo "E: Unable to locate package nothing"; exit 100\n')  # fmt: skip
    apt.chmod(0o755)
    done = run(folder, "apt-install", "nothing", PATH=f"{programs}:{os.environ['PATH']}")
    if os.geteuid() != 0:
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
        assert "sudo apt-get install nothing" in done.stderr
        return
    assert (tmp_path / "said").read_text().count("DPkg::Lock::Timeout=120") == 2
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "scripts/apt-install: apt-get could not install nothing: E: Unable to locate package nothing"
    )


@pytest.mark.parametrize("script", ["test-programs"])
def test_what_cannot_be_had_is_said_in_words(script: str, tmp_path: Path) -> None:
    folder = checkout(tmp_path / "here", script, "apt-install")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in COREUTILS:
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    (programs / "id").chmod(0o755)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    text = (folder / "scripts" / script).read_text()
    (folder / "scripts" / script).write_text(text.replace("PATH=$PATH:/usr/sbin:/sbin", ""))
    done = run(folder, script, PATH=str(programs))
    assert done.returncode == 1
    for program in ("chromium", "cc", "git", "nginx", "haproxy"):
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"test-programs: no {program} ")]
        assert "Debian: apt-get install" in line and "left out: " in line
