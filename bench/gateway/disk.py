"""How much each gateway needs on disk: its packages or its program, without the interpreter and without bytecode."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

_NOT_NEEDED = re.compile(r"^(pip|setuptools|wheel|_distutils_hack)(-|$)")


def packages_mb(names: list[str]) -> float:
    """Of the installed distributions of these names."""
    files = [Path(str(file.locate())) for name in names for file in distribution(name).files or []]
    return _mb([file for file in files if file.is_file()])


def locked(lock: Path) -> list[str]:
    """The names in a requirements file, without what only older Pythons than ours need besides."""
    return re.findall(r"^([\w.-]+)==(?!.*; python_full_version <)", lock.read_text(), re.MULTILINE)


def folder_mb(folder: Path) -> float:
    """Of everything below a folder."""
    return _mb([file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()])


def environment_mb(environment: Path) -> float:
    """Of an environment's packages, without those that only installed them."""
    tops = [top for site in environment.glob("lib/python*/site-packages") for top in site.iterdir()]
    needed = [top for top in tops if not _NOT_NEEDED.match(top.name)]
    return sum(folder_mb(top) if top.is_dir() else _mb([top]) for top in needed)


def program_mb(path: str) -> float:
    """Of one executable."""
    return _mb([Path(path)])


def _mb(files: list[Path]) -> float:
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc") / 1e6
