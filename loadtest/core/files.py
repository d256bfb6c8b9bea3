"""Files that a person named with an option: what `common` finds wrong with one, as an error of the load test."""

from __future__ import annotations

from pathlib import Path

from common import text_file, yaml_file
from loadtest.core.errors import UsageProblem


def read_text(path: Path, option: str) -> str:
    """UTF-8. UsageProblem when it cannot be read, is no text, or is longer than any such file."""
    try:
        return text_file.read_text(path)
    except text_file.FileFault as fault:
        raise UsageProblem(f"{option} {path}: {fault}") from None


def load_yaml(path: Path, option: str) -> object:
    """Plain values. UsageProblem when it cannot be read, is not YAML, or has a key twice."""
    try:
        return yaml_file.load(path)
    except text_file.FileFault as fault:
        raise UsageProblem(f"{option} {path}: {fault}") from None
