"""Puts into the wheel what a folder to run from holds beside the packages: fullbatch/layout/listing.py says what.

Everything else stands in pyproject.toml.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from fullbatch.layout.listing import DATA, beside_the_packages  # noqa: E402


class BuildWithFolder(build_py):
    """The packages, and beside them the folder. An editable installation is a folder already."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "fullbatch" / DATA
        for name in beside_the_packages(HERE):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(HERE / name), str(target / name))


setup(cmdclass={"build_py": BuildWithFolder})
