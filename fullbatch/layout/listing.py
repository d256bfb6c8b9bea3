"""Which files a folder to run from holds: `[tool.fullbatch] folder` of pyproject.toml, and the wheel's two packages.

In a checkout they lie where they belong. In an installed wheel the packages are installed, and the rest lies in
`fullbatch/folder` beside them, where setup.py has put it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("common", "fullbatch")
# Of the wheel, in the package.
DATA = "folder"
_LEFT_OUT = {"__pycache__", DATA}


def beside_the_packages(checkout: Path) -> list[str]:
    """What of a checkout, or of an unpacked source distribution, a wheel carries beside its packages: paths, sorted.

    Raises:
        FileNotFoundError: a pattern of pyproject.toml fits nothing.
    """
    settings = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    found: set[str] = set()
    for pattern in settings["tool"]["fullbatch"]["folder"]:
        fit = [path for path in _files(checkout, pattern) if path.suffix != ".pyc"]
        if not fit:
            raise FileNotFoundError(2, "[tool.fullbatch] folder names what is not there", f"{checkout}/{pattern}")
        found |= {path.relative_to(checkout).as_posix() for path in fit}
    return sorted(found)


def sources(home: Path) -> dict[str, Path]:
    """Every file of a folder to run from -> where it lies. `home`: what holds the package `fullbatch`."""
    data = home / "fullbatch" / DATA
    if data.is_dir():
        rest = {path.relative_to(data).as_posix(): path for path in _below(data)}
    else:
        rest = {name: home / name for name in beside_the_packages(home)}
    packages = (path for name in PACKAGES for path in _below(home / name))
    return dict(sorted((rest | {path.relative_to(home).as_posix(): path for path in packages}).items()))


def _files(checkout: Path, pattern: str) -> Iterator[Path]:
    for path in checkout.glob(pattern):
        yield from _below(path) if path.is_dir() else [path]


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _LEFT_OUT:
                yield from _below(path)
        elif path.suffix != ".pyc":
            yield path
